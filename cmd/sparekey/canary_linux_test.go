package main

import (
	"bufio"
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// A tap is a wire that keeps a copy of all that passes over it, both ways.
type tap struct {
	url  string
	mu   sync.Mutex
	copy bytes.Buffer
}

func (w *tap) Write(b []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.copy.Write(b)
}

// newTap listens in place of a relay, and passes everything on.
func newTap(t *testing.T, relay string) *tap {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	w := &tap{url: "http://" + l.Addr().String()}
	var open sync.WaitGroup
	open.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			open.Go(func() { w.pass(c, relay) })
		}
	})
	t.Cleanup(func() { l.Close(); open.Wait() })
	return w
}

func (w *tap) pass(c net.Conn, relay string) {
	defer c.Close()
	r, err := net.Dial("tcp", relay)
	if err != nil {
		return
	}
	defer r.Close()
	var back sync.WaitGroup
	back.Go(func() {
		io.Copy(io.MultiWriter(c, w), r)
		c.Close()
	})
	io.Copy(io.MultiWriter(r, w), c)
	r.Close()
	back.Wait()
}

// memoryOf returns all memory that a process can write to, whether anything
// still points there or not.
func memoryOf(t *testing.T, pid int) (all []byte) {
	t.Helper()
	maps, err := os.Open(fmt.Sprintf("/proc/%d/maps", pid))
	if err != nil {
		t.Fatal(err)
	}
	defer maps.Close()
	mem, err := os.Open(fmt.Sprintf("/proc/%d/mem", pid))
	if err != nil {
		t.Fatalf("the memory of a child can be read where ptrace is allowed: %v", err)
	}
	defer mem.Close()
	for lines := bufio.NewScanner(maps); lines.Scan(); {
		var from, to uint64
		var rights string
		if _, err := fmt.Sscanf(lines.Text(), "%x-%x %s", &from, &to, &rights); err != nil {
			t.Fatal(err)
		}
		if !strings.HasPrefix(rights, "rw") || to > 1<<63 {
			continue
		}
		b := make([]byte, to-from)
		n, _ := mem.ReadAt(b, int64(from)) // parts that the process gave back can't be read
		all = append(all, b[:n]...)
	}
	return all
}

// folder returns the bytes of all files in a folder.
func folder(t *testing.T, dir string) (all []byte) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := os.ReadFile(path)
		all = append(all, b...)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// TestNothingOfAShareIsOnTheWireOrAtTheRelay looks for canaries in all that passed
// over the wire, and in the relay's files and memory while the share waits and after its end.
func TestNothingOfAShareIsOnTheWireOrAtTheRelay(t *testing.T) {
	dir := t.TempDir()
	r := relayOf(t, dir)
	wire := newTap(t, r.addr)
	sender, receiver := newDevice(t), newDevice(t)
	const title, name, label, note = "canary-title-of-the-share", "canary-file-name.key", "canary-device-label", "canary-note"
	content := "canary-credential " + strings.Repeat("of many blocks ", 20_000)
	file := filepath.Join(sender.out, name)
	if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	s := sender.start("share", file, "--yes", "--relay", wire.url, "--title", title, "--note", note)
	link := s.until("a link", func(e event) bool { return e.Link != "" }).Link
	address, secret, _ := strings.Cut(link, "#")
	raw, err := base64.RawURLEncoding.DecodeString(secret)
	if err != nil {
		t.Fatal(err)
	}
	id := address[strings.LastIndex(address, "/")+1:]
	canaries := map[string][]byte{"title": []byte(title), "file name": []byte(name), "label": []byte(label), "note": []byte(note),
		"credential": []byte("canary-credential"), "secret": raw, "receiver's path": []byte(receiver.out)}
	look := func(when string, places map[string][]byte) {
		t.Helper()
		for place, b := range places {
			for what, canary := range canaries {
				for _, spelled := range [][]byte{canary, []byte(base64.RawURLEncoding.EncodeToString(canary)), []byte(hex.EncodeToString(canary))} {
					if bytes.Contains(b, spelled) {
						t.Errorf("%s, %s holds the %s", when, place, what)
					}
				}
			}
		}
	}
	viewer := receiver.start("view", link)
	viewer.exits(exitDone)
	pending := memoryOf(t, r.cmd.Process.Pid)
	look("while it waits", map[string][]byte{"the relay's memory": pending, "its folder": folder(t, dir)})
	receiver.receive(link, "--name", label).exits(exitDone)
	s.exits(exitDone)
	if got := receiver.got(); got != content {
		t.Fatalf("received %d bytes, want %d", len(got), len(content))
	}
	ended := memoryOf(t, r.cmd.Process.Pid)
	wire.mu.Lock()
	passed := bytes.Clone(wire.copy.Bytes())
	wire.mu.Unlock()
	look("after the end", map[string][]byte{"the relay's memory": ended, "its folder": folder(t, dir), "what passed": passed})
	if !bytes.Contains(pending, []byte(id)) || len(folder(t, dir)) == 0 || len(passed) < 2*len(content) {
		t.Error("what must be there isn't: this test looks in the wrong place")
	}
}
