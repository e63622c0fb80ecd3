package main

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sparekey/sparekey/relay/liar"
	"github.com/sparekey/sparekey/relay/wire"
)

const (
	nobodys    = "The credential was handed to nobody."
	notPlaced  = "which says that it was not put in its place there"
	wasHere    = "The credential had arrived on this device, and was not put in its place."
	onTheWay   = "The credential has left for the receiver, and its answer is not here yet."
	asksBack   = "The credential has left for the receiver, which is asked not to use it. Its answer is not here yet."
	neverCame  = "Nothing was received."
	nothingYet = "The share is kept, and nothing was received yet."
)

// failed waits for a process's end, and wants this exit and these words of its failure.
func (p *process) failed(exit int, words string, safe bool) {
	p.t.Helper()
	p.exits(exit)
	all := p.events()
	if last := all[len(all)-1]; last.Type != "error" || !strings.Contains(last.Message, words) || last.Safe != safe {
		p.t.Errorf("it ends with %q (safe: %v), want %q (%v)", last.Message, last.Safe, words, safe)
	}
}

// orders gives an order to the device's only share, and wants these words of what became of it.
func (d *device) orders(do string, exit int, words string) {
	d.t.Helper()
	if code, said := sparekey(d.home, do, d.id()); code != exit || !strings.Contains(said, words) {
		d.t.Errorf("%s ends with %d, want %d with %q: %s", do, code, exit, words, said)
	}
}

// TestACredentialThatHasLeftIsNotCalledHandedToNobody, and one that hasn't is.
func TestACredentialThatHasLeftIsNotCalledHandedToNobody(t *testing.T) {
	t.Parallel()
	r := newRelay(t)
	// arrives brings the credential to bob, who can't put it in its place.
	arrives := func(t *testing.T) (alice, bob *device, sender *process, link string) {
		alice, bob = newDevice(t), newDevice(t)
		sender, link = alice.share(r.url)
		if err := os.WriteFile(filepath.Join(bob.out, "got"), []byte("another file"), 0o600); err != nil {
			t.Fatal(err)
		}
		bob.receive(link).exits(exitCantWrite)
		return alice, bob, sender, link
	}
	t.Run("declined once it is here", func(t *testing.T) {
		t.Parallel()
		alice, bob, sender, link := arrives(t)
		bob.orders("decline", exitDone, "Declined. "+wasHere)
		sender.failed(exitOver, notPlaced, false)
		alice.start("resume", alice.id()).failed(exitOver, notPlaced, false)
		bob.receive(link).failed(exitOver, wasHere, false)
	})
	t.Run("recalled, and declined", func(t *testing.T) {
		t.Parallel()
		alice, bob, sender, _ := arrives(t)
		alice.start("cancel", alice.id()).failed(exitTaken, "has left for the receiver", false)
		bob.orders("decline", exitDone, wasHere)
		sender.failed(exitOver, notPlaced, false)
		if got := alice.state(); got != "cancelled" {
			t.Errorf("alice stands at %q", got)
		}
	})
	t.Run("left off while it is away", func(t *testing.T) {
		t.Parallel()
		alice, _, sender, _ := arrives(t)
		sender.cmd.Process.Signal(os.Interrupt)
		sender.failed(exitInterrupted, onTheWay, false)
		alice.start("resume", "--timeout", "1ms").failed(exitNoPath, onTheWay, false)
	})
	t.Run("recalled while it is away", func(t *testing.T) {
		t.Parallel()
		alice, _, sender, _ := arrives(t)
		sender.kill()
		alice.start("cancel", alice.id(), "--timeout", "1ms").failed(exitNoPath, asksBack, false)
		alice.start("resume", "--timeout", "1ms").failed(exitNoPath, asksBack, false)
	})
	t.Run("declined before it came", func(t *testing.T) {
		t.Parallel()
		alice, bob := newDevice(t), newDevice(t)
		p := newLiar(t, r.url)
		bob.claims(p, r.url, alice.offered(p.URL()))
		bob.start("resume", "--timeout", "1ms").failed(exitNoPath, nothingYet, true)
		bob.orders("decline", exitDone, "Declined. "+neverCame)
	})
	t.Run("cancelled before anybody came", func(t *testing.T) {
		t.Parallel()
		alice := newDevice(t)
		alice.offered(r.url)
		alice.start("resume", "--timeout", "1ms").failed(exitNoPath, "nothing was handed over", true)
		alice.orders("cancel", exitDone, "Cancelled. "+nobodys)
		alice.start("resume", alice.id()).failed(exitOver, nobodys, true)
	})
}

// untilSaid runs a command until it has said words, and interrupts it then.
func untilSaid(t *testing.T, words string, args ...string) (exit int, said string) {
	t.Helper()
	ctx, stop := context.WithTimeout(t.Context(), patience)
	defer stop()
	stderr := &bell{words: words, rings: make(chan struct{})}
	go func() {
		select {
		case <-stderr.rings:
			stop()
		case <-ctx.Done():
		}
	}()
	exit = run(ctx, args, nil, &record{}, stderr)
	return exit, stderr.String()
}

// TestWhoHasReceivedIsToldSoThoughTheSenderDoesNotKnow: when it is interrupted, and at
// once when it is taken up again.
func TestWhoHasReceivedIsToldSoThoughTheSenderDoesNotKnow(t *testing.T) {
	t.Setenv("XDG_CONFIG_HOME", t.TempDir())
	p := newLiar(t, newRelay(t).url, liar.Rule{Place: wire.Claims, Skip: 2, Do: liar.Drop})
	alice, bob := newDevice(t), newDevice(t)
	_, link := alice.share(p.URL())
	receiver := bob.receive(link)
	receiver.comes("share.provisioned")
	receiver.cmd.Process.Signal(os.Interrupt)
	receiver.exits(exitDone)
	if end := receiver.comes("result"); end.State != "provisioned" || end.Known || end.Where != filepath.Join(bob.out, "got") {
		t.Errorf("it ends with %+v", end)
	}
	exit, said := untilSaid(t, "Received before", "resume", "--home", bob.home)
	if exit != exitDone || !strings.Contains(said, "The sender doesn't know yet") {
		t.Errorf("exit %d: %s", exit, said)
	}
	bob.start("resume", "--timeout", "1ms").exits(exitDone)
}
