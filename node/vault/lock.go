package vault

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"

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
	f, err := v.hold(id)
	if errors.Is(err, errTaken) {
		return nil, fmt.Errorf("%w: %s", ErrHeld, id)
	}
	if err != nil {
		return nil, fmt.Errorf("the share can't be locked: %w", err)
	}
	fault.Point("vault.lock", "held")
	return &Lock{f, draftOf(v.share(id))}, nil
}

// errTaken is what hold returns where another has the lock.
var errTaken = errors.New("the lock is taken")

// gate is held while the vault is opened or adopted. Nobody holds it for long.
func (v *Vault) gate() (*os.File, error) {
	f, err := v.holdGate()
	if err != nil {
		return nil, fmt.Errorf("the vault can't be locked: %w", err)
	}
	return f, nil
}

// lockPath is the file of the gate's lock.
func (v *Vault) lockPath() string { return filepath.Join(v.home, "lock") }

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
