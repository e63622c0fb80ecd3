package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/sparekey/sparekey/relay/liar"
)

// patience is how long anything may take, on a machine however busy, before a
// test calls it stuck.
const patience = time.Minute

// A device is one device's vault and a folder for what it receives.
type device struct {
	t    testing.TB
	home string
	out  string
}

func newDevice(t testing.TB) *device {
	t.Helper()
	dir := t.TempDir()
	d := &device{t: t, home: filepath.Join(dir, "home"), out: filepath.Join(dir, "out")}
	if err := os.Mkdir(d.out, 0o700); err != nil {
		t.Fatal(err)
	}
	return d
}

// spare is the credential of these tests.
const spare = "the spare key to the back door"

// share starts a share by the relay at url, and returns it with its link.
func (d *device) share(url string, more ...string) (*process, string) {
	d.t.Helper()
	file := filepath.Join(d.out, "spare.key")
	if err := os.WriteFile(file, []byte(spare), 0o600); err != nil {
		d.t.Fatal(err)
	}
	p := d.start(append([]string{"share", file, "--yes", "--relay", url}, more...)...)
	return p, p.until("a link", func(e event) bool { return e.Link != "" }).Link
}

// offered makes a share, sees that the relay has it, and leaves the sender off.
func (d *device) offered(url string, more ...string) (link string) {
	d.t.Helper()
	p, link := d.share(url, append(more, "--no-wait")...)
	p.exits(exitDone)
	return link
}

func (d *device) receive(link string, more ...string) *process {
	d.t.Helper()
	return d.start(append([]string{"receive", link, "--yes", "-o", filepath.Join(d.out, "got")}, more...)...)
}

// got returns what has been received: empty if nothing was.
func (d *device) got() string {
	d.t.Helper()
	files, err := os.ReadDir(d.out)
	if err != nil {
		d.t.Fatal(err)
	}
	var got []string
	for _, f := range files {
		if f.Name() == "spare.key" {
			continue
		}
		b, err := os.ReadFile(filepath.Join(d.out, f.Name()))
		if err != nil {
			d.t.Fatal(err)
		}
		got = append(got, string(b))
	}
	return strings.Join(got, "|")
}

// state returns how the device's only share stands.
func (d *device) state() string {
	d.t.Helper()
	p := d.start("list", "--all")
	p.exits(exitDone)
	var states []string
	for _, e := range p.events() {
		if e.Type == "share" {
			states = append(states, e.State)
		}
	}
	return strings.Join(states, " ")
}

// A process is a running sparekey that speaks JSON.
type process struct {
	t      testing.TB
	cmd    *exec.Cmd
	ended  chan struct{}
	stderr bytes.Buffer // read it after ended

	mu   sync.Mutex
	all  []event
	more chan struct{} // closed and renewed with every event
}

// start starts a command of this device.
func (d *device) start(args ...string) *process {
	d.t.Helper()
	return d.startOn("", args...)
}

// startOn starts a command of this device with that on its standard input.
func (d *device) startOn(stdin string, args ...string) *process {
	d.t.Helper()
	p := &process{t: d.t, ended: make(chan struct{}), more: make(chan struct{})}
	p.cmd = exec.Command(filepath.Join(bin, "sparekey"), append(args, "--json", "--home", d.home)...)
	p.cmd.Dir = d.out
	p.cmd.Env = append(os.Environ(), "XDG_CONFIG_HOME="+d.home)
	p.cmd.Stderr = &p.stderr
	if stdin != "" {
		p.cmd.Stdin = strings.NewReader(stdin)
	}
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		d.t.Fatal(err)
	}
	if err := p.cmd.Start(); err != nil {
		d.t.Fatal(err)
	}
	go func() {
		defer close(p.ended)
		lines := bufio.NewScanner(out)
		for lines.Scan() {
			var e event
			if json.Unmarshal(lines.Bytes(), &e) == nil {
				p.add(e)
			}
		}
		p.cmd.Wait()
	}()
	d.t.Cleanup(p.kill)
	return p
}

func (p *process) add(e event) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.all = append(p.all, e)
	close(p.more)
	p.more = make(chan struct{})
}

// events returns what the process has said so far.
func (p *process) events() []event {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.all[:len(p.all):len(p.all)]
}

// said tells, for a failing test, what the process has said.
func (p *process) said() string {
	b, _ := json.MarshalIndent(p.events(), "", " ")
	return strings.Join(p.cmd.Args[1:3], " ") + " said " + string(b)
}

// until waits for an event.
func (p *process) until(what string, ok func(event) bool) event {
	p.t.Helper()
	timeout := time.After(patience)
	for seen := 0; ; {
		p.mu.Lock()
		all, more := p.all, p.more
		p.mu.Unlock()
		for ; seen < len(all); seen++ {
			if ok(all[seen]) {
				return all[seen]
			}
		}
		select {
		case <-more:
		case <-p.ended:
			if len(p.events()) == seen {
				p.t.Fatalf("the process ended without: %s\n%s%s", what, p.said(), p.stderr.String())
			}
		case <-timeout:
			p.t.Fatalf("waited in vain for: %s\n%s", what, p.said())
		}
	}
}

// comes waits for an event of a type, such as share.claimed.
func (p *process) comes(kind string) event {
	p.t.Helper()
	return p.until(kind, func(e event) bool { return e.Type == kind })
}

// exits waits for the process to end with a code.
func (p *process) exits(want int) {
	p.t.Helper()
	if got := p.exit(); got != want {
		p.t.Fatalf("exit %d, want %d\n%s%s", got, want, p.said(), p.stderr.String())
	}
}

// exit waits for the process to end.
func (p *process) exit() int {
	p.t.Helper()
	select {
	case <-p.ended:
	case <-time.After(2 * patience):
		p.t.Fatalf("doesn't end\n%s", p.said())
	}
	return p.cmd.ProcessState.ExitCode()
}

func (p *process) kill() {
	p.cmd.Process.Signal(syscall.SIGKILL)
	<-p.ended
}

// memory measures how much memory the process has ever had, in kB, until it
// ends: what it returns gives the last figure read. (Its rusage counts what the
// test itself had when it started it.)
func (p *process) memory() (peak func() int) {
	var kB atomic.Int64
	done := make(chan struct{})
	go func() {
		defer close(done)
		each := time.NewTicker(2 * time.Millisecond)
		defer each.Stop()
		for {
			status, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.cmd.Process.Pid))
			if _, line, ok := strings.Cut(string(status), "VmHWM:"); ok {
				var n int64
				fmt.Sscan(line, &n)
				kB.Store(n)
			}
			select {
			case <-p.ended:
				return
			case <-each.C:
			}
		}
	}()
	return func() int { <-done; return int(kB.Load()) }
}

// copyFolder copies the folder of a relay that is stopped: a snapshot of its store.
func copyFolder(t testing.TB, from string) (to string) {
	t.Helper()
	to = filepath.Join(t.TempDir(), "copy")
	if err := os.CopyFS(to, os.DirFS(from)); err != nil {
		t.Fatal(err)
	}
	return to
}

// relayOf starts a relay on a folder.
func relayOf(t testing.TB, dir string) *relayProcess {
	t.Helper()
	r, err := startRelay(dir, "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.kill)
	return r
}

// newLiar starts a liar in front of a relay.
func newLiar(t testing.TB, relay string, rules ...liar.Rule) *liar.Proxy {
	t.Helper()
	p, err := liar.Start(relay, 1, rules...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Close)
	return p
}

// callsSoFar counts the calls that the liar has heard, once those of processes
// that have ended are all in; none may be running.
func callsSoFar(t testing.TB, p *liar.Proxy) int {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if err := p.Quiet(ctx); err != nil {
		t.Fatal("the liar's connections don't end: ", err)
	}
	return len(p.Calls())
}

// hears waits until the liar has heard a call that fits.
func hears(t testing.TB, p *liar.Proxy, what string, fits func(liar.Call) bool) liar.Call {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	c, err := p.Until(ctx, fits)
	if err != nil {
		t.Fatalf("waited in vain for a call: %s", what)
	}
	return c
}
