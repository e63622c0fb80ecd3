package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/sparekey/sparekey/node/link"
)

// TestAListTellsHowManySharesItCannotRead, and doesn't say that there are none.
func TestAListTellsHowManySharesItCannotRead(t *testing.T) {
	t.Setenv("XDG_CONFIG_HOME", t.TempDir())
	home := filepath.Join(t.TempDir(), "home")
	a := newApp(t, home)
	offered(t, a)
	damaged, err := filepath.Glob(filepath.Join(home, "shares", "????????"))
	if err != nil || len(damaged) != 1 {
		t.Fatalf("%q: %v", damaged, err)
	}
	if err := os.Truncate(damaged[0], 20); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		args []string
		rows int
	}{{[]string{"list"}, 0}, {[]string{"list", "--all"}, 0}, {[]string{"list"}, 1}} {
		if c.rows > 0 {
			offered(t, a)
		}
		var stdout, stderr bytes.Buffer
		exit := run(t.Context(), append(c.args, "--home", home), nil, &stdout, &stderr)
		if said := stderr.String(); exit != exitVault || !strings.Contains(said, "1 share here can't be read") || strings.Contains(strings.ToLower(said), "no share") {
			t.Errorf("%v: exit %d, %s", c.args, exit, said)
		}
		if rows := strings.Count(stdout.String(), "\n"); rows != c.rows {
			t.Errorf("%v: %d rows, want %d", c.args, rows, c.rows)
		}
	}
}

// TestASenderThatIsTakenUpAgainSaysWhatItWaitsFor, and that Ctrl-C is safe.
func TestASenderThatIsTakenUpAgainSaysWhatItWaitsFor(t *testing.T) {
	t.Setenv("XDG_CONFIG_HOME", t.TempDir())
	alice := newDevice(t)
	alice.offered(newRelay(t).url)
	exit, said := untilSaid(t, "Waiting for it to be claimed … (Ctrl-C is safe", "resume", "--home", alice.home)
	if exit != exitInterrupted || !strings.Contains(said, "nothing was handed over") {
		t.Errorf("exit %d: %s", exit, said)
	}
}

// TestASenderThatDoesNotWaitSaysHowToLeave, for the relay may not be there.
func TestASenderThatDoesNotWaitSaysHowToLeave(t *testing.T) {
	t.Setenv("XDG_CONFIG_HOME", t.TempDir())
	alice := newDevice(t)
	exit, said := untilSaid(t, "Leaving it at the relay … (Ctrl-C is safe", "share", os.DevNull, "--yes", "--no-wait", "--relay", "http://127.0.0.1:9", "--home", alice.home)
	if exit != exitInterrupted || !strings.Contains(said, "sparekey resume "+alice.id()) {
		t.Errorf("exit %d: %s", exit, said)
	}
}

// A gone reader has closed what is written to it.
type gone struct{}

func (gone) Write([]byte) (int, error) { return 0, syscall.EPIPE }

// TestAnOutputThatIsClosedTellsOfTheShareThatIsKept, and of none where there is none.
func TestAnOutputThatIsClosedTellsOfTheShareThatIsKept(t *testing.T) {
	t.Setenv("XDG_CONFIG_HOME", t.TempDir())
	alice := newDevice(t)
	relay := newRelay(t).url
	for _, c := range []struct {
		args []string
		kept bool
	}{
		{[]string{"share", os.DevNull, "--yes", "--no-wait", "--relay", relay}, true},
		{[]string{"list"}, false},
		{[]string{"formats"}, false},
	} {
		var stderr bytes.Buffer
		exit := run(t.Context(), append(c.args, "--home", alice.home), nil, gone{}, &stderr)
		said := stderr.String()
		if exit != exitCantWrite || !strings.Contains(said, "code: output_closed") || strings.Contains(said, "is kept") != c.kept || strings.Contains(said, "sparekey show "+alice.id()) != c.kept {
			t.Errorf("%v: exit %d, %s", c.args, exit, said)
		}
	}
}

// TestALookThatFindsNothingSaysWhereItLooks: a link that leads to no share can't be told from
// one whose sender is away, so all there is to say is where it is looked for, and that leaving is safe.
func TestALookThatFindsNothingSaysWhereItLooks(t *testing.T) {
	t.Setenv("XDG_CONFIG_HOME", t.TempDir())
	relay := newRelay(t).url
	nobodys := link.Link{Relay: relay, ID: [16]byte{1}, Secret: [16]byte{2}}
	for _, args := range [][]string{{"view"}, {"receive", "--yes"}} {
		words := "Looking for it at " + nobodys.Host() + " … (Ctrl-C is safe: nothing is used up)"
		exit, said := untilSaid(t, words, append(args, nobodys.URL(), "--home", newDevice(t).home)...)
		if exit != exitInterrupted || !strings.Contains(said, words) || !strings.Contains(said, "interrupted. Nothing was used up.") {
			t.Errorf("%v: exit %d: %s", args, exit, said)
		}
	}
	nowhere := link.Link{ID: [16]byte{1}, Secret: [16]byte{2}}
	for _, c := range []struct {
		ways ways
		link link.Link
		want string
	}{
		{everyWay, nobodys, "at " + nobodys.Host() + " and on the local network"},
		{ways{wayLAN}, nobodys, "on the local network"},
		{everyWay, nowhere, "on the local network"},
	} {
		if got := sought(c.ways, c.link); got != c.want {
			t.Errorf("by %s it looks %q, want %q", c.ways, got, c.want)
		}
	}
}
