//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/sparekey/sparekey/simulations/programs"
)

// A lab has what all rooms need.
type lab struct {
	bin, dir     string
	certificates programs.Certificates
	wrongClock   string // a sparekey whose wall clock can be wrong
	seed         uint64
}

// years is how far certificates reach: as far as clocks are wrong, and more.
const years = 365 * 24 * time.Hour

func newLab(bin string, seed uint64) (*lab, error) {
	bin, err := filepath.Abs(bin) // programs run in folders of their own
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "sparekey-lab-")
	if err != nil {
		return nil, err
	}
	l := &lab{bin: bin, dir: dir, seed: seed}
	l.certificates, err = programs.Certify(dir, nil, 10*years, relayAddrs...)
	if err != nil {
		return nil, errors.Join(err, l.close())
	}
	return l, nil
}

func (l *lab) close() error { return os.RemoveAll(l.dir) }

// An outcome is what became of one run of a cell.
type outcome struct {
	shares, provisioned int
	ways                []string
	took                time.Duration
	gap                 time.Duration // as the room's
	story               string        // what the programs have said
	err                 error
}

// A result is a cell with the outcomes of all its runs.
type result struct {
	cell *cell
	outs []outcome
}

// run runs each cell so many times, some at once.
func (l *lab) run(ctx context.Context, cells []*cell, times, workers int, tell func(*cell, outcome)) (all []*result, err error) {
	if slices.ContainsFunc(cells, func(c *cell) bool { return c.plan.senderAhead != 0 || c.plan.receiverAhead != 0 }) {
		if l.wrongClock, err = buildWithWrongClock(ctx, l.dir); err != nil {
			return nil, err
		}
	}
	type job struct {
		r *result
		n int
	}
	jobs := make(chan job)
	var mu sync.Mutex
	var working sync.WaitGroup
	for range workers {
		working.Go(func() {
			for j := range jobs {
				o := l.try(ctx, j.r.cell, j.n)
				mu.Lock()
				j.r.outs = append(j.r.outs, o)
				tell(j.r.cell, o)
				mu.Unlock()
			}
		})
	}
	for _, c := range cells {
		r := &result{cell: c}
		all = append(all, r)
		for n := range times {
			jobs <- job{r, n}
		}
	}
	close(jobs)
	working.Wait()
	return all, ctx.Err()
}

// runTime bounds one run of a cell, on the slowest machine.
const runTime = 3 * time.Minute

// try makes a room for a cell, shares in it, and judges.
func (l *lab) try(ctx context.Context, c *cell, n int) (o outcome) {
	ctx, cancel := context.WithTimeoutCause(ctx, runTime, fmt.Errorf("it takes more than %v", runTime))
	defer cancel()
	dir := filepath.Join(l.dir, strings.ReplaceAll(fmt.Sprintf("%s %d", c.name, n), " ", "-"))
	seeded := *c
	seeded.wire.Seed = l.seed + uint64(n)
	r, err := newRoom(ctx, l, dir, &seeded)
	if err != nil {
		return outcome{err: fmt.Errorf("the room can't be made: %w", err)}
	}
	play := c.play
	if play == nil {
		play = handOver
	}
	began := time.Now()
	o.err = play(r)
	o.took, o.gap = time.Since(began), r.gap
	if o.err == nil {
		o.err = r.judge(c.want)
	}
	o.shares = len(r.shares)
	for _, h := range r.shares {
		if h.way != "" {
			o.ways = append(o.ways, h.way)
		}
	}
	if o.err == nil {
		o.provisioned = o.shares
	}
	o.story = r.story()
	o.err = errors.Join(o.err, r.close(), os.RemoveAll(dir))
	return o
}

// story ends the programs of a room and tells what they have said.
func (r *room) story() string {
	var b strings.Builder
	for i, h := range r.shares {
		h.close()
		for who, p := range map[string]*programs.Process{"sender": h.giver, "receiver": h.taker} {
			if p == nil {
				continue
			}
			for _, e := range p.Events() {
				fmt.Fprintf(&b, "  share %d, %s at %v: %s %s %s %s %s\n", i, who, e.When.Sub(p.Began).Round(time.Millisecond), e.Type, e.State, e.Path, e.Code, e.Message)
			}
			fmt.Fprintf(&b, "  share %d, %s: %s\n", i, who, p.Complaints())
		}
	}
	return b.String()
}
