package vault

import (
	"bytes"
	"crypto/rand"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

func open(t *testing.T, home string) *Vault {
	t.Helper()
	v, err := Open(home, Options{Rand: rand.Reader})
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func TestWhatWasSavedIsLoaded(t *testing.T) {
	home := t.TempDir()
	v := open(t, home)
	id, err := v.NewID()
	if err != nil || !isID(id) {
		t.Fatal(id, err)
	}
	for _, record := range []string{"first", "a second, longer one", ""} {
		if err := v.Save(id, []byte(record)); err != nil {
			t.Fatal(err)
		}
		if got, err := open(t, home).Load(id); err != nil || string(got) != record {
			t.Errorf("loaded %q, %v; want %q", got, err, record)
		}
	}
	if ids, err := v.IDs(); err != nil || len(ids) != 1 || ids[0] != id {
		t.Errorf("there are %v, %v", ids, err)
	}
	if got, err := v.Find(strings.ToUpper(id[:3])); err != nil || got != id {
		t.Errorf("a prefix finds %q, %v", got, err)
	}
	if err := v.Remove(id); err != nil {
		t.Fatal(err)
	}
	if _, err := v.Load(id); !errors.Is(err, ErrNotFound) {
		t.Errorf("a removed share: %v", err)
	}
}

// TestOverwrittenRecordIsInNoFile is a part of VLT-03. While the share is held
// there may be a draft, but nothing in it but zeros.
func TestOverwrittenRecordIsInNoFile(t *testing.T) {
	home := t.TempDir()
	v := open(t, home)
	lock, err := v.Lock("aaaaaaaa")
	if err != nil {
		t.Fatal(err)
	}
	for range 3 {
		if err := errors.Join(v.Save("aaaaaaaa", bytes.Repeat([]byte("secret content"), 1000)), v.Save("aaaaaaaa", []byte("x"))); err != nil {
			t.Fatal(err)
		}
		if n := bytesUnder(t, v.share("")); n > 60 {
			t.Errorf("%d bytes but zeros are in the files, want those of the last record alone", n)
		}
	}
	if got, err := v.Load("aaaaaaaa"); err != nil || string(got) != "x" {
		t.Errorf("loaded %q, %v", got, err)
	}
	if err := lock.Release(); err != nil {
		t.Fatal(err)
	}
	entries, _ := os.ReadDir(v.share(""))
	if len(entries) != 2 {
		t.Errorf("left are %v, want the record and its lock", entries)
	}
}

// bytesUnder counts what isn't zero in the files of a folder.
func bytesUnder(t *testing.T, dir string) (n int) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		b, err := os.ReadFile(filepath.Join(dir, e.Name()))
		if err != nil {
			t.Fatal(err)
		}
		n += len(b) - bytes.Count(b, []byte{0})
	}
	return n
}

// TestVLT02CRS04ChangedOrTornFileIsRefusedAndLeft changes one bit anywhere, and
// tears each file at every byte.
func TestVLT02CRS04ChangedOrTornFileIsRefusedAndLeft(t *testing.T) {
	home := t.TempDir()
	v := open(t, home)
	if err := v.Save("aaaaaaaa", []byte("record")); err != nil {
		t.Fatal(err)
	}
	var damaged *DamagedError
	load := func() error { _, err := v.Load("aaaaaaaa"); return err }
	again := func() error { _, err := Open(home, Options{Rand: rand.Reader}); return err }
	for _, c := range []struct {
		file    string
		read    func() error
		refusal func(error) bool
	}{
		{"shares/aaaaaaaa", load, func(err error) bool { return errors.As(err, &damaged) }},
		{"mark", again, func(err error) bool { return errors.Is(err, ErrLocked) && errors.As(err, &damaged) }},
		{"key", again, func(err error) bool { return errors.Is(err, ErrLocked) }},
	} {
		path := filepath.Join(home, c.file)
		good, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		refused := func(what string, at int, b []byte) {
			t.Helper()
			if err := os.WriteFile(path, b, 0o600); err != nil {
				t.Fatal(err)
			}
			if err := c.read(); !c.refusal(err) {
				t.Errorf("%s %s at %d: got %v, want a refusal with the reason", c.file, what, at, err)
			}
			if now, _ := os.ReadFile(path); !bytes.Equal(now, b) {
				t.Errorf("%s %s at %d: the file was touched", c.file, what, at)
			}
		}
		for i := range bytes.TrimSpace(good) {
			b := bytes.Clone(good)
			b[i] ^= 1
			refused("with a bit changed", i, b)
			refused("torn", i, good[:i])
		}
		if err := os.WriteFile(path, good, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := c.read(); err != nil {
			t.Errorf("%s made whole again: %v", c.file, err)
		}
	}
}

func TestOneSharesFileDoesntPassForAnothers(t *testing.T) {
	v := open(t, t.TempDir())
	err := v.Save("aaaaaaaa", []byte("record"))
	if err = errors.Join(err, os.Rename(v.share("aaaaaaaa"), v.share("bbbbbbbb"))); err != nil {
		t.Fatal(err)
	}
	var damaged *DamagedError
	if _, err := v.Load("bbbbbbbb"); !errors.As(err, &damaged) {
		t.Errorf("got %v", err)
	}
}

func TestWrongKeyIsLocked(t *testing.T) {
	home := t.TempDir()
	if err := open(t, home).Save("aaaaaaaa", []byte("record")); err != nil {
		t.Fatal(err)
	}
	key := filepath.Join(home, "key")
	for what, content := range map[string]string{"another key": strings.Repeat("A", 43) + "=\n", "no key": "hello"} {
		if err := os.WriteFile(key, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := Open(home, Options{Rand: rand.Reader}); !errors.Is(err, ErrLocked) {
			t.Errorf("%s: got %v", what, err)
		}
	}
	for _, gone := range []string{"key", "mark"} {
		os.Remove(filepath.Join(home, gone))
		if _, err := Open(home, Options{Rand: rand.Reader}); !errors.Is(err, ErrLocked) {
			t.Errorf("without %s a key must not be made anew over shares: %v", gone, err)
		}
	}
	if _, err := os.Lstat(key); err == nil {
		t.Error("a key was made")
	}
}

// TestCopiedVaultIsNoticed is a part of VLT-04.
func TestCopiedVaultIsNoticed(t *testing.T) {
	home := t.TempDir()
	v := open(t, home)
	if open(t, home).Copied() {
		t.Error("the same folder is taken for a copy")
	}
	other := filepath.Join(t.TempDir(), "copy")
	if err := os.CopyFS(other, os.DirFS(home)); err != nil {
		t.Fatal(err)
	}
	c := open(t, other)
	if !c.Copied() || v.Copied() {
		t.Error("a copy isn't noticed")
	}
	if err := c.Adopt(); err != nil || open(t, other).Copied() {
		t.Errorf("an adopted copy is still one: %v", err)
	}
}

// TestIDOfASecretIsTheSameForAllWhoHaveIt, until a share has it.
func TestIDOfASecretIsTheSameForAllWhoHaveIt(t *testing.T) {
	home := t.TempDir()
	a, b := open(t, home), open(t, home)
	id, err := a.IDOf([]byte("secret"))
	if err != nil || !isID(id) {
		t.Fatalf("%q, %v", id, err)
	}
	if again, err := b.IDOf([]byte("secret")); again != id || err != nil {
		t.Errorf("%q and %q, %v", id, again, err)
	}
	if other, err := b.IDOf([]byte("another secret")); other == id || err != nil {
		t.Errorf("two secrets have the id %q, %v", other, err)
	}
	if err := a.Save(id, []byte("record")); err != nil {
		t.Fatal(err)
	}
	if next, err := b.IDOf([]byte("secret")); next == id || !isID(next) || err != nil {
		t.Errorf("a share has %q, and there is %q, %v", id, next, err)
	}
}

// TestOneProcessHoldsAShare is VLT-01, with a second real process.
func TestOneProcessHoldsAShare(t *testing.T) {
	if home := os.Getenv("VAULT_TEST_HOME"); home != "" {
		_, err := open(t, home).Lock("aaaaaaaa")
		if !errors.Is(err, ErrHeld) {
			t.Errorf("the second process got %v", err)
		}
		return
	}
	home := t.TempDir()
	lock, err := open(t, home).Lock("aaaaaaaa")
	if err != nil {
		t.Fatal(err)
	}
	c := exec.Command(os.Args[0], "-test.run=^TestOneProcessHoldsAShare$")
	c.Env = append(os.Environ(), "VAULT_TEST_HOME="+home)
	if out, err := c.CombinedOutput(); err != nil {
		t.Errorf("%v: %s", err, out)
	}
	if err := lock.Release(); err != nil {
		t.Fatal(err)
	}
	if again, err := open(t, home).Lock("aaaaaaaa"); err != nil {
		t.Error("a released share:", err)
	} else {
		again.Release()
	}
}

func TestSocketOfAVaultWithALongNameIsReached(t *testing.T) {
	for _, name := range []string{"short", strings.Repeat("long/", 30)} {
		v := open(t, filepath.Join(t.TempDir(), name))
		l, err := v.Listen("aaaaaaaa")
		if err != nil {
			t.Fatal(err)
		}
		c, err := v.Dial(t.Context(), "aaaaaaaa")
		if err != nil {
			t.Fatal(err)
		}
		c.Close()
		l.Close()
		if _, err := os.Lstat(filepath.Join(v.home, "run", "aaaaaaaa.sock")); err == nil {
			t.Error("a closed socket is left")
		}
	}
}

func FuzzOpen(f *testing.F) {
	v, err := Open(f.TempDir(), Options{Rand: rand.Reader})
	if err != nil {
		f.Fatal(err)
	}
	good, _ := v.seal("x", []byte("record"))
	f.Add(good)
	f.Fuzz(func(t *testing.T, b []byte) {
		if plain, err := v.open("x", b); err == nil && !bytes.Equal(b, good) {
			t.Errorf("bytes that were never sealed open: %x", plain)
		}
	})
}
