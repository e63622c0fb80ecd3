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

// TestOverwrittenRecordIsInNoFile is a part of VLT-03.
func TestOverwrittenRecordIsInNoFile(t *testing.T) {
	home := t.TempDir()
	v := open(t, home)
	if err := errors.Join(v.Save("aaaaaaaa", []byte("secret content")), v.Save("aaaaaaaa", []byte("x"))); err != nil {
		t.Fatal(err)
	}
	entries, _ := os.ReadDir(filepath.Join(home, "shares"))
	if len(entries) != 1 {
		t.Errorf("%d files are left, want the one", len(entries))
	}
	if b, _ := os.ReadFile(v.share("aaaaaaaa")); bytes.Contains(b, []byte("secret")) || len(b) > 60 {
		t.Error("an older record's bytes are left")
	}
}

// TestChangedFileIsRefusedAndLeft is VLT-02 and CRS-04: one bit anywhere, and a
// file torn at every byte.
func TestChangedFileIsRefusedAndLeft(t *testing.T) {
	v := open(t, t.TempDir())
	if err := v.Save("aaaaaaaa", []byte("record")); err != nil {
		t.Fatal(err)
	}
	good, err := os.ReadFile(v.share("aaaaaaaa"))
	if err != nil {
		t.Fatal(err)
	}
	refused := func(what string, b []byte) {
		t.Helper()
		if err := os.WriteFile(v.share("aaaaaaaa"), b, 0o600); err != nil {
			t.Fatal(err)
		}
		var damaged *DamagedError
		if _, err := v.Load("aaaaaaaa"); !errors.As(err, &damaged) {
			t.Errorf("%s: got %v, want a refusal with the reason", what, err)
		}
		if now, _ := os.ReadFile(v.share("aaaaaaaa")); !bytes.Equal(now, b) {
			t.Errorf("%s: the file was touched", what)
		}
	}
	for i := range good {
		b := bytes.Clone(good)
		b[i] ^= 1
		refused("a bit changed", b)
		refused("torn", good[:i])
	}
	if err := os.WriteFile(v.share("bbbbbbbb"), good, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := v.Load("bbbbbbbb"); err == nil {
		t.Error("one share's file passes for another's")
	}
}

func TestWrongKeyIsLocked(t *testing.T) {
	home := t.TempDir()
	open(t, home)
	key := filepath.Join(home, "key")
	for what, content := range map[string]string{"another key": strings.Repeat("A", 43) + "=\n", "no key": "hello"} {
		if err := os.WriteFile(key, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := Open(home, Options{Rand: rand.Reader}); !errors.Is(err, ErrLocked) {
			t.Errorf("%s: got %v", what, err)
		}
	}
	os.Remove(key)
	if _, err := Open(home, Options{Rand: rand.Reader}); !errors.Is(err, ErrLocked) {
		t.Errorf("a lost key must not be made anew over a vault: %v", err)
	}
}

// TestCopiedVaultIsNoticed is VLT-04.
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
