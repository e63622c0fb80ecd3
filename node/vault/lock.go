package vault

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"syscall"
)

// A Lock is this process's hold on a share. It ends with the process.
type Lock struct{ f *os.File }

// Lock takes hold of a share, or returns ErrHeld.
func (v *Vault) Lock(id string) (*Lock, error) {
	f, err := os.OpenFile(v.share(id)+".lock", os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("the share can't be locked: %w", err)
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		f.Close()
		if errors.Is(err, syscall.EWOULDBLOCK) {
			return nil, fmt.Errorf("%w: %s", ErrHeld, id)
		}
		return nil, fmt.Errorf("the share can't be locked: %w", err)
	}
	return &Lock{f}, nil
}

// Release lets go of the share.
func (l *Lock) Release() error { return l.f.Close() }

// Listen listens on the share's socket. Only who holds its lock may call it: a
// socket that a dead process left is removed.
func (v *Vault) Listen(id string) (net.Listener, error) {
	path, done, err := v.socket(id)
	if err != nil {
		return nil, err
	}
	defer done()
	os.Remove(path)
	l, err := net.Listen("unix", path)
	if err != nil {
		return nil, fmt.Errorf("the share's socket can't be made: %w", err)
	}
	l.(*net.UnixListener).SetUnlinkOnClose(false) // its short name may be gone by then
	return &listener{l, filepath.Join(v.home, "run", id+".sock")}, os.Chmod(path, 0o600)
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
