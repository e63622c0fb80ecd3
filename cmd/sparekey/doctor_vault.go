package main

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/sparekey/sparekey/node"
	"github.com/sparekey/sparekey/node/vault"
)

// lookAtVault looks at this device's vault and its key; what isn't there yet is only tried.
func (a *app) lookAtVault() []finding {
	home := a.config.Home
	info, err := os.Stat(home)
	if err == nil {
		_, err = os.Stat(filepath.Join(home, "shares"))
	}
	switch {
	case errors.Is(err, fs.ErrNotExist):
		if err := tryVault(home, a.config.KeyFile); err != nil {
			return []finding{unusable("vault", err)}
		}
		return []finding{{check: "vault", state: note, what: "there is none yet; the first command that looks for shares makes it in " + home}}
	case err != nil:
		return []finding{unusable("vault", err)}
	}
	all := []finding{a.lookIn()}
	if f, ok := private("vault", home, info, 0o700); !ok {
		all = append(all, f)
	}
	return append(all, a.lookAtKey()...)
}

// tryVault makes a vault as the first share would, but in a folder of its own beside
// where that one makes it, and removes it again.
func tryVault(home, keyFile string) error {
	parent := home
	for !there(parent) && parent != filepath.Dir(parent) {
		parent = filepath.Dir(parent)
	}
	aside, err := os.MkdirTemp(parent, ".sparekey-doctor-")
	var path *fs.PathError
	if errors.As(err, &path) {
		err = &fs.PathError{Op: path.Op, Path: home, Err: path.Err} // what the share would see
	}
	if err != nil {
		return fmt.Errorf("the vault's folder can't be made: %w", err)
	}
	defer os.RemoveAll(aside)
	v, err := vault.Open(aside, vault.Options{KeyFile: keyFile, Rand: rand.Reader})
	if err != nil {
		return err
	}
	locked, err := tryShare(v)
	if err != nil && !locked {
		err = fmt.Errorf("files can't be locked beside %s: %w", home, err)
	}
	return err
}

// there reports whether something has this name, be it a link that leads nowhere.
func there(path string) bool {
	_, err := os.Lstat(path)
	return !errors.Is(err, fs.ErrNotExist)
}

// lookIn opens the vault, and sees that shares can be locked and read.
func (a *app) lookIn() finding {
	v, err := vault.Open(a.config.Home, vault.Options{KeyFile: a.config.KeyFile, Rand: rand.Reader})
	if err != nil {
		return unusable("vault", err)
	}
	ids, err := v.IDs()
	if err != nil {
		return unusable("vault", err)
	}
	switch locked, err := tryShare(v); {
	case err != nil && locked:
		return unusable("vault", err)
	case err != nil:
		return finding{check: "vault", state: trouble, what: fmt.Sprintf("files can't be locked in %s: %v", a.config.Home, err), fix: "a vault on a local disk: --home"}
	}
	halted := 0
	for _, id := range ids {
		b, err := v.Load(id)
		if r, unread := node.DecodeRecord(b); err == nil && unread == nil && r.Silent() {
			halted++
		}
		if err != nil && !errors.Is(err, vault.ErrNotFound) {
			return finding{check: "vault", subject: id, state: trouble, what: fmt.Sprintf("this share can't be read: %v", err), fix: "restore the file, or sparekey forget " + id}
		}
	}
	if v.Copied() {
		return finding{check: "vault", state: note, what: "this is a copy or a restored backup: live shares in it don't go on"}
	}
	if halted > 0 {
		return finding{check: "vault", state: note, what: fmt.Sprintf("opens, with %s; it was a copy or a restored backup once, and %s came to a halt in it", plural(len(ids), "share"), plural(halted, "live share"))}
	}
	return finding{check: "vault", state: works, what: fmt.Sprintf("opens, with %s, in %s", plural(len(ids), "share"), a.config.Home)}
}

// tryShare locks a share that isn't there and makes its socket, for a moment.
func tryShare(v *vault.Vault) (locked bool, err error) {
	id, err := v.NewID()
	if err != nil {
		return false, err
	}
	lock, err := v.Lock(id)
	if err != nil {
		return false, err
	}
	defer lock.Release()
	v.Remove(id) // the lock's file
	socket, err := v.Listen(id)
	if err != nil {
		return true, err
	}
	return true, socket.Close()
}

// unusable is the finding that no share can be kept here.
func unusable(check string, err error) finding {
	f := asFailure(err)
	return finding{check: check, state: trouble, what: strings.TrimSuffix(f.Message, "."), fix: f.Hint, err: f}
}

// lookAtKey sees that nobody else may read the key.
func (a *app) lookAtKey() []finding {
	path := first(a.config.KeyFile, filepath.Join(a.config.Home, "key"))
	info, err := os.Stat(path)
	if err != nil {
		return nil // opening the vault has told
	}
	if f, ok := private("key", path, info, 0o600); !ok {
		return []finding{f}
	}
	return []finding{{check: "key", state: works, what: "only you can read " + path}}
}

// private reports whether nobody but its owner may do anything with a file.
func private(check, path string, info fs.FileInfo, want fs.FileMode) (finding, bool) {
	if info.Mode().Perm()&0o077 == 0 {
		return finding{}, true
	}
	return finding{check: check, state: trouble, what: fmt.Sprintf("others on this machine can get at %s (%v)", path, info.Mode().Perm()), fix: fmt.Sprintf("chmod %o %s", want, path)}, false
}
