package interop

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
)

// bin is where the real programs are, built once for all tests here.
var bin string

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "sparekey-interop-")
	if err != nil {
		panic(err)
	}
	bin = dir
	if out, err := exec.Command("go", "build", "-o", dir+"/", "../cmd/sparekey", "../cmd/sparekey-relay").CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "the programs can't be built: %v\n%s", err, out)
		os.Exit(1)
	}
	code := m.Run()
	os.RemoveAll(dir)
	if err := goleak.Find(); code == 0 && err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

// patience is how long anything here is waited for: far longer than it takes.
const patience = 2 * time.Minute

// A world is a real relay, and room for devices.
type world struct {
	t      *testing.T
	ctx    context.Context
	dir    string
	relay  string
	client *http.Client
}

func newWorld(t *testing.T) *world {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	w := &world{t: t, ctx: ctx, dir: t.TempDir(), client: &http.Client{Transport: &http.Transport{}}}
	c := exec.Command(filepath.Join(bin, "sparekey-relay"), "serve", "--plain-http", "--listen", "127.0.0.1:0", "--data", filepath.Join(w.dir, "relay"))
	stderr := must(c.StderrPipe())
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cancel()
		w.client.CloseIdleConnections()
		c.Process.Kill()
		c.Wait()
	})
	stop := context.AfterFunc(ctx, func() { c.Process.Kill() })
	t.Cleanup(func() { stop() })
	said := bufio.NewReader(stderr)
	for {
		line, err := said.ReadString('\n')
		if err != nil {
			t.Fatalf("the relay did not start: %v", err)
		}
		if url, ok := strings.CutPrefix(strings.TrimSpace(line), "sparekey-relay: serving "); ok {
			w.relay = url
			go io.Copy(io.Discard, said)
			return w
		}
	}
}

// file writes a file and returns its path.
func (w *world) file(name string, content []byte) string {
	w.t.Helper()
	path := filepath.Join(w.dir, name)
	w.ok(os.WriteFile(path, content, 0o600), "a file is written")
	return path
}

// A process is a real sparekey of a device of its own.
type process struct {
	w        *world
	home     string
	out, err bytes.Buffer
	line     chan string // its first line
	cmd      *exec.Cmd
	ended    chan struct{}
}

// start runs sparekey in a home.
func (w *world) start(home string, args ...string) *process {
	w.t.Helper()
	p := &process{w: w, home: home, line: make(chan string, 1), ended: make(chan struct{})}
	p.cmd = exec.CommandContext(w.ctx, filepath.Join(bin, "sparekey"), append(args, "--home", filepath.Join(w.dir, home))...)
	p.cmd.Env = append(os.Environ(), "XDG_CONFIG_HOME="+w.dir, "SPAREKEY_PATHS=relay")
	p.cmd.Stderr = &p.err
	stdout := must(p.cmd.StdoutPipe())
	w.ok(p.cmd.Start(), "sparekey starts")
	go func() {
		defer close(p.ended)
		r := bufio.NewReader(stdout)
		line, _ := r.ReadString('\n')
		p.line <- strings.TrimSpace(line)
		r.WriteTo(&p.out)
		p.cmd.Wait()
	}()
	w.t.Cleanup(func() { p.cmd.Process.Kill(); <-p.ended })
	return p
}

// share starts a real sender, and returns it with its link.
func (w *world) share(file string, args ...string) (p *process, link string) {
	w.t.Helper()
	p = w.start("sender", append([]string{"share", file, "--yes", "--qr", "never", "--relay", w.relay}, args...)...)
	if link = <-p.line; link == "" {
		p.ends(0, "a link")
	}
	return p, link
}

// ends waits for a process and wants an exit code, and a word in what it says.
func (p *process) ends(code int, word string) {
	p.w.t.Helper()
	<-p.ended
	got, said := p.cmd.ProcessState.ExitCode(), p.err.String()
	if got != code || !strings.Contains(said, word) {
		p.w.t.Fatalf("%s ends with %d, and not with %d and %q; it said\n%s", p.home, got, code, word, said)
	}
}

// order starts a command on the only share of a home.
func (w *world) order(home, do string, args ...string) *process {
	w.t.Helper()
	list := w.start(home, "list")
	id, _, _ := strings.Cut(<-list.line, " ")
	list.ends(0, "")
	return w.start(home, append([]string{do, id}, args...)...)
}

func (w *world) ok(err error, promise string) {
	w.t.Helper()
	if err != nil {
		w.t.Fatalf("%s: %v", promise, err)
	}
}

// looks makes a second receiver and lets it look.
func (w *world) looks(link string) *receiver {
	w.t.Helper()
	r, err := newReceiver(w.client, link)
	w.ok(err, "the link is read")
	w.ok(r.view(w.ctx, "wait=60"), "the offer is seen")
	w.t.Cleanup(func() {
		if r.stream != nil {
			r.stream.close()
		}
	})
	return r
}

// offers makes a second sender, and its mailbox.
func (w *world) offers(p preview) *sender {
	w.t.Helper()
	s := newSender(w.client, w.relay, p)
	w.ok(s.create(w.ctx), "the mailbox is made")
	w.t.Cleanup(s.claims.close)
	return s
}
