package main

import (
	"bytes"
	"encoding/json"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

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

// TestAKeyFileIsMadeAsItsErrorAndTheDocsSay: no vault is called locked before there is one,
// nothing is left of it, and the command that is told makes a key that opens a new one.
func TestAKeyFileIsMadeAsItsErrorAndTheDocsSay(t *testing.T) {
	t.Setenv("XDG_CONFIG_HOME", t.TempDir())
	dir := t.TempDir()
	home, file := filepath.Join(dir, "home"), filepath.Join(dir, "stick.key")
	t.Setenv("SPAREKEY_VAULT_KEY_FILE", file)
	list := func() (exit int, said string) {
		var stderr bytes.Buffer
		exit = run(t.Context(), []string{"list", "--home", home}, nil, &record{}, &stderr)
		return exit, stderr.String()
	}
	const how = "(umask 077; head -c 32 /dev/urandom | base64 >FILE)"
	exit, said := list()
	if exit != exitVault || !strings.Contains(said, file+" is not there") || !strings.Contains(said, how) || !strings.Contains(said, "code: no_key") || strings.Contains(said, "locked") {
		t.Errorf("exit %d: %s", exit, said)
	}
	if made, err := os.ReadDir(dir); err != nil || len(made) > 0 {
		t.Errorf("there are %v, %v", made, err)
	}
	if page, err := os.ReadFile("../../docs/commands.md"); err != nil || !strings.Contains(string(page), strings.ReplaceAll(how, "FILE", "/media/stick/key")) {
		t.Errorf("docs/commands.md doesn't say how (%v)", err)
	}
	if out, err := exec.Command("sh", "-c", strings.ReplaceAll(how, "FILE", file)).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	if exit, said := list(); exit != exitDone {
		t.Errorf("with a key: exit %d: %s", exit, said)
	}
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	if exit, said := list(); exit != exitVault || !strings.Contains(said, "the vault is locked: its key file "+file+" is not there") || !strings.Contains(said, "code: vault_locked") {
		t.Errorf("with a vault, and its key gone: exit %d: %s", exit, said)
	}
}

// TestWhoIsSignalledTwiceSaysThatWhatWasBegunIsKept: whichever signal it gets to, JSON has one
// last object, and it is an error.
func TestWhoIsSignalledTwiceSaysThatWhatWasBegunIsKept(t *testing.T) {
	t.Parallel()
	r := newRelay(t)
	for range 5 {
		p, _ := newDevice(t).share(r.url)
		for _, s := range []os.Signal{syscall.SIGTERM, os.Interrupt} {
			p.cmd.Process.Signal(s)
		}
		p.exits(exitInterrupted)
		errors := 0
		for _, e := range p.events() {
			if e.Type == "error" {
				errors++
			}
		}
		if e := p.events(); errors != 1 || e[len(e)-1].Code != "interrupted" || !strings.Contains(e[len(e)-1].Message, "kept") {
			t.Errorf("after two signals: %s", p.said())
		}
	}
}

// TestTheLastWordIsSaidOnce, whether it is the command's or that of a second signal.
func TestTheLastWordIsSaidOnce(t *testing.T) {
	for what, c := range map[string]struct {
		json bool
		say  func(*app)
		want string
	}{
		"prose, under way":            {false, func(a *app) { a.say("Waiting …") }, "Waiting …\nerror: interrupted twice, and left at once. What was begun is kept.\n  try: sparekey list shows it\n  code: interrupted\n"},
		"prose, after a failure":      {false, func(a *app) { a.failed(usage("wrong")) }, "error: wrong.\n  try: sparekey --help\n  code: usage\n"},
		"JSON, after a share":         {true, func(a *app) { a.emit(event{Type: "share"}) }, "share error "},
		"JSON, after a failure":       {true, func(a *app) { a.failed(usage("wrong")) }, "error "},
		"JSON, after what it has led": {true, func(a *app) { a.emit(event{Type: "result"}) }, "result "},
	} {
		var stdout, stderr bytes.Buffer
		a := &app{output: output{stdout: &stdout, stderr: &stderr, json: c.json}}
		c.say(a)
		a.leave(c.json)
		got := stderr.String()
		for line := range strings.Lines(stdout.String()) {
			var e event
			if err := json.Unmarshal([]byte(line), &e); err != nil {
				t.Error(err)
			}
			got += e.Type + " "
		}
		if got != c.want {
			t.Errorf("%s: it says %q, want %q", what, got, c.want)
		}
	}
}

// A stuck reader takes nothing of what is written to it until it is closed.
type stuck struct{ written, closed chan struct{} }

func (s stuck) Write(p []byte) (int, error) {
	s.written <- struct{}{}
	<-s.closed
	return len(p), nil
}

// TestASecondSignalDoesNotWaitForAReader who takes nothing: neither of what the command is
// saying nor of what is said last.
func TestASecondSignalDoesNotWaitForAReader(t *testing.T) {
	t.Parallel()
	for _, saying := range []bool{true, false} {
		out := stuck{make(chan struct{}, 2), make(chan struct{})}
		a := &app{output: output{stdout: io.Discard, stderr: out}}
		if saying {
			go a.say("Waiting …")
			<-out.written
		}
		left := make(chan struct{})
		go func() {
			a.leave(false)
			close(left)
		}()
		select {
		case <-left:
		case <-time.After(patience):
			t.Errorf("it waits for its reader (saying: %v)", saying)
		}
		close(out.closed)
	}
}

// TestAnEndThatNobodyKnowsOfIsToldFirstAndListedWithItsReason: the relay isn't there.
func TestAnEndThatNobodyKnowsOfIsToldFirstAndListedWithItsReason(t *testing.T) {
	t.Setenv("XDG_CONFIG_HOME", t.TempDir())
	home := filepath.Join(t.TempDir(), "home")
	id, _ := offered(t, newApp(t, home))
	var stderr record
	exit := run(t.Context(), []string{"cancel", id, "--home", home}, nil, &record{}, &stderr)
	said := stderr.String()
	cancelled, unknown := strings.Index(said, "Cancelled."), strings.Index(said, "The other side doesn't know yet")
	if exit != exitDone || cancelled < 0 || unknown < cancelled {
		t.Errorf("exit %d: %s", exit, said)
	}
	var stdout record
	run(t.Context(), []string{"list", "--home", home}, nil, &stdout, &record{})
	if row := stdout.String(); !strings.Contains(row, "cancelled") || !strings.Contains(row, ": the other side doesn't know yet") {
		t.Errorf("it is listed as %s", row)
	}
}

// TestNoShareHasAnEmptyID, though every id begins with it.
func TestNoShareHasAnEmptyID(t *testing.T) {
	t.Setenv("XDG_CONFIG_HOME", t.TempDir())
	home := filepath.Join(t.TempDir(), "home")
	offered(t, newApp(t, home))
	var stdout, stderr record
	if exit := run(t.Context(), []string{"show", "", "--home", home}, nil, &stdout, &stderr); exit != exitNotFound || stdout.String() != "" {
		t.Errorf("exit %d: %s%s", exit, stdout.String(), stderr.String())
	}
}
