package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestAShareIsNotMadeForATimeThatIsNone: a life that is over, or beyond all bounds, isn't
// taken for the usual one.
func TestAShareIsNotMadeForATimeThatIsNone(t *testing.T) {
	t.Parallel()
	alice := newDevice(t)
	file := filepath.Join(alice.out, "spare.key")
	if err := os.WriteFile(file, []byte(spare), 0o600); err != nil {
		t.Fatal(err)
	}
	// The last of these is 2^32 s and an hour.
	for _, life := range []string{"0", "-1s", "999ms", "144h0m1s", "168h", "1193047h28m16s"} {
		p := alice.start("share", file, "--yes", "--paths", "lan", "--expires", life)
		p.exits(exitUsage)
		if e := p.events(); len(e) != 1 || e[0].Code != "preview" || !strings.Contains(e[0].Message, "a second to 144 hours") {
			t.Errorf("--expires %s: %s", life, p.said())
		}
	}
	if got := alice.state(); got != "" {
		t.Errorf("there are shares: %s", got)
	}
}

// TestAFileOfAnyNameIsShared: what doesn't fit a title is cut, and what isn't UTF-8 replaced.
func TestAFileOfAnyNameIsShared(t *testing.T) {
	t.Parallel()
	r := newRelay(t)
	for name, title := range map[string]string{
		"a" + strings.Repeat("ä", 127): "a" + strings.Repeat("ä", 59),
		"caf\xe9.txt":                  "caf\uFFFD.txt",
	} {
		alice, bob := newDevice(t), newDevice(t)
		file := filepath.Join(alice.out, name)
		if err := os.WriteFile(file, []byte(spare), 0o600); err != nil {
			t.Fatal(err)
		}
		p := alice.start("share", file, "--yes", "--relay", r.url)
		offered := p.comes("share.offered")
		bob.receive(offered.Link).exits(exitDone)
		p.exits(exitDone)
		if offered.Title != title || bob.got() != spare {
			t.Errorf("the title is %q, and %q was received", offered.Title, bob.got())
		}
	}
}

// TestACredentialIsNotPutWhereItCouldNotBeFoundAgain: a path that isn't UTF-8 is refused before
// anything is claimed.
func TestACredentialIsNotPutWhereItCouldNotBeFoundAgain(t *testing.T) {
	t.Parallel()
	r := newRelay(t)
	alice, bob := newDevice(t), newDevice(t)
	link := alice.offered(r.url)
	p := bob.receive(link, "-o", filepath.Join(bob.out, "caf\xe9"))
	p.exits(exitUsage)
	if e := p.events(); !strings.Contains(e[len(e)-1].Message, "isn't UTF-8") || bob.state() != "" {
		t.Errorf("bob has a share at %q, and\n%s", bob.state(), p.said())
	}
}

// TestWhoHandedAClaimBackMayReceiveAfterAll, as its own message says.
func TestWhoHandedAClaimBackMayReceiveAfterAll(t *testing.T) {
	t.Parallel()
	r := newRelay(t)
	alice, bob := newDevice(t), newDevice(t)
	link := alice.offered(r.url)
	receiver := bob.receive(link)
	receiver.comes("share.claimed")
	id := bob.id()
	bob.start("relinquish", id).exits(exitDone)
	receiver.exits(exitOver)

	again := bob.receive(link)
	again.exits(exitOver)
	e := again.events()[len(again.events())-1]
	if want := "to receive it after all: sparekey forget " + id + ", and open the link again; where the credential had left by then, it is used up"; e.Code != "relinquished" || e.Hint != want {
		t.Errorf("%s", again.said())
	}
	bob.start("forget", id, "--yes").exits(exitDone)
	sender := alice.start("resume")
	bob.receive(link).exits(exitDone)
	sender.exits(exitDone)
	if bob.got() != spare {
		t.Errorf("bob has %q", bob.got())
	}
}
