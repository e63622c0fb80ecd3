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

// TestWhoHandsAClaimBackIsToldThatItMayBeADecline: the grant lies at the relay, where the
// receiver has not seen it, and the sender takes what comes after it for a decline.
func TestWhoHandsAClaimBackIsToldThatItMayBeADecline(t *testing.T) {
	t.Parallel()
	const late = "If the credential had left for here by then, the sender takes that for a decline."
	r := newRelay(t)
	p := newLiar(t, r.url)
	alice, bob := newDevice(t), newDevice(t)
	link := alice.offered(p.URL())
	bob.claims(p, r.url, link)
	sender := alice.start("resume")
	sender.comes("share.granted")

	bob.orders("relinquish", exitDone, "Handed back. "+neverCame+" "+late)
	sender.failed(exitOver, notPlaced, false)
	again := bob.receive(link)
	again.failed(exitOver, "handed back", true)
	if hint := again.comes("error").Hint; !strings.Contains(hint, "used up") {
		t.Errorf("who wants it after all is told: %s", hint)
	}
	if _, help := sparekey(bob.home, "relinquish", "--help"); !strings.Contains(help, "declines it") {
		t.Errorf("the help says %s", help)
	}
}

// TestASecondTerminalWithTheSameLinkIsToldOfTheFirst, and not that another device has
// it; looking is no receiving, and keeps nobody out.
func TestASecondTerminalWithTheSameLinkIsToldOfTheFirst(t *testing.T) {
	t.Parallel()
	r := newRelay(t)
	alice, bob := newDevice(t), newDevice(t)
	link := alice.offered(r.url)
	first := bob.receive(link)
	first.comes("share.claimed") // and waits for alice
	looks := bob.start("view", link)
	looks.exits(exitDone)
	second := bob.receive(link)
	second.exits(exitRefused)
	if end := second.comes("error"); end.Code != "held" {
		t.Errorf("it is told %q: %s", end.Code, end.Message)
	}
	sender := alice.start("resume")
	first.exits(exitDone)
	sender.exits(exitDone)
	if bob.got() != spare || bob.state() != "done" {
		t.Errorf("bob has %q, and stands at %q", bob.got(), bob.state())
	}
}

// TestOfManyReceiversInOneVaultOneReceives: the others are told that it is being received
// here, or go on with it.
func TestOfManyReceiversInOneVaultOneReceives(t *testing.T) {
	t.Parallel()
	r := newRelay(t)
	for range 5 {
		alice, bob := newDevice(t), newDevice(t)
		sender, link := alice.share(r.url)
		var all []*process
		for range 4 {
			all = append(all, bob.receive(link))
		}
		for _, p := range all {
			<-p.ended
			if code := p.cmd.ProcessState.ExitCode(); code != exitDone && code != exitRefused {
				t.Errorf("exit %d: %s", code, p.stderr.String())
			}
		}
		sender.exits(exitDone)
		if bob.got() != spare || bob.state() != "done" {
			t.Errorf("bob has %q, and stands at %q", bob.got(), bob.state())
		}
	}
}
