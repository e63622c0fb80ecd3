package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// A world is one run of a scenario: a relay, devices, and what they are called.
type world struct {
	ctx     context.Context
	bin     string
	dir     string
	address string
	strike  *strike
	struck  atomic.Bool

	mu       sync.Mutex
	commands map[string]int // how many each actor has been given
	lived    []life
	ended    chan struct{} // closed when lived grows, and then another
	link     string
	untold   map[string]bool   // shares that a crash kept from telling their link
	kept     map[string]string // files that were there before, and what is in them
	content  []byte
	running  []*job
	relay    *job
}

func newWorld(ctx context.Context, bin, dir string, s *strike) *world {
	return &world{
		ctx: ctx, bin: bin, dir: dir, strike: s, address: address(),
		commands: map[string]int{}, ended: make(chan struct{}), untold: map[string]bool{}, kept: map[string]string{},
	}
}

func rnd(n int) int { return rand.IntN(n) }

// home is an actor's vault. A looker of an actor is somebody else at its terminal.
func (w *world) home(actor string) string {
	return filepath.Join(w.dir, strings.TrimPrefix(actor, "looker-"))
}

func (w *world) out(actor string) string { return filepath.Join(w.dir, "out", actor) }

// run runs a scenario to its end and says what became of the share.
func (w *world) run(sc *scenario) (what string, err error) {
	w.content = make([]byte, max(sc.size, 100))
	for i := range w.content {
		w.content[i] = byte(rnd(256))
	}
	for _, dir := range []string{"logs", "points", "out/receiver", "out/second", "relay"} {
		if err := os.MkdirAll(filepath.Join(w.dir, dir), 0o700); err != nil {
			return "", err
		}
	}
	if err := os.WriteFile(filepath.Join(w.dir, "key.txt"), w.content, 0o600); err != nil {
		return "", err
	}
	w.serve()
	defer w.stop()
	sender, err := sc.open(w)
	if err != nil {
		return "", err
	}
	if err := sc.play(w, sender); err != nil {
		return "", err
	}
	return w.judge(sc)
}

// timeUp says what was waited for in vain.
func (w *world) timeUp(what string) error {
	return fmt.Errorf("waited in vain for %s: %w", what, context.Cause(w.ctx))
}

// until waits for something that a process does, which can only be looked for.
func (w *world) until(what string, ok func() bool) error {
	for !ok() {
		select {
		case <-w.ctx.Done():
			return w.timeUp(what)
		case <-time.After(3 * time.Millisecond):
		}
		for _, j := range w.jobs() {
			if err := j.failure(); err != nil {
				return fmt.Errorf("while waiting for %s: %w", what, err)
			}
		}
	}
	return nil
}

func (w *world) jobs() []*job {
	w.mu.Lock()
	defer w.mu.Unlock()
	return append([]*job{}, w.running...)
}

// stop ends all that still runs.
func (w *world) stop() {
	for _, j := range w.jobs() {
		j.interrupt()
	}
}

// serve keeps a relay running.
func (w *world) serve() {
	w.relay = w.keep("relay", "sparekey-relay", func(int) ([]string, error) { return w.relayArgs(), nil }, nil)
}

func (w *world) relayArgs() []string {
	return []string{"serve", "--plain-http", "--listen", w.address, "--data", filepath.Join(w.dir, "relay"),
		"--max-creates", "-1", "--max-guesses", "-1", "--erase-after", "20ms"}
}

func (w *world) relayURL() string { return "http://" + w.address }

// stored waits until the relay has durably done something n times.
func (w *world) stored(point string, n int) error {
	return w.until(fmt.Sprintf("the relay to pass %s %d times", point, n), func() bool { return w.passed("relay", point) >= n })
}

// id returns the id of an actor's one share.
func (w *world) id(actor string) (string, error) {
	s, err := w.standing(actor)
	if err == nil && s.ID == "" {
		err = fmt.Errorf("the %s has no share", actor)
	}
	return s.ID, err
}

// standing returns how an actor's newest share stands; the zero event if it has none.
func (w *world) standing(actor string) (e event, err error) {
	all, err := w.shares(actor)
	for _, s := range all {
		e = s
	}
	if len(all) > 1 {
		err = errors.Join(err, fmt.Errorf("the %s has %d shares", actor, len(all)))
	}
	return e, err
}

// shares lists an actor's shares, but those that a crash kept from being told of
// and that were cancelled since. A list ends with another code than 0 where a share
// can't be read.
func (w *world) shares(actor string) (all []event, err error) {
	code, killed, events, err := w.sparekey("looker-"+actor, "list", "--all")
	if err != nil || killed || code != 0 {
		return nil, errors.Join(err, fmt.Errorf("list of %s: exit code %d", actor, code))
	}
	for _, e := range events {
		if e.Type == "share" && !w.untold[e.ID] {
			all = append(all, e)
		}
	}
	return all, nil
}
