package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// TestAClaimIsNotHandedBackOnceTheCredentialHasArrived: where it could not be put in its
// place, relinquish says at once that decline is what is left, and decline does it.
func TestAClaimIsNotHandedBackOnceTheCredentialHasArrived(t *testing.T) {
	t.Parallel()
	r := newRelay(t)
	alice, bob := newDevice(t), newDevice(t)
	sender, link := alice.share(r.url)
	if err := os.WriteFile(filepath.Join(bob.out, "got"), []byte("another file"), 0o600); err != nil {
		t.Fatal(err)
	}
	bob.receive(link).exits(exitCantWrite)
	id := bob.id()

	order := exec.CommandContext(t.Context(), filepath.Join(bin, "sparekey"), "relinquish", id, "--home", bob.home)
	order.Env = append(os.Environ(), "XDG_CONFIG_HOME="+bob.home)
	said, _ := order.CombinedOutput()
	if want := "error: too late to hand the claim back: the credential has arrived, and is not in its place yet.\n" +
		"  try: sparekey decline " + id + " turns it down\n  code: too_late\n"; string(said) != want {
		t.Errorf("it says\n%s and not at once\n%s", said, want)
	}
	if code := order.ProcessState.ExitCode(); code != exitTaken {
		t.Errorf("exit %d, want %d", code, exitTaken)
	}
	if got := bob.state(); got != "provisioning" {
		t.Errorf("bob stands at %q, want provisioning", got)
	}
	bob.start("decline", id).exits(exitDone)
	sender.exits(exitOver)
	if alice.state() != "declined" || bob.state() != "declined" || bob.got() != "another file" {
		t.Errorf("alice stands at %q, bob at %q and has %q", alice.state(), bob.state(), bob.got())
	}
}
