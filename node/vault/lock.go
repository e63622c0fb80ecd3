package vault

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"syscall"

	"github.com/sparekey/sparekey/fault"
)

// A Lock is this process's hold on a share. It ends with the process.
type Lock struct {
	f     *os.File
	draft string // the share's; in use only under the lock
}

// Lock takes hold of a share, or returns ErrHeld. Who opens the vault holds each
// share that a crash has left half written, for a moment and behind the gate: so
// where a share is held, it is tried once more from there.
func (v *Vault) Lock(id string) (*Lock, error) {
	lock, err := v.lock(id)
	if !errors.Is(err, ErrHeld) {
		return lock, err
	}
	gate, err := v.gate()
	if err != nil {
		return nil, err
	}
	defer gate.Close()
	return v.lock(id)
}

// lock takes hold of a share at once, or returns ErrHeld.
func (v *Vault) lock(id string) (*Lock, error) {
	for {
		f, err := lockFile(v.share(id)+".lock", syscall.LOCK_NB)
		switch {
		case errors.Is(err, syscall.EWOULDBLOCK):
			return nil, fmt.Errorf("%w: %s", ErrHeld, id)
		case err != nil:
			return nil, fmt.Errorf("the share can't be locked: %w", err)
		case sameFile(f):
			fault.Point("vault.lock", "held")
			return &Lock{f, draftOf(v.share(id))}, nil
		}
		f.Close() // who held it has removed the share meanwhile: this is the lock of nothing
	}
}

// gate is held while the vault is opened or adopted. Nobody holds it for long.
func (v *Vault) gate() (*os.File, error) {
	f, err := lockFile(filepath.Join(v.home, "lock"), 0)
	if err != nil {
		return nil, fmt.Errorf("the vault can't be locked: %w", err)
	}
	return f, nil
}

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

// Release lets go of the share, and leaves no draft of it.
func (l *Lock) Release() error {
	if err := os.Remove(l.draft); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return errors.Join(err, l.f.Close())
	}
	return l.f.Close()
}

// Listen listens on the share's socket. Only who holds its lock may call it: a
// socket that a dead process left is removed.
func (v *Vault) Listen(id string) (net.Listener, error) {
	path, done, err := v.socket(id)
	if err != nil {
		return nil, err
	}
	defer done()
	os.Remove(path)
	named := filepath.Join(v.home, "run", id+".sock")
	l, err := net.Listen("unix", path)
	if err != nil {
		return nil, fmt.Errorf("the share's socket can't be made: %w", ofFile(named, err))
	}
	l.(*net.UnixListener).SetUnlinkOnClose(false) // its short name may be gone by then
	return &listener{l, named}, os.Chmod(path, 0o600)
}

// ofFile makes what the file system has against a socket an error of its file, as it is for
// all the other files of the vault.
func ofFile(path string, err error) error {
	var call *os.SyscallError
	if errors.As(err, &call) && call.Syscall == "bind" {
		return &fs.PathError{Op: call.Syscall, Path: path, Err: call.Err}
	}
	return err
}

type listener struct {
	net.Listener
	path string
}

func (l *listener) Close() error {
	os.Remove(l.path)
	return l.Listener.Close()
}

// Dial reaches the process that holds a share.
func (v *Vault) Dial(ctx context.Context, id string) (net.Conn, error) {
	path, done, err := v.socket(id)
	if err != nil {
		return nil, err
	}
	defer done()
	return (&net.Dialer{}).DialContext(ctx, "unix", path)
}

// maxSocket is how long a socket's name may be (sun_path of unix(7), less the end).
const maxSocket = 100

// socket returns a name of the share's socket that is short enough: through an
// open folder where the vault's own name is too long.
func (v *Vault) socket(id string) (path string, done func(), err error) {
	dir := filepath.Join(v.home, "run")
	path = filepath.Join(dir, id+".sock")
	if len(path) <= maxSocket {
		return path, func() {}, nil
	}
	d, err := os.Open(dir)
	if err != nil {
		return "", nil, err
	}
	return fmt.Sprintf("/proc/self/fd/%d/%s.sock", d.Fd(), id), func() { d.Close() }, nil
}
