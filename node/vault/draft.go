package vault

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/sparekey/sparekey/fault"
)

// draftPrefix begins the name of a file that is to take the place of another.
const draftPrefix = ".new-"

// replace writes a file as a whole, or not at all. place names it for faults.
func replace(place, path string, b []byte) (err error) {
	dir, name := filepath.Split(path)
	draft := filepath.Join(dir, draftPrefix+name)
	fault.Point(place, "begin")
	os.Remove(draft) // what a crash has left
	f, err := os.OpenFile(draft, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			f.Close()
			os.Remove(draft)
		}
	}()
	fault.Point(place, "created")
	if _, err := f.Write(b); err != nil {
		return err
	}
	fault.Point(place, "written")
	if err := errors.Join(f.Sync(), f.Close()); err != nil {
		return err
	}
	fault.Point(place, "synced")
	if err := os.Rename(draft, path); err != nil {
		return err
	}
	fault.Point(place, "renamed")
	err = syncFolder(dir)
	fault.Point(place, "end")
	return err
}

// removeDrafts removes what killed processes have left half made. The caller has
// the gate, behind which key and mark are written; a share's draft is in use only
// while its lock is held.
func (v *Vault) removeDrafts() error {
	for _, dir := range []string{v.home, filepath.Join(v.home, "shares")} {
		entries, err := os.ReadDir(dir)
		if err != nil {
			return err
		}
		for _, e := range entries {
			name, ok := strings.CutPrefix(e.Name(), draftPrefix)
			if !ok {
				continue
			}
			if err := v.removeDraft(filepath.Join(dir, e.Name()), name); err != nil {
				return err
			}
		}
	}
	return nil
}

func (v *Vault) removeDraft(path, name string) error {
	if filepath.Dir(path) != v.home && isID(name) {
		lock, err := v.Lock(name)
		if errors.Is(err, ErrHeld) {
			return nil
		}
		if err != nil {
			return err
		}
		defer lock.Release()
		if _, err := os.Lstat(v.share(name)); errors.Is(err, fs.ErrNotExist) {
			defer os.Remove(v.share(name) + ".lock") // the share was never saved
		}
	}
	if err := os.Remove(path); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// makeFolders makes the vault's folders and sees that they would survive a power
// cut. Where the mark is, they have been synced before.
func (v *Vault) makeFolders() error {
	for _, dir := range []string{v.home, filepath.Join(v.home, "shares"), filepath.Join(v.home, "run")} {
		if err := makeFolder(dir); err != nil {
			return err
		}
	}
	if _, err := os.Lstat(v.mark()); err == nil {
		return nil
	}
	// A run that was killed may have made any of the folders above, and synced none.
	for dir, err := filepath.Abs(v.home); err == nil && dir != filepath.Dir(dir); dir = filepath.Dir(dir) {
		syncFolder(filepath.Dir(dir)) // those that aren't ours to open weren't made by us
	}
	return syncFolder(v.home)
}

// makeFolder makes a folder and those above it, each on disk before the next.
func makeFolder(dir string) error {
	if info, err := os.Stat(dir); err == nil && info.IsDir() {
		return nil
	}
	if parent := filepath.Dir(dir); parent != dir {
		if err := makeFolder(parent); err != nil {
			return err
		}
	}
	if err := os.Mkdir(dir, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	fault.Point("vault.folder", "made")
	return syncFolder(filepath.Dir(dir))
}

// syncFolder makes the names in a folder durable. Tests watch it.
var syncFolder = func(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
