package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// bin is where the real programs are, built once for all tests here.
var bin string

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "sparekey-e2e-")
	if err != nil {
		panic(err)
	}
	bin = dir
	// The room is the machine's own network, where tests have no business: those of
	// the room run in networks of their own (discovery/lan, simulations/lab).
	os.Setenv("SPAREKEY_PATHS", "relay")
	if out, err := exec.Command("go", "build", "-o", dir+"/", "../...").CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "the programs can't be built: %v\n%s", err, out)
		os.Exit(1)
	}
	code := m.Run()
	os.RemoveAll(dir)
	os.Exit(code)
}

// A relayProcess is a real relay on loopback.
type relayProcess struct {
	dir, addr, url string
	cmd            *exec.Cmd
	log            *record
}

// A record keeps what a process writes.
type record struct {
	mu  sync.Mutex
	all strings.Builder
}

func (r *record) add(line string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.all.WriteString(line + "\n")
}

func (r *record) String() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.all.String()
}

func startRelay(dir, addr string) (*relayProcess, error) {
	r := &relayProcess{dir: dir, log: &record{}}
	r.cmd = exec.Command(filepath.Join(bin, "sparekey-relay"), "serve", "--plain-http", "--listen", addr, "--data", dir, "--max-creates", "-1", "--max-guesses", "-1")
	stderr, err := r.cmd.StderrPipe()
	if err != nil {
		return nil, err
	}
	if err := r.cmd.Start(); err != nil {
		return nil, err
	}
	lines := bufio.NewScanner(stderr)
	for lines.Scan() {
		if url, ok := strings.CutPrefix(lines.Text(), "sparekey-relay: serving "); ok {
			r.url, r.addr = url, strings.TrimPrefix(url, "http://")
			go func() {
				for lines.Scan() {
					r.log.add(lines.Text())
				}
			}()
			return r, nil
		}
	}
	return nil, errors.New("the relay did not start: " + lines.Text())
}

func (r *relayProcess) kill() {
	r.cmd.Process.Kill()
	r.cmd.Wait()
}

func newRelay(t *testing.T) *relayProcess {
	t.Helper()
	r, err := startRelay(t.TempDir(), "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.kill() })
	return r
}

// TestScripts runs the stories in testdata/script with the real programs.
func TestScripts(t *testing.T) {
	t.Parallel()
	testscript.Run(t, testscript.Params{
		Dir: "testdata/script",
		Setup: func(e *testscript.Env) error {
			e.Setenv("PATH", bin+string(os.PathListSeparator)+os.Getenv("PATH"))
			e.Setenv("HOME", e.WorkDir)
			e.Values["relay"] = new(relayProcess)
			e.Values["sharing"] = map[string]chan struct{}{}
			e.Setenv("XDG_CONFIG_HOME", filepath.Join(e.WorkDir, "config"))
			e.Setenv("SPAREKEY_PATHS", "relay")
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"relay":   scriptRelay,
			"sharing": scriptShare,
			"exits":   scriptExits,
			"over":    scriptOver,
		},
	})
}

// scriptRelay starts a relay and names it in $RELAY; "relay stop" kills it.
func scriptRelay(ts *testscript.TestScript, _ bool, args []string) {
	if len(args) == 1 && args[0] == "stop" {
		ts.Value("relay").(*relayProcess).kill()
		return
	}
	r, err := startRelay(ts.MkAbs("relay"), "127.0.0.1:0")
	ts.Check(err)
	ts.Defer(r.kill)
	*ts.Value("relay").(*relayProcess) = *r
	ts.Setenv("RELAY", r.url)
}

// scriptShare starts a share in the background and puts its link in $LINK.
func scriptShare(ts *testscript.TestScript, _ bool, args []string) {
	c := exec.Command(filepath.Join(bin, "sparekey"), append([]string{"share", "--yes", "--qr", "never", "--home", ts.MkAbs("sender"), "--relay", ts.Getenv("RELAY")}, args...)...)
	c.Dir = ts.MkAbs(".")
	out, err := c.StdoutPipe()
	ts.Check(err)
	ts.Check(c.Start())
	link, err := bufio.NewReader(out).ReadString('\n')
	ts.Check(err)
	ts.Setenv("LINK", strings.TrimSpace(link))
	ts.Setenv("ADDRESS", strings.Split(strings.TrimSpace(link), "#")[0])
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		c.Wait()
	}()
	ts.Value("sharing").(map[string]chan struct{})["ended"] = ended
	ts.Defer(func() { c.Process.Kill(); <-ended })
}

// scriptOver waits until the share in the background has ended.
func scriptOver(ts *testscript.TestScript, _ bool, _ []string) {
	<-ts.Value("sharing").(map[string]chan struct{})["ended"]
}

// scriptExits runs a command and wants an exit code: exits 9 sparekey receive …
func scriptExits(ts *testscript.TestScript, _ bool, args []string) {
	err := ts.Exec(args[1], args[2:]...)
	code := 0
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		code = exit.ExitCode()
	} else {
		ts.Check(err)
	}
	if fmt.Sprint(code) != args[0] {
		ts.Fatalf("exit %d, want %s", code, args[0])
	}
}

// sparekey runs a command with a home of its own and returns its exit code.
func sparekey(home string, args ...string) (code int, output string) {
	ctx, cancel := context.WithTimeout(context.Background(), 2*patience)
	defer cancel()
	c := exec.CommandContext(ctx, filepath.Join(bin, "sparekey"), append(args, "--home", home)...)
	out, err := c.CombinedOutput()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		return -1, err.Error()
	}
	return c.ProcessState.ExitCode(), string(out)
}

// A senderProcess is a running share.
type senderProcess struct {
	cmd  *exec.Cmd
	link string
	out  bytes.Buffer
}

func startShare(t testing.TB, home, file, relay string) *senderProcess {
	t.Helper()
	s := &senderProcess{cmd: exec.Command(filepath.Join(bin, "sparekey"), "share", file, "--yes", "--qr", "never", "--home", home, "--relay", relay)}
	s.cmd.Stderr = &s.out
	out, err := s.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := s.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatalf("no link: %v; %s", err, s.out.String())
	}
	s.link = strings.TrimSpace(line)
	return s
}

// TestKilledAnywhereNothingIsLostOrDoubled kills -9 the sender, the receiver or
// the relay at 100 random moments of a share, starts it again, and wants the
// share to end as it would have.
func TestKilledAnywhereNothingIsLostOrDoubled(t *testing.T) {
	t.Parallel()
	rnd := rand.New(rand.NewPCG(1, 2))
	dir := t.TempDir()
	file, content := filepath.Join(dir, "key"), []byte("the spare key")
	if err := os.WriteFile(file, content, 0o600); err != nil {
		t.Fatal(err)
	}
	relay, err := startRelay(filepath.Join(dir, "relay"), "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { relay.kill() }()
	struck := map[string]int{}
	for i := range 100 {
		home := filepath.Join(dir, fmt.Sprint(i))
		out := filepath.Join(home, "out")
		if err := os.MkdirAll(out, 0o700); err != nil {
			t.Fatal(err)
		}
		s := startShare(t, filepath.Join(home, "sender"), file, relay.url)
		receive := []string{"receive", s.link, "--yes", "-o", filepath.Join(out, "got"), "--home", filepath.Join(home, "receiver"), "--timeout", "60s"}
		r := exec.Command(filepath.Join(bin, "sparekey"), receive...)
		if err := r.Start(); err != nil {
			t.Fatal(err)
		}
		victim := []string{"sender", "receiver", "relay"}[i%3]
		moment := time.NewTimer(time.Duration(rnd.IntN(40_000)) * time.Microsecond) // a share takes about 25 ms
		<-moment.C
		switch victim {
		case "sender":
			s.cmd.Process.Signal(syscall.SIGKILL)
		case "receiver":
			r.Process.Signal(syscall.SIGKILL)
		case "relay":
			relay.kill()
			if relay, err = startRelay(relay.dir, relay.addr); err != nil {
				t.Fatal(err)
			}
		}
		var both sync.WaitGroup
		both.Go(func() {
			if s.cmd.Wait() != nil {
				sparekey(filepath.Join(home, "sender"), "resume", "--timeout", "60s")
			}
		})
		both.Go(func() {
			if r.Wait() != nil {
				exec.Command(filepath.Join(bin, "sparekey"), receive...).Run()
			}
		})
		both.Wait()
		_, sender := sparekey(filepath.Join(home, "sender"), "list", "--all")
		_, receiver := sparekey(filepath.Join(home, "receiver"), "list", "--all")
		got, _ := os.ReadFile(filepath.Join(out, "got"))
		files, _ := os.ReadDir(out)
		if !strings.Contains(sender, " done ") || !bytes.Equal(got, content) || len(files) != 1 {
			t.Fatalf("kill %d of the %s: sender %q, receiver %q, received %q, %d files\n%s", i, victim, sender, receiver, got, len(files), s.out.String())
		}
		if !strings.Contains(receiver, " done ") && !strings.Contains(receiver, " provisioned ") {
			t.Fatalf("kill %d of the %s: the receiver's list says %q", i, victim, receiver)
		}
		struck[victim]++
	}
	t.Logf("killed and started again, nothing lost, nothing doubled: %v", struck)
}
