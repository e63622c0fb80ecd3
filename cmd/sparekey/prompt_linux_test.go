package main

import (
	"bufio"
	"context"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sparekey/sparekey/simulations/programs"
)

// openTerminal returns both ends of a terminal, which are closed after the test.
func openTerminal(t *testing.T) (person, program *os.File) {
	t.Helper()
	person, program, err := programs.OpenTerminal()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { person.Close(); program.Close() })
	return person, program
}

// An asked process is one that waits at a prompt.
type asked struct {
	cmd   *exec.Cmd
	said  chan string // what it wrote to stderr, once it has ended
	heard chan struct{}
}

// startAsked runs a command on a terminal and waits for a question on it.
func startAsked(t *testing.T, tty *os.File, question, home string, args ...string) *asked {
	t.Helper()
	p := &asked{cmd: exec.Command(filepath.Join(bin, "sparekey"), append(args, "--home", home)...), said: make(chan string, 1), heard: make(chan struct{})}
	p.cmd.Stdin = tty
	stderr, err := p.cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.cmd.Process.Kill(); p.cmd.Wait() })
	go func() {
		var all strings.Builder
		var once sync.Once
		for r := bufio.NewReader(stderr); ; {
			b, err := r.ReadByte()
			if err != nil {
				break
			}
			if all.WriteByte(b); strings.HasSuffix(all.String(), question) {
				once.Do(func() { close(p.heard) })
			}
		}
		p.said <- all.String()
	}()
	select {
	case <-p.heard:
	case said := <-p.said:
		t.Fatalf("it ended without a question: %s", said)
	case <-time.After(time.Minute):
		t.Fatal("no question within a minute")
	}
	return p
}

// exits waits for the end, and wants this exit code and these words.
func (p *asked) exits(t *testing.T, code int, words ...string) {
	t.Helper()
	select {
	case said := <-p.said:
		p.cmd.Wait()
		if got := p.cmd.ProcessState.ExitCode(); got != code {
			t.Errorf("exit %d, want %d: %s", got, code, said)
		}
		for _, w := range words {
			if !strings.Contains(said, w) {
				t.Errorf("it doesn't say %q: %s", w, said)
			}
		}
	case <-time.After(time.Minute):
		t.Error("it still asks after a minute")
	}
}

const accept = "Receive it on this device? [Y/n] "

// TestQuestionIsWithdrawnWhenTheShareEndsElsewhere: nobody types anything.
func TestQuestionIsWithdrawnWhenTheShareEndsElsewhere(t *testing.T) {
	t.Parallel()
	r, dir := newRelay(t), t.TempDir()
	file := filepath.Join(dir, "key")
	if err := os.WriteFile(file, []byte("the spare key"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, end := range map[string]func(s *senderProcess, sender string) (int, string){
		"received by another": func(s *senderProcess, _ string) (int, string) {
			return sparekey(filepath.Join(dir, "other"), "receive", s.link, "--yes", "-o", filepath.Join(dir, "other.got"))
		},
		"cancelled": func(_ *senderProcess, sender string) (int, string) {
			_, ids := sparekey(sender, "list")
			return sparekey(sender, "cancel", ids[:8])
		},
	} {
		t.Run(name, func(t *testing.T) {
			sender, receiver := filepath.Join(dir, name, "sender"), filepath.Join(dir, name, "receiver")
			s := startShare(t, sender, file, r.url)
			defer func() { s.cmd.Process.Kill(); s.cmd.Wait() }()
			_, tty := openTerminal(t)
			p := startAsked(t, tty, accept, receiver, "receive", s.link)
			if code, out := end(s, sender); code != exitDone {
				t.Fatalf("exit %d: %s", code, out)
			}
			p.exits(t, exitTaken, "Nothing was received", "code: taken")
			if _, list := sparekey(receiver, "list", "--all", "-q"); list != "" {
				t.Errorf("a share that was only looked at has left %q", list)
			}
		})
	}
}

// TestAnswerAtThePromptCounts: yes receives, no uses nothing up, Ctrl-C neither.
func TestAnswerAtThePromptCounts(t *testing.T) {
	t.Parallel()
	r, dir := newRelay(t), t.TempDir()
	file := filepath.Join(dir, "key")
	if err := os.WriteFile(file, []byte("the spare key"), 0o600); err != nil {
		t.Fatal(err)
	}
	s := startShare(t, filepath.Join(dir, "sender"), file, r.url)
	defer func() { s.cmd.Process.Kill(); s.cmd.Wait() }()
	got := filepath.Join(dir, "got")
	for _, c := range []struct {
		name, types string
		code        int
		says        string
	}{
		{"no", "n\n", exitRefused, "code: not_accepted"},
		{"interrupt", "", exitInterrupted, "Nothing was used up"},
		{"yes", "what\nyes\n", exitDone, "Received. It is in "},
	} {
		person, tty := openTerminal(t)
		p := startAsked(t, tty, accept, filepath.Join(dir, "receiver"), "receive", s.link, "-o", got)
		if c.types == "" {
			p.cmd.Process.Signal(os.Interrupt)
		}
		io.WriteString(person, c.types)
		p.exits(t, c.code, c.says)
		if _, err := os.Stat(got); (err == nil) != (c.code == exitDone) {
			t.Errorf("%s: the credential is there: %v", c.name, err == nil)
		}
	}
}

// TestAQuestionThatIsCutOffHasDoneNothing, whether by Ctrl-C or by --timeout.
func TestAQuestionThatIsCutOffHasDoneNothing(t *testing.T) {
	_, tty := openTerminal(t)
	ask := newTerminal(tty, io.Discard, false)
	pressed, press := context.WithCancel(t.Context())
	press()
	late, stop := context.WithTimeout(t.Context(), 0)
	defer stop()
	for code, ctx := range map[string]context.Context{"interrupted": pressed, "timeout": late} {
		_, err := ask.confirm(ctx, "Really?", true, "--yes")
		f := asFailure(err)
		if f.Code != code || !strings.HasSuffix(f.Message, "Nothing was done.") || strings.Contains(f.Hint, "resume") {
			t.Errorf("%q, try %q, code %s; want %s", f.Message, f.Hint, f.Code, code)
		}
	}
}

// TestWhoReceivesIsAskedOtherwiseOnceTheTimeIsUp, and no uses nothing up.
func TestWhoReceivesIsAskedOtherwiseOnceTheTimeIsUp(t *testing.T) {
	t.Parallel()
	bob := newDevice(t)
	link := lapsed(t, bob)
	person, tty := openTerminal(t)
	p := startAsked(t, tty, "Ask the sender's device for it all the same? [Y/n] ", bob.home, "receive", link)
	if _, err := person.WriteString("n\n"); err != nil {
		t.Fatal(err)
	}
	p.exits(t, exitRefused, itsTimeIsUp, "Nothing was used up")
}
