package vault

import (
	"crypto/rand"
	"encoding/base64"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// TestVLT01ProcessesThatOpenANewVaultAtOnceHaveOneKey runs real processes; each
// saves a share, and all of them must open.
func TestVLT01ProcessesThatOpenANewVaultAtOnceHaveOneKey(t *testing.T) {
	if home := os.Getenv("VAULT_TEST_HOME"); home != "" {
		v, id := open(t, home), os.Getenv("VAULT_TEST_ID")
		lock, err := v.Lock(id)
		if err != nil {
			t.Fatal(err)
		}
		defer lock.Release()
		if err := v.Save(id, []byte("record")); err != nil {
			t.Error(err)
		}
		return
	}
	for round := range 10 {
		home := filepath.Join(t.TempDir(), "deep", "er")
		var all sync.WaitGroup
		for i := range 4 {
			all.Go(func() {
				c := exec.Command(os.Args[0], "-test.run=^"+t.Name()+"$")
				c.Env = append(os.Environ(), "VAULT_TEST_HOME="+home, "VAULT_TEST_ID="+strings.Repeat(string(alphabet[i]), idLength))
				if out, err := c.CombinedOutput(); err != nil {
					t.Errorf("round %d: %v\n%s", round, err, out)
				}
			})
		}
		all.Wait()
		v := open(t, home)
		ids, err := v.IDs()
		if err != nil || len(ids) != 4 {
			t.Fatalf("round %d: there are %v, %v", round, ids, err)
		}
		for _, id := range ids {
			if _, err := v.Load(id); err != nil {
				t.Errorf("round %d: %v", round, err)
			}
		}
	}
}

func TestWhatACrashLeftHalfWrittenGoesAtTheNextOpen(t *testing.T) {
	home := t.TempDir()
	v := open(t, home)
	if err := v.Save("aaaaaaaa", []byte("saved")); err != nil {
		t.Fatal(err)
	}
	held, err := v.Lock("cccccccc")
	if err != nil {
		t.Fatal(err)
	}
	defer held.Release()
	for _, draft := range []string{".new-key", ".new-mark", "shares/.new-aaaaaaaa", "shares/.new-bbbbbbbb", "shares/.new-cccccccc"} {
		if err := os.WriteFile(filepath.Join(home, draft), []byte("half"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	open(t, home)
	var left []string
	for _, dir := range []string{"", "shares"} {
		entries, err := os.ReadDir(filepath.Join(home, dir))
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range entries {
			left = append(left, filepath.Join(dir, e.Name()))
		}
	}
	slices.Sort(left)
	want := []string{"key", "lock", "mark", "run", "shares", "shares/.new-cccccccc", "shares/aaaaaaaa", "shares/aaaaaaaa.lock", "shares/cccccccc.lock"}
	if !slices.Equal(left, want) {
		t.Errorf("left are %v, want %v: only who holds a share may have a draft of it", left, want)
	}
}

func TestWhatACrashLeftOfAVaultWithoutSharesIsMadeAnew(t *testing.T) {
	for _, gone := range []string{"key", "mark"} {
		home := t.TempDir()
		open(t, home)
		if err := os.Remove(filepath.Join(home, gone)); err != nil {
			t.Fatal(err)
		}
		v := open(t, home)
		if v.Copied() {
			t.Errorf("without %s: taken for a copy", gone)
		}
		if err := v.Save("aaaaaaaa", []byte("record")); err != nil {
			t.Fatal(err)
		}
		if _, err := open(t, home).Load("aaaaaaaa"); err != nil {
			t.Errorf("without %s: %v", gone, err)
		}
	}
}

// TestVLT04SharesWithoutAMarkAreTakenForACopy is a restore of key and shares alone.
func TestVLT04SharesWithoutAMarkAreTakenForACopy(t *testing.T) {
	home := t.TempDir()
	if err := open(t, home).Save("aaaaaaaa", []byte("record")); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(filepath.Join(home, "mark")); err != nil {
		t.Fatal(err)
	}
	for range 2 { // it stays one until it is adopted
		if !open(t, home).Copied() {
			t.Fatal("it passes for the original")
		}
	}
	if err := open(t, home).Adopt(); err != nil {
		t.Fatal(err)
	}
	if open(t, home).Copied() {
		t.Error("adopted, it is still a copy")
	}
}

// TestEveryFolderIsSyncedInTheOneAbove: else a power cut could take a whole new
// vault away, with shares that were saved in it.
func TestEveryFolderIsSyncedInTheOneAbove(t *testing.T) {
	var synced []string
	sync := syncFolder
	t.Cleanup(func() { syncFolder = sync })
	syncFolder = func(dir string) error {
		synced = append(synced, filepath.Clean(dir))
		return sync(dir)
	}
	root := t.TempDir()
	home := filepath.Join(root, "one", "two")
	want := []string{root, filepath.Join(root, "one"), home}
	made := func(what string) {
		t.Helper()
		open(t, home)
		for _, dir := range want {
			if !slices.Contains(synced, dir) {
				t.Errorf("%s: %s wasn't synced", what, dir)
			}
		}
		synced = nil
	}
	made("a new vault")
	if err := errors.Join(os.Remove(filepath.Join(home, "key")), os.Remove(filepath.Join(home, "mark"))); err != nil {
		t.Fatal(err)
	}
	made("folders of a process that was killed before it synced them")
	open(t, home)
	if len(synced) > 0 {
		t.Errorf("a vault that is there costs syncs: %v", synced)
	}
}

// TestLockOfARemovedShareIsNobodys: two processes must not hold the same share,
// one by the lock's file of before a forget and one by that of after it.
func TestLockOfARemovedShareIsNobodys(t *testing.T) {
	v := open(t, t.TempDir())
	for i := range 200 {
		first, err := v.Lock("aaaaaaaa")
		if err != nil {
			t.Fatal(err)
		}
		var both sync.WaitGroup
		locks := make([]*Lock, 2)
		both.Go(func() {
			v.Remove("aaaaaaaa")
			first.Release()
			locks[0], _ = v.Lock("aaaaaaaa")
		})
		both.Go(func() { locks[1], _ = v.Lock("aaaaaaaa") })
		both.Wait()
		if locks[0] != nil && locks[1] != nil {
			t.Fatalf("round %d: two hold the share", i)
		}
		for _, l := range locks {
			if l != nil {
				l.Release()
			}
		}
	}
}

// TestShareIsNotHeldByWhoCleansUpAfterACrash, however long that takes.
func TestShareIsNotHeldByWhoCleansUpAfterACrash(t *testing.T) {
	v := open(t, t.TempDir())
	gate, err := v.gate()
	if err != nil {
		t.Fatal(err)
	}
	cleans, err := v.lock("aaaaaaaa")
	if err != nil {
		t.Fatal(err)
	}
	locked := make(chan error, 1)
	go func() {
		lock, err := v.Lock("aaaaaaaa")
		if err == nil {
			err = lock.Release()
		}
		locked <- err
	}()
	select {
	case err := <-locked:
		t.Fatalf("while it is cleaned up: %v", err)
	case <-time.After(200 * time.Millisecond): // only how long a fault has to show itself
	}
	if err := errors.Join(cleans.Release(), gate.Close()); err != nil {
		t.Fatal(err)
	}
	if err := <-locked; err != nil {
		t.Errorf("after it was cleaned up: %v", err)
	}
}

func TestRemovingAShareThatWasNeverSavedSaysSo(t *testing.T) {
	v := open(t, t.TempDir())
	if err := v.Remove("aaaaaaaa"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("got %v", err)
	}
}

// TestAKeyFileThatCantBeUsedIsToldBeforeAnythingIsMade: where there is no vault yet,
// nothing is locked, and nothing half made is left; where there is one, it stays closed.
func TestAKeyFileThatCantBeUsedIsToldBeforeAnythingIsMade(t *testing.T) {
	dir := t.TempDir()
	garbage := filepath.Join(dir, "garbage")
	if err := os.WriteFile(garbage, []byte("hello"), 0o600); err != nil {
		t.Fatal(err)
	}
	for file, says := range map[string]string{filepath.Join(dir, "none"): "is not there", dir: "can't be read (is a directory)", garbage: "holds no key"} {
		home := filepath.Join(dir, "home")
		var why *KeyFileError
		_, err := Open(home, Options{KeyFile: file, Rand: rand.Reader})
		if !errors.As(err, &why) || !why.New || errors.Is(err, ErrLocked) || !strings.Contains(err.Error(), file+" "+says) {
			t.Errorf("without a vault: %v", err)
		}
		if _, err := os.Lstat(home); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%s: something was made (%v)", says, err)
		}
		home = t.TempDir()
		open(t, home)
		_, err = Open(home, Options{KeyFile: file, Rand: rand.Reader})
		if !errors.As(err, &why) || why.New || !errors.Is(err, ErrLocked) || !strings.Contains(err.Error(), file+" "+says) {
			t.Errorf("with a vault: %v", err)
		}
	}
}

// TestAKeyFileThatAPersonMadeOpensTheVault, and none is made beside it.
func TestAKeyFileThatAPersonMadeOpensTheVault(t *testing.T) {
	dir := t.TempDir()
	home, file := filepath.Join(dir, "home"), filepath.Join(dir, "stick")
	if err := os.WriteFile(file, []byte(base64.StdEncoding.EncodeToString(make([]byte, 32))+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if _, err := Open(home, Options{KeyFile: file, Rand: rand.Reader}); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := os.Lstat(filepath.Join(home, "key")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("there is a key in the vault's folder (%v)", err)
	}
}
