package vault

import (
	"errors"
	"io"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// All locks are of one file, for making a file costs a file system more than all the
// rest of a lock: the gate's is of its first byte, and each share's of a byte of its
// own far behind the end. They are held by the open file (fcntl(2), F_OFD_SETLK), not
// by the process: so two in one process keep each other out, too.

func (v *Vault) holdGate() (*os.File, error) { return v.lockByte(0, unix.F_OFD_SETLKW) }

func (v *Vault) hold(id string) (*os.File, error) {
	return v.lockByte(1+number(id), unix.F_OFD_SETLK)
}

// number numbers the ids: the id is the number in base 25.
func number(id string) (n int64) {
	for _, c := range []byte(id) {
		n = n*int64(len(alphabet)) + int64(strings.IndexByte(alphabet, c))
	}
	return n
}

// forgetLock removes what a share's lock leaves: nothing.
func (v *Vault) forgetLock(string) {}

// lockByte locks a byte of the file, which is made if there is none.
func (v *Vault) lockByte(at int64, how int) (*os.File, error) {
	f, err := os.OpenFile(v.lockPath(), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	one := unix.Flock_t{Type: unix.F_WRLCK, Whence: io.SeekStart, Start: at, Len: 1}
	for {
		err = unix.FcntlFlock(f.Fd(), how, &one)
		if !errors.Is(err, unix.EINTR) {
			break
		}
	}
	if err == nil {
		return f, nil
	}
	f.Close()
	if errors.Is(err, unix.EAGAIN) || errors.Is(err, unix.EACCES) {
		return nil, errTaken
	}
	return nil, err
}
