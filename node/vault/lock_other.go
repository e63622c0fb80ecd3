//go:build !linux

package vault

import (
	"errors"
	"os"
	"syscall"
)

// Locks are of whole files here, one a share, held by the open file (flock(2)).

func (v *Vault) holdGate() (*os.File, error) { return lockFile(v.lockPath(), 0) }

func (v *Vault) hold(id string) (*os.File, error) {
	for {
		f, err := lockFile(v.share(id)+".lock", syscall.LOCK_NB)
		switch {
		case errors.Is(err, syscall.EWOULDBLOCK):
			return nil, errTaken
		case err != nil:
			return nil, err
		case sameFile(f):
			return f, nil
		}
		f.Close() // who held it has removed the share meanwhile: this is the lock of nothing
	}
}

// forgetLock removes what a share's lock leaves.
func (v *Vault) forgetLock(id string) { os.Remove(v.share(id) + ".lock") }

// lockFile opens a file, which is made if there is none, and locks it.
func lockFile(path string, how int) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	for {
		err = syscall.Flock(int(f.Fd()), syscall.LOCK_EX|how)
		if !errors.Is(err, syscall.EINTR) {
			break
		}
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

// sameFile reports whether an open file is still the one of its name.
func sameFile(f *os.File) bool {
	open, err := f.Stat()
	if err != nil {
		return false
	}
	named, err := os.Stat(f.Name())
	return err == nil && os.SameFile(open, named)
}
