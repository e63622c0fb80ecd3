package main

import (
	"bufio"
	"context"
	"crypto/rand"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sparekey/sparekey/node"
	"github.com/sparekey/sparekey/node/credential"
	"github.com/sparekey/sparekey/node/share"
	"github.com/sparekey/sparekey/node/vault"
	"github.com/sparekey/sparekey/noise"
)

// newApp opens a vault in a folder, without a terminal and without a network.
func newApp(t testing.TB, home string) *app {
	t.Helper()
	a := &app{output: output{stdout: io.Discard, stderr: io.Discard}}
	a.placed.Registry = a.formats()
	a.config.Home = home
	a.term = newTerminal(nil, io.Discard, true)
	if err := a.open(t.Context()); err != nil {
		t.Fatal(err)
	}
	return a
}

// offered makes a share in a vault; nothing is sent.
func offered(t *testing.T, a *app) (id string, r node.Record) {
	t.Helper()
	dev := a.device()
	dev.Authorize = func(context.Context, share.Preview) error { return nil }
	opening, err := credential.OfferFile("key", 0o600, []byte("the spare key"))
	if err != nil {
		t.Fatal(err)
	}
	if id, err = a.vault.NewID(); err != nil {
		t.Fatal(err)
	}
	r, err = dev.Offer(t.Context(), id, node.Offer{Preview: share.Preview{Format: "file", Title: "key"}, Opening: opening, Relay: "http://127.0.0.1:1"})
	if err != nil {
		t.Fatal(err)
	}
	return id, r
}

func TestOrderIsReadUnderItsExactNamesAlone(t *testing.T) {
	for line, want := range map[string]order{
		`{"do":"cancel"}`:                    {Do: "cancel"},
		`{"do":"decline","reason":"no"}`:     {"decline", "no"},
		` {"reason":"","do":"relinquish"} `:  {Do: "relinquish"},
		`{"Do":"cancel"}`:                    {},
		`{"do":"cancel","Reason":"no"}`:      {},
		`{"do":"cancel","why":"no"}`:         {},
		`{"do":"CANCEL"}`:                    {},
		`{"do":"cancel","reason":1}`:         {},
		`{"do":["cancel"]}`:                  {},
		`{"reason":"no"}`:                    {},
		`{"do":"cancel"}{"do":"relinquish"}`: {},
		`["cancel"]`:                         {},
		`cancel`:                             {},
		``:                                   {},
	} {
		got, ok := parseOrder([]byte(line))
		if ok != (want != order{}) || ok && got != want {
			t.Errorf("%s is read as %v, %v; want %v", line, got, ok, want)
		}
	}
}

// pipes is a listener whose connections are given to it.
type pipes chan net.Conn

func (p pipes) Accept() (net.Conn, error) {
	if c, ok := <-p; ok {
		return c, nil
	}
	return nil, net.ErrClosed
}
func (p pipes) Close() error { close(p); return nil }
func (pipes) Addr() net.Addr { return nil }

// TestWhoConnectsAndSaysNothingDoesNotHoldUpTheEnd: no time passes at all.
func TestWhoConnectsAndSaysNothingDoesNotHoldUpTheEnd(t *testing.T) {
	home := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		a := newApp(t, home)
		id, r := offered(t, a)
		lock, err := a.hold(id)
		if err != nil {
			t.Fatal(err)
		}
		dev, socket := a.device(), make(pipes)
		dev.Finders = nil
		d := &drive{a: a, id: id, lock: lock, updates: make(chan node.Update, 256), socket: socket}
		d.ctx, d.stop = context.WithCancel(t.Context())
		if d.live, err = dev.Start(d.ctx, id, r, d.tell); err != nil {
			t.Fatal(err)
		}
		d.served.Go(d.serve)
		silent, theirs := net.Pipe()
		defer silent.Close()
		socket <- theirs
		go io.Copy(io.Discard, silent)
		synctest.Wait() // until it is waited for
		began := time.Now()
		d.close()
		if took := time.Since(began); took != 0 {
			t.Errorf("the end took %v: somebody who said nothing was waited for", took)
		}
	})
}

// TestOrderToAHolderThatDiesAtThatMomentIsCarriedOut: the holder takes the order
// and lets go of the share without an answer.
func TestOrderToAHolderThatDiesAtThatMomentIsCarriedOut(t *testing.T) {
	t.Parallel()
	home := filepath.Join(t.TempDir(), "home")
	a := newApp(t, home)
	id, _ := offered(t, a)
	lock, err := a.hold(id)
	if err != nil {
		t.Fatal(err)
	}
	socket, err := a.vault.Listen(id)
	if err != nil {
		t.Fatal(err)
	}
	asked := make(chan string, 1)
	go func() {
		c, err := socket.Accept()
		if err != nil {
			asked <- err.Error()
			return
		}
		line, _ := bufio.NewReader(c).ReadString('\n')
		socket.Close()
		lock.Release()
		c.Close()
		asked <- line
	}()
	code, out := sparekey(home, "cancel", id)
	if code != exitDone || !strings.Contains(out, "Cancelled") {
		t.Errorf("cancel ends with %d: %s", code, out)
	}
	if got := <-asked; !strings.Contains(got, "cancel") {
		t.Errorf("the holder was asked %q", got)
	}
	r, err := a.device().Load(id)
	if err != nil {
		t.Fatal(err)
	}
	if state, _, _, _ := r.State(); state != share.Cancelled {
		t.Errorf("the share stands at %s", state)
	}
}

// unanswered returns a sender whose receiver took the grant and never answered.
func unanswered(t *testing.T, r node.Record) share.Sender {
	t.Helper()
	s, err := share.UnmarshalSender(r.Machine)
	if err != nil {
		t.Fatal(err)
	}
	keys := r.Link().Keys()
	v := share.NewReceiver(noise.Secrets{ID: r.ID, PSK: keys.PSK, OfferKey: keys.Offer})
	v, _ = v.Step(now(), rand.Reader, share.Arrived{Frames: s.Outbox()})
	v, _ = v.Step(now(), rand.Reader, share.Accept{})
	s, _ = s.Step(now(), rand.Reader, share.Arrived{Frames: v.Outbox()})
	task, _ := s.Task()
	s, _ = s.Step(now(), rand.Reader, share.Answered{Key: task.Key, Answer: share.Answer{Out: [][]byte{{1}}, Grants: true, Done: true}})
	later := now()
	later.Up += 100 * 24 * time.Hour
	if s, _ = s.Step(later, rand.Reader, share.Woken{}); s.State != share.Unresolved {
		t.Fatalf("the sender stands at %s", s.State)
	}
	return s
}

// TestCopiedVaultFallsSilentForSharesThatWereUnresolvedBefore is a part of
// VLT-04: an unresolved share still takes a late answer, but only the original's.
func TestCopiedVaultFallsSilentForSharesThatWereUnresolvedBefore(t *testing.T) {
	home, copied := filepath.Join(t.TempDir(), "home"), filepath.Join(t.TempDir(), "copy")
	a := newApp(t, home)
	id, r := offered(t, a)
	r.Machine = unanswered(t, r).Marshal()
	b, err := r.Encode()
	if err = errors.Join(err, a.vault.Save(id, b), os.CopyFS(copied, os.DirFS(home))); err != nil {
		t.Fatal(err)
	}
	for what, c := range map[string]struct {
		home   string
		silent bool
	}{"the original": {home, false}, "the copy": {copied, true}} {
		r, err := newApp(t, c.home).device().Load(id)
		if err != nil {
			t.Fatal(err)
		}
		s, err := share.UnmarshalSender(r.Machine)
		if err != nil || s.State != share.Unresolved || s.Copied != c.silent {
			t.Errorf("%s: state %s, silent %v, %v; want silent %v", what, s.State, s.Copied, err, c.silent)
		}
	}
}

// TestCopiesShareIsHaltedUnderItsLock: of two processes that open a copy at once
// the second waits for the first.
func TestCopiesShareIsHaltedUnderItsLock(t *testing.T) {
	t.Parallel()
	home, copied := filepath.Join(t.TempDir(), "home"), filepath.Join(t.TempDir(), "copy")
	id, _ := offered(t, newApp(t, home))
	if err := os.CopyFS(copied, os.DirFS(home)); err != nil {
		t.Fatal(err)
	}
	v, err := vault.Open(copied, vault.Options{Rand: zeros{}})
	if err != nil {
		t.Fatal(err)
	}
	lock, err := v.Lock(id)
	if err != nil {
		t.Fatal(err)
	}
	type end struct {
		code int
		out  string
	}
	ended := make(chan end, 1)
	go func() {
		code, out := sparekey(copied, "list", "--timeout", "2s")
		ended <- end{code, out}
	}()
	if e := <-ended; e.code != exitNoPath {
		t.Errorf("a held share of a copy: exit %d, %s", e.code, e.out)
	}
	lock.Release()
	if code, out := sparekey(copied, "list"); code != exitDone || !strings.Contains(out, "unresolved") || !strings.Contains(out, "copy") {
		t.Errorf("a free share of a copy: exit %d, %s", code, out)
	}
}

// zeros is no randomness; for a vault that nothing is written to.
type zeros struct{}

func (zeros) Read(p []byte) (int, error) { return len(p), nil }
