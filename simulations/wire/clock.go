//go:build linux

package wire

import (
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// A clock wakes who waits on it, by a timer of the kernel: one of the runtime's
// own is up to a millisecond late when nothing else goes on.
type clock struct{ f *os.File }

func newClock() (*clock, error) {
	fd, err := unix.TimerfdCreate(unix.CLOCK_MONOTONIC, unix.TFD_CLOEXEC|unix.TFD_NONBLOCK)
	if err != nil {
		return nil, fmt.Errorf("the kernel gives no timer: %w", err)
	}
	return &clock{os.NewFile(uintptr(fd), "timer")}, nil
}

// set makes the clock wake after d, in place of what was set before.
func (c *clock) set(d time.Duration) error {
	raw, err := c.f.SyscallConn()
	if err != nil {
		return err
	}
	spec := unix.ItimerSpec{Value: unix.NsecToTimespec(max(d, 1).Nanoseconds())} // 0 would stop it
	var failed error
	err = raw.Control(func(fd uintptr) { failed = unix.TimerfdSettime(int(fd), 0, &spec, nil) })
	if err != nil {
		return err
	}
	return failed
}

// wait returns when the clock wakes, with an error once it is closed.
func (c *clock) wait() error {
	var expirations [8]byte
	_, err := c.f.Read(expirations[:])
	return err
}
