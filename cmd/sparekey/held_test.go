package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
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

// TestForceWritesOverTheFileThatWasNamedAndNoOther, from whatever folder it is given.
func TestForceWritesOverTheFileThatWasNamedAndNoOther(t *testing.T) {
	t.Parallel()
	r := newRelay(t)
	for _, c := range []struct {
		name  string
		again func(link, id string) []string
	}{
		{"by resume", func(_, id string) []string { return []string{"resume", id, "--force"} }},
		{"by receive with the same link", func(link, _ string) []string { return []string{"receive", link, "--yes", "--force"} }},
	} {
		t.Run(c.name, func(t *testing.T) {
			alice, bob := newDevice(t), newDevice(t)
			sender, link := alice.share(r.url)
			dir := t.TempDir()
			named, other := filepath.Join(dir, "spare.key"), filepath.Join(bob.out, "spare.key")
			for _, file := range []string{named, other} {
				if err := os.WriteFile(file, []byte("of "+file), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			bob.start("receive", link, "--yes", "-o", dir).exits(exitCantWrite)
			bob.start(c.again(link, bob.id())...).exits(exitDone)
			sender.exits(exitDone)
			for file, want := range map[string]string{named: spare, other: "of " + other} {
				if b, err := os.ReadFile(file); err != nil || string(b) != want {
					t.Errorf("%s holds %q, %v; want %q", file, b, err, want)
				}
			}
		})
	}
}

// TestAForceThatCannotHelpIsNotAdvised: over a link nothing is written.
func TestAForceThatCannotHelpIsNotAdvised(t *testing.T) {
	t.Parallel()
	r := newRelay(t)
	alice, bob := newDevice(t), newDevice(t)
	_, link := alice.share(r.url)
	if err := os.Symlink("elsewhere", filepath.Join(bob.out, "got")); err != nil {
		t.Fatal(err)
	}
	for _, more := range [][]string{nil, {"--force"}} {
		p := bob.receive(link, more...)
		p.exits(exitCantWrite)
		if end := p.comes("error"); strings.Contains(end.Message+end.Hint, "--force") || !strings.Contains(end.Message, "no plain file") {
			t.Errorf("with %q it says: %s; %s", more, end.Message, end.Hint)
		}
	}
}
