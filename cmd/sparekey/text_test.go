package main

import (
	"os"
	"path/filepath"
	"testing"
)

// TestWhatAPersonSaysInOtherBytesThanUTF8IsHeard: a label or a reason from a
// terminal of another encoding leaves the share as whole as any, on both devices.
func TestWhatAPersonSaysInOtherBytesThanUTF8IsHeard(t *testing.T) {
	t.Parallel()
	r := newRelay(t)
	const latin1, heard = "caf\xe9", "caf\uFFFD"

	t.Run("a label", func(t *testing.T) {
		t.Parallel()
		alice, bob := newDevice(t), newDevice(t)
		sender, link := alice.share(r.url)
		bob.receive(link, "--name", latin1).exits(exitDone)
		sender.exits(exitDone)
		if got := sender.comes("share.claimed").Peer; got != heard || bob.got() != spare {
			t.Errorf("the sender hears of %q, and %q was received", got, bob.got())
		}
	})
	t.Run("a decline's reason", func(t *testing.T) {
		t.Parallel()
		alice, bob := newDevice(t), newDevice(t)
		sender, link := alice.share(r.url)
		if err := os.WriteFile(filepath.Join(bob.out, "got"), []byte("another file"), 0o600); err != nil {
			t.Fatal(err)
		}
		bob.receive(link).exits(exitCantWrite)
		bob.start("decline", bob.id(), "--reason", latin1).exits(exitDone)
		sender.exits(exitOver)
		if got := sender.comes("share.declined").Reason; got != heard || bob.state() != "declined" {
			t.Errorf("the sender hears %q, and bob stands at %q", got, bob.state())
		}
	})
	t.Run("a cancel's reason", func(t *testing.T) {
		t.Parallel()
		alice, bob := newDevice(t), newDevice(t)
		link := alice.offered(r.url)
		alice.start("cancel", alice.id(), "--reason", latin1).exits(exitDone)
		if got := alice.state(); got != "cancelled" {
			t.Errorf("alice stands at %q", got)
		}
		bob.receive(link).exits(exitTaken)
	})
}
