package relaybench

import (
	"bufio"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/sparekey/sparekey/relay/disk"
	"github.com/sparekey/sparekey/relay/wire"
)

// BenchmarkPendingShare: what a share that waits costs the relay, beyond its
// frames. Goals: 500 B of memory, 1000 B of disk.
func BenchmarkPendingShare(b *testing.B) {
	const n = 20_000
	for b.Loop() {
		dir := b.TempDir()
		s, err := disk.Open(dir, disk.Options{Limits: limits})
		if err != nil {
			b.Fatal(err)
		}
		before, frames := heap(), 0
		work := make(chan share)
		done := make(chan error, 64)
		for range cap(done) {
			go func() {
				var err error
				for sh := range work {
					if e := s.Create(b.Context(), sh.id, sh.mailbox()); e != nil {
						err = e
					}
				}
				done <- err
			}()
		}
		for range n {
			sh := newShare()
			frames += len(sh.offer())
			work <- sh
		}
		close(work)
		for range cap(done) {
			if err := <-done; err != nil {
				b.Fatal(err)
			}
		}
		memory := heap() - before
		if err := s.Shutdown(); err != nil {
			b.Fatal(err)
		}
		report(b, float64(memory)/n, "memory-B")
		report(b, float64(allocated(b, dir)-int64(frames))/n, "disk-B")
	}
}

// heap returns the bytes that are in use once garbage is gone.
func heap() int64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// allocated returns the bytes that a folder's files take on the disk.
func allocated(b *testing.B, dir string) (n int64) {
	b.Helper()
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err == nil {
			n += info.Sys().(*syscall.Stat_t).Blocks * 512
		}
		return err
	})
	if err != nil {
		b.Fatal(err)
	}
	return n
}

// A process is a real relay.
type process struct {
	addr, metrics string
	pid           int
}

func startProcess(b *testing.B) *process {
	b.Helper()
	dir := b.TempDir()
	bin := filepath.Join(dir, "sparekey-relay")
	if out, err := exec.Command("go", "build", "-trimpath", "-o", bin, "../../cmd/sparekey-relay").CombinedOutput(); err != nil {
		b.Fatalf("the relay can't be built: %v\n%s", err, out)
	}
	l := listen(b) // for a port that is free
	metrics := l.Addr().String()
	l.Close()
	c := exec.Command(bin, "serve", "--plain-http", "--listen", "127.0.0.1:0", "--data", filepath.Join(dir, "data"), "--metrics", metrics, "--max-guesses", "-1")
	stderr, err := c.StderrPipe()
	if err != nil {
		b.Fatal(err)
	}
	if err := c.Start(); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		c.Process.Kill()
		c.Wait()
	})
	r := bufio.NewReader(stderr)
	for {
		line, err := r.ReadString('\n')
		if err != nil {
			b.Fatalf("the relay did not start: %v", err)
		}
		if _, addr, ok := strings.Cut(line, "serving http://"); ok {
			go io.Copy(io.Discard, r)
			return &process{strings.TrimSpace(addr), metrics, c.Process.Pid}
		}
	}
}

// memory returns what the process has resident of its own, in bytes: not the
// pages of its program, which the kernel takes back when it likes.
func (p *process) memory(b *testing.B) (anonymous, all float64) {
	b.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.pid))
	if err != nil {
		b.Fatal(err)
	}
	for line := range strings.Lines(string(status)) {
		var kB float64
		if n, _ := fmt.Sscanf(line, "RssAnon: %f kB", &kB); n == 1 {
			anonymous = kB * 1024
		}
		if n, _ := fmt.Sscanf(line, "VmRSS: %f kB", &kB); n == 1 {
			all = kB * 1024
		}
	}
	return anonymous, all
}

// holds waits until the relay says that it holds so many views.
func (p *process) holds(b *testing.B, n int) {
	b.Helper()
	want := fmt.Sprintf("sparekey_relay_held_views %d\n", n)
	var said []byte
	for end := time.Now().Add(time.Minute); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
		res, err := http.Get("http://" + p.metrics + "/metrics")
		if err != nil {
			b.Fatal(err)
		}
		said, err = io.ReadAll(res.Body)
		res.Body.Close()
		if err != nil {
			b.Fatal(err)
		}
		if strings.Contains(string(said), want) {
			return
		}
	}
	b.Fatalf("the relay does not hold %d views: %s", n, said)
}

// BenchmarkRelayMemory: a real relay's resident memory, idle and with views that
// are held. Goals: 15 MB idle, 10 kB a waiter on HTTP/2.
func BenchmarkRelayMemory(b *testing.B) {
	const waiters, streams = 4000, 200 // on so many connections as that makes
	for b.Loop() {
		p := startProcess(b)
		time.Sleep(time.Second) // until what a start leaves to do is done
		own, idle := p.memory(b)
		for range waiters / streams {
			c, err := dial(p.addr)
			if err != nil {
				b.Fatal(err)
			}
			b.Cleanup(func() { c.Close() })
			for range streams {
				s := newShare()
				c.request(header("GET", wire.Path{Place: wire.Mailbox, ID: s.id}.String()+"?wait=60", 0, wire.Bearer(s.link), ""), nil)
			}
			if err := c.w.Flush(); err != nil {
				b.Fatal(err)
			}
		}
		p.holds(b, waiters)
		now, _ := p.memory(b)
		report(b, idle/1e6, "idle-MB")
		report(b, own/1e6, "idle-anonymous-MB")
		report(b, (now-own)/waiters, "waiter-B")
	}
}
