package main

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// patience is how long anything may take before a test calls it stuck.
const patience = 60 * time.Second

// relayBinary is the real program, built once for all tests here.
var relayBinary string

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "sparekey-relay-test-")
	if err != nil {
		panic(err)
	}
	relayBinary = filepath.Join(dir, "sparekey-relay")
	if out, err := exec.Command("go", "build", "-o", relayBinary, ".").CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "the relay can't be built: %v\n%s", err, out)
		os.Exit(1)
	}
	code := m.Run()
	os.RemoveAll(dir)
	os.Exit(code)
}

// A process is a running relay.
type process struct {
	t       *testing.T
	cmd     *exec.Cmd
	url     string
	metrics string           // where they are, with --metrics
	log     *strings.Builder // to be read after the end
	end     chan struct{}    // closed once all that it said is in log
}

// start starts a relay on a folder, and waits until it serves.
func start(t *testing.T, data string, flags ...string) *process {
	t.Helper()
	return startBy(t, nil, data, flags...)
}

// startBy does so by a command that is given the relay's own.
func startBy(t *testing.T, by []string, data string, flags ...string) *process {
	t.Helper()
	args := slices.Concat(by, []string{relayBinary, "serve", "--plain-http", "--listen", "127.0.0.1:0", "--data", data}, flags)
	p := &process{t: t, cmd: exec.Command(args[0], args[1:]...), log: new(strings.Builder), end: make(chan struct{})}
	stderr, err := p.cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.kill)
	serving := make(chan string, 1)
	go func() {
		defer close(p.end)
		defer close(serving)
		for lines := bufio.NewScanner(stderr); lines.Scan(); {
			fmt.Fprintln(p.log, lines.Text())
			if url, ok := strings.CutPrefix(lines.Text(), "sparekey-relay: metrics on "); ok {
				p.metrics = url
			}
			if url, ok := strings.CutPrefix(lines.Text(), "sparekey-relay: serving "); ok {
				serving <- url
			}
		}
	}()
	select {
	case p.url = <-serving:
	case <-time.After(patience):
	}
	if p.url == "" {
		p.kill()
		t.Fatalf("the relay did not start: %s", p.log)
	}
	return p
}

// kill ends the relay with SIGKILL, and waits for it.
func (p *process) kill() {
	p.cmd.Process.Kill()
	<-p.end
	p.cmd.Wait()
}

// stop ends the relay as an operator does, and wants it to end well.
func (p *process) stop() {
	p.t.Helper()
	p.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-p.end:
	case <-time.After(patience):
		p.t.Error("the relay doesn't end")
		p.kill()
		return
	}
	if err := p.cmd.Wait(); err != nil {
		p.t.Errorf("the relay ends badly: %v\n%s", err, p.log)
	}
}

// eventually waits for something that a relay does by itself; state tells what
// there is instead, and is empty once it has come.
func eventually(t *testing.T, what string, state func() string) {
	t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(patience); ; <-tick.C {
		seen := state()
		if seen == "" {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s: not within %v; there is %s", what, patience, seen)
		}
	}
}
