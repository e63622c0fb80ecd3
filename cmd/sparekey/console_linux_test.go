package main

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
	"unicode"

	"github.com/sparekey/sparekey/relay/liar"
	"github.com/sparekey/sparekey/relay/wire"
)

// A console is a program on a terminal of its own, with a person at it: Ctrl-C
// is a key.
type console struct {
	t      *testing.T
	cmd    *exec.Cmd
	person *os.File
	ended  chan struct{}

	mu   sync.Mutex
	text bytes.Buffer
	more chan struct{}
}

// console starts a command of this device on a terminal.
func (d *device) console(t *testing.T, args ...string) *console {
	t.Helper()
	person, tty := openTerminal(t)
	c := &console{t: t, person: person, ended: make(chan struct{}), more: make(chan struct{})}
	c.cmd = exec.Command(filepath.Join(bin, "sparekey"), append(args, "--home", d.home)...)
	c.cmd.Dir = d.out
	c.cmd.Env = append(os.Environ(), "XDG_CONFIG_HOME="+d.home)
	c.cmd.Stdin, c.cmd.Stdout, c.cmd.Stderr = tty, tty, tty
	c.cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	if err := c.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	tty.Close() // so that reading ends, after the last word, when the program does
	drained := make(chan struct{})
	go func() {
		defer close(drained)
		b := make([]byte, 4096)
		for {
			n, err := person.Read(b)
			c.mu.Lock()
			c.text.Write(b[:n])
			close(c.more)
			c.more = make(chan struct{})
			c.mu.Unlock()
			if err != nil {
				return
			}
		}
	}()
	go func() {
		defer close(c.ended)
		c.cmd.Wait()
		<-drained
	}()
	t.Cleanup(func() { c.cmd.Process.Kill(); <-c.ended })
	return c
}

// shown returns all that stands on the terminal.
func (c *console) shown() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.text.String()
}

// shows waits until the terminal shows words.
func (c *console) shows(words string) {
	c.t.Helper()
	timeout := time.After(patience)
	for {
		c.mu.Lock()
		more, there := c.more, strings.Contains(c.text.String(), words)
		c.mu.Unlock()
		if there {
			return
		}
		select {
		case <-more:
		case <-timeout:
			c.t.Fatalf("the terminal doesn't show %q: %s", words, c.shown())
		}
	}
}

func (c *console) types(keys string) {
	c.t.Helper()
	if _, err := io.WriteString(c.person, keys); err != nil {
		c.t.Fatal(err)
	}
}

func (c *console) exits(code int) {
	c.t.Helper()
	select {
	case <-c.ended:
	case <-time.After(patience):
		c.t.Fatalf("it doesn't end: %s", c.shown())
	}
	if got := c.cmd.ProcessState.ExitCode(); got != code {
		c.t.Fatalf("%s, want exit %d: %s", c.cmd.ProcessState, code, c.shown())
	}
}

const ctrlC = "\x03"

func TestLNK04TheRelayIsShownAndAskedAbout(t *testing.T) {
	t.Parallel()
	c := newDevice(t).console(t, "receive", "https://relay.example.org/s/AAAAAAAAAAAAAAAAAAAAAA#AAAAAAAAAAAAAAAAAAAAAA")
	c.shows("relay.example.org")
	c.shows("[Y/n]")
	c.types("n\n")
	c.exits(exitRefused)
	if !strings.Contains(c.shown(), "the relay was not contacted") {
		t.Error(c.shown())
	}
}

// TestPRV03AForeignTitleIsHarmlessAndBoundedOnATerminal shows a preview with
// markup, escapes, overrides and letters that can't be seen. (A relay's page
// shows no title at all: it can't read one.)
func TestPRV03AForeignTitleIsHarmlessAndBoundedOnATerminal(t *testing.T) {
	t.Parallel()
	r := newRelay(t)
	for what, title := range map[string]string{
		"markup":      `<script>alert(1)</script><img src=x onerror=x>`,
		"escapes":     "\x1b[2J\x1b]0;owned\x07red\u009b31m",
		"overrides":   "gpj.\u202eyek\u2066\u2069",
		"invisible":   "k\u200be\u200dy\ufeff\u00ad",
		"line breaks": "key\r\nReceived.\u2028\u2029\x0b",
		"long":        strings.Repeat("W", 119),
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			alice := newDevice(t)
			link := alice.offered(r.url, "--title", title, "--note", title)
			c := newDevice(t).console(t, "view", link)
			c.exits(exitDone)
			c.shows("Nothing is used up by looking.")
			for _, char := range c.shown() {
				if char == '\n' || char == '\r' {
					continue
				}
				if !unicode.IsPrint(char) || unicode.Is(unicode.Cf, char) {
					t.Errorf("%U reaches the terminal: %q", char, c.shown())
				}
			}
			if lines := strings.Count(c.shown(), "\n"); lines > 4 || len(c.shown()) > 1000 {
				t.Errorf("%d lines, %d bytes are shown", lines, len(c.shown()))
			}
		})
	}
	alice := newDevice(t)
	for _, long := range []string{strings.Repeat("W", 10_000), strings.Repeat("🔑", 200)} {
		p := alice.start("share", filepath.Join(alice.out, "k"), "--yes", "--relay", r.url, "--title", long)
		if code := p.exit(); code == exitDone {
			t.Errorf("a title of %d bytes is taken", len(long))
		}
	}
}

// TestCLI01WithoutATerminalAndWithoutYesNothingIsWrittenOrSent starts a share
// where nobody can be asked.
func TestCLI01WithoutATerminalAndWithoutYesNothingIsWrittenOrSent(t *testing.T) {
	t.Parallel()
	p := newLiar(t, newRelay(t).url)
	alice := newDevice(t)
	if err := os.WriteFile(filepath.Join(alice.out, "key"), []byte(spare), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, more := range [][]string{nil, {"--no-prompt"}} {
		refused := alice.start(append([]string{"share", "key", "--relay", p.URL()}, more...)...)
		refused.exits(exitUsage)
		if !strings.Contains(refused.said(), "--yes") {
			t.Error(refused.said())
		}
	}
	if files, _ := filepath.Glob(filepath.Join(alice.home, "shares", "*")); len(files) != 0 || len(p.Calls()) != 0 {
		t.Errorf("files %v, calls %v", files, p.Calls())
	}
}

// TestCLI02CtrlCIsSafeAtEveryPromptAndWait presses the key at each, and wants to
// be told how the share stands.
func TestCLI02CtrlCIsSafeAtEveryPromptAndWait(t *testing.T) {
	t.Parallel()
	r := newRelay(t)
	for _, c := range []struct {
		where string
		start func(alice, bob *device, link string) []string
		on    func(alice, bob *device) *device
		shows string
		tells string
		state string // of the share on that device afterwards
	}{
		{"the question to the sender", func(*device, *device, string) []string { return []string{"share", "key", "--relay", r.url} }, sending, "[y/N]", "Nothing was done", ""},
		{"the sender waits", func(*device, *device, string) []string {
			return []string{"share", "key", "--yes", "--relay", r.url, "--qr", "never"}
		}, sending, "Waiting for it to be claimed", "sparekey resume", "offered"},
		{"the link is asked for", func(*device, *device, string) []string { return []string{"receive"} }, receiving, "Paste the link", "Nothing was done", ""},
		{"the relay is asked about", func(*device, *device, string) []string {
			return []string{"receive", "https://relay.example.org/s/AAAAAAAAAAAAAAAAAAAAAA#AAAAAAAAAAAAAAAAAAAAAA"}
		}, receiving, "[Y/n]", "Nothing was done", ""},
		{"the offer is waited for", func(_, _ *device, link string) []string {
			return []string{"receive", link[:len(link)-22] + "AAAAAAAAAAAAAAAAAAAAAA", "-v"}
		}, receiving, "", "Nothing was used up", ""},
		{"the question to the receiver", func(_, _ *device, link string) []string { return []string{"receive", link} }, receiving, "Receive it on this device", "interrupted", ""},
		{"the sender is asked whether to forget", func(alice, _ *device, _ string) []string {
			alice.offered(r.url)
			return []string{"forget", alice.id()}
		}, sending, "Forget it all the same? [y/N]", "Nothing was done", "offered"},
		{"the receiver waits", func(_, _ *device, link string) []string { return []string{"receive", link, "--yes"} }, receiving, "", "sparekey resume", "claimed"},
	} {
		for _, twice := range []bool{false, true} {
			t.Run(c.where+map[bool]string{true: ", pressed twice"}[twice], func(t *testing.T) {
				t.Parallel()
				alice, bob, other := newDevice(t), newDevice(t), newDevice(t)
				p := newLiar(t, r.url)
				link := other.offered(p.URL())
				d := c.on(alice, bob)
				if err := os.WriteFile(filepath.Join(d.out, "key"), []byte(spare), 0o600); err != nil {
					t.Fatal(err)
				}
				screen := d.console(t, c.start(alice, bob, link)...)
				switch {
				case c.shows != "":
					screen.shows(c.shows)
				case c.state == "claimed":
					hears(t, p, "a claim", func(c liar.Call) bool { return c.Place() == wire.Lane })
				default:
					hears(t, p, "a view", func(c liar.Call) bool { return c.Method == "GET" && c.Place() == wire.Mailbox }) // no sender makes one
				}
				screen.types(ctrlC)
				if twice {
					io.WriteString(screen.person, ctrlC) // it may have ended by then
				}
				screen.exits(exitInterrupted)
				if !twice && !strings.Contains(screen.shown(), c.tells) {
					t.Errorf("it doesn't say %q: %s", c.tells, screen.shown())
				}
				if c.state == "" && strings.Contains(screen.shown(), "resume") {
					t.Errorf("there is nothing to go on with: %s", screen.shown())
				}
				if got := d.state(); got != c.state {
					t.Errorf("the share stands at %q, want %q", got, c.state)
				}
			})
		}
	}
}

func sending(alice, _ *device) *device { return alice }
func receiving(_, bob *device) *device { return bob }

// TestCLI03AReaderThatClosesEarlyCostsNoShare reads the first line alone.
func TestCLI03AReaderThatClosesEarlyCostsNoShare(t *testing.T) {
	t.Parallel()
	r := newRelay(t)
	alice, bob := newDevice(t), newDevice(t)
	if err := os.WriteFile(filepath.Join(alice.out, "key"), []byte(spare), 0o600); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 2*patience)
	defer cancel()
	c := exec.CommandContext(ctx, filepath.Join(bin, "sparekey"), "share", "key", "--yes", "--json", "--relay", r.url, "--home", alice.home)
	c.Dir = alice.out
	out, err := c.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	var offered event
	if err := json.NewDecoder(out).Decode(&offered); err != nil {
		t.Fatal(err)
	}
	out.Close()
	bob.receive(offered.Link).exits(exitDone)
	c.Wait()
	if code := c.ProcessState.ExitCode(); code != exitCantWrite {
		t.Errorf("exit %d, want %d", code, exitCantWrite)
	}
	if state := alice.state(); state != "done" && state != "granted" {
		t.Errorf("the share stands at %q", state)
	}
	if got := bob.got(); got != spare {
		t.Errorf("received %q", got)
	}
}
