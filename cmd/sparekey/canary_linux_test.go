package main

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sparekey/sparekey/node/link"
	"github.com/sparekey/sparekey/relay/liar"
	"github.com/sparekey/sparekey/relay/wire"
	"github.com/sparekey/sparekey/simulations/canary"
)

// canaries are words that nobody but the two devices may ever see.
type canaries canary.Words

// search fails for every canary that is in b.
func (c canaries) search(t *testing.T, where string, b []byte) {
	t.Helper()
	for _, found := range canary.Words(c).Find(b) {
		t.Errorf("%s: %s", where, found)
	}
}

// memoryOf shows all memory that a process can write to, whether anything still
// points there or not, piece by piece; each begins with the end of the one before.
func memoryOf(t *testing.T, pid int, look func(piece []byte)) {
	t.Helper()
	const size, overlap, most = 4 << 20, 256, 4 << 30
	maps, err := os.ReadFile(fmt.Sprintf("/proc/%d/maps", pid))
	if err != nil {
		t.Fatal(err)
	}
	mem, err := os.Open(fmt.Sprintf("/proc/%d/mem", pid))
	if err != nil {
		t.Fatalf("the memory of a child can be read where ptrace is allowed: %v", err)
	}
	defer mem.Close()
	b, sum := make([]byte, size), uint64(0)
	for line := range strings.Lines(string(maps)) {
		var from, to uint64
		var rights string
		if _, err := fmt.Sscanf(line, "%x-%x %s", &from, &to, &rights); err != nil {
			t.Fatal(err)
		}
		if !strings.HasPrefix(rights, "rw") || to > 1<<63 {
			continue
		}
		if sum += to - from; sum > most {
			t.Fatalf("the process has %d MB of memory", sum>>20)
		}
		for at := from; at < to; at += size - overlap {
			n, _ := mem.ReadAt(b[:min(size, to-at)], int64(at)) // parts that the process gave back can't be read
			if piece := bytes.Trim(b[:n], "\x00"); len(piece) > 0 {
				look(piece)
			}
		}
	}
}

func commandLine(t *testing.T, pid int) []byte {
	t.Helper()
	line, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
	if err != nil || len(line) == 0 {
		t.Fatalf("a command line of %d bytes, %v", len(line), err)
	}
	return line
}

// folder returns the bytes of all files in a folder.
func folder(t *testing.T, dir string) []byte {
	t.Helper()
	var all bytes.Buffer
	err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil || !e.Type().IsRegular() {
			return err
		}
		f, err := os.Open(path)
		if errors.Is(err, fs.ErrNotExist) {
			return nil // the relay has just removed it
		}
		if err != nil {
			return err
		}
		defer f.Close()
		fmt.Fprintln(&all, path)
		_, err = io.Copy(&all, f)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all.Bytes()
}

// TestNothingOfAShareIsOnTheWireOrAtTheRelay runs a share whose credential, title,
// file name, note and device label are words of their own, in the middle and to
// its end, and looks for them and for the link's secret on the wire, in the
// relay's files, memory and logs, and on the command lines of what runs (but for
// what the sender's person has typed there). The vaults have nothing left of the
// credential and the secret.
func TestNothingOfAShareIsOnTheWireOrAtTheRelay(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	r, err := startRelay(dir, "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.kill)
	p := newLiar(t, r.url, liar.Rule{Place: wire.Claims, Skip: 2, Do: liar.Hold, Gate: "end"})
	words := canaries{
		"credential": []byte("canary-credential-5b1e7c"), "title": []byte("canary-title-9d20aa"), "file name": []byte("canary-name-41c7f3"),
		"note": []byte("canary-note-77e0b1"), "device label": []byte("canary-label-c3d95e"),
	}
	alice, bob := newDevice(t), newDevice(t)
	file := filepath.Join(alice.out, string(words["file name"]))
	content := append(bytes.Clone(words["credential"]), strings.Repeat(" of many blocks", 20_000)...)
	if err := os.WriteFile(file, content, 0o600); err != nil {
		t.Fatal(err)
	}
	config := filepath.Join(bob.out, "config.toml")
	if err := os.WriteFile(config, fmt.Appendf(nil, "name = %q\n", words["device label"]), 0o600); err != nil {
		t.Fatal(err)
	}
	sender := alice.start("share", file, "--yes", "--relay", p.URL(), "--title", string(words["title"]), "--note", string(words["note"]))
	text := sender.until("a link", func(e event) bool { return e.Link != "" }).Link
	l, err := link.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	words["secret"], words["receiver's path"] = l.Secret[:], []byte(bob.out)
	words["secret as it stands in the link"] = []byte(strings.SplitAfter(text, "#")[1])
	receiver := bob.startOn(text, "receive", "-", "--yes", "--config", config, "-o", filepath.Join(bob.out, "got"))
	for who, pid := range map[string]int{"relay": r.cmd.Process.Pid, "sender": sender.cmd.Process.Pid, "receiver": receiver.cmd.Process.Pid} {
		seen := maps.Clone(words)
		if who == "sender" { // its person typed these
			delete(seen, "title")
			delete(seen, "note")
			delete(seen, "file name")
		}
		delete(seen, "receiver's path")
		seen.search(t, "the command line of the "+who, commandLine(t, pid))
	}
	receiver.comes("share.provisioned")
	words.search(t, "the relay's files while the share lives", folder(t, dir))
	named, titled := false, false
	memoryOf(t, r.cmd.Process.Pid, func(b []byte) {
		words.search(t, "the relay's memory while the share lives", b)
		named = named || bytes.Contains(b, []byte(wire.Text(l.ID[:])))
	})
	memoryOf(t, sender.cmd.Process.Pid, func(b []byte) { titled = titled || bytes.Contains(b, words["title"]) })
	if !titled || !named {
		t.Error("the title isn't in the sender's memory, or the share's name not in the relay's: this looks in the wrong place")
	}
	p.Open("end")
	receiver.exits(exitDone)
	sender.exits(exitDone)

	if got, err := os.ReadFile(filepath.Join(bob.out, "got")); err != nil || !bytes.Equal(got, content) {
		t.Fatalf("received %d bytes, want %d; %v", len(got), len(content), err)
	}
	if passed := p.Wire(); len(passed) < 2*len(content) {
		t.Errorf("%d bytes are of the wire, less than the credential twice over", len(passed))
	} else {
		words.search(t, "the wire", passed)
	}
	for _, c := range p.Calls() { // headers are compressed on the wire
		words.search(t, "a request", fmt.Appendf(nil, "%s %s %v %s", c.Method, c.Path, c.Header, c.Body))
	}
	words.search(t, "the relay's files after the end", folder(t, dir))
	memoryOf(t, r.cmd.Process.Pid, func(b []byte) { words.search(t, "the relay's memory after the end", b) })
	words.search(t, "the relay's log", []byte(r.log.String()))
	for who, d := range map[string]*device{"sender": alice, "receiver": bob} { // sealed, but all the same
		vault := maps.Clone(words)
		delete(vault, "receiver's path")
		vault.search(t, "the vault of the "+who+" after the end", folder(t, d.home))
	}
}

// TestCanariesAreFoundWhereTheyAre: the search would find each spelling.
func TestCanariesAreFoundWhereTheyAre(t *testing.T) {
	word := []byte("canary-credential-5b1e7c")
	for shift := range 3 {
		text := append(bytes.Repeat([]byte("x"), shift), append(word, "behind it"...)...)
		for name, b := range map[string][]byte{
			"raw": text, "hex": []byte(hex.EncodeToString(text)), "base64": []byte(base64.StdEncoding.EncodeToString(text)), "base64url": []byte(base64.RawURLEncoding.EncodeToString(text)),
		} {
			found := false
			for _, s := range canary.Spellings(word) {
				found = found || bytes.Contains(b, s)
			}
			if !found {
				t.Errorf("%s with %d bytes before it is not found", name, shift)
			}
		}
	}
}
