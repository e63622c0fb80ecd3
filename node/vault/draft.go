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

func draftOf(path string) string {
	dir, name := filepath.Split(path)
	return filepath.Join(dir, draftPrefix+name)
}

// replace writes a file as a whole, or not at all. place names it for faults.
//
// The draft and the file change places, and the draft is then written over with
// zeros and kept for the next time: making and removing a file each time, or only
// giving back its blocks, costs a file system more than all the rest. Who calls it
// holds the lock under which this file is written.
func replace(place, path string, b []byte) (err error) {
	draft := draftOf(path)
	fault.Point(place, "begin")
	defer func() {
		if err != nil {
			os.Remove(draft)
		}
	}()
	if err := writeDraft(place, draft, b); err != nil {
		return err
	}
	if err := exchange(draft, path); err != nil {
		return err
	}
	fault.Point(place, "renamed")
	if err := syncFolder(filepath.Dir(path)); err != nil {
		return err
	}
	if err := blank(draft); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	fault.Point(place, "end")
	return nil
}

// blank writes zeros over all of a file. They needn't be durable: what they are
// written over is sealed, and the next draft comes over them.
func blank(path string) error {
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	if _, err := f.Write(make([]byte, info.Size())); err != nil {
		return err
	}
	return f.Close()
}

// writeDraft writes b, and nothing else, to the draft and syncs it.
func writeDraft(place, draft string, b []byte) error {
	f, err := os.OpenFile(draft, os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer f.Close()
	fault.Point(place, "created")
	if _, err := f.Write(b); err != nil {
		return err
	}
	if info, err := f.Stat(); err != nil {
		return err
	} else if info.Size() > int64(len(b)) {
		if err := f.Truncate(int64(len(b))); err != nil {
			return err
		}
	}
	fault.Point(place, "written")
	if err := syncData(f); err != nil {
		return err
	}
	fault.Point(place, "synced")
	return f.Close()
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
		lock, err := v.lock(name) // not Lock: that waits for the gate
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
