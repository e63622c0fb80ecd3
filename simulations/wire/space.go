//go:build linux

package wire

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// A space is a network of its own, with the name of its host, and a thread that
// lives in it. Programs are started by that thread, so they die with this process.
type space struct {
	calls chan func()
	stop  chan struct{}
	over  chan struct{} // closed when the thread has ended
}

// newSpace makes a space; settle is called in it first.
func newSpace(host string, settle func() error) (*space, error) {
	s := &space{calls: make(chan func()), stop: make(chan struct{}), over: make(chan struct{})}
	began := make(chan error)
	go onThreadOfItsOwn(func() {
		defer close(s.over)
		err := unshare(host)
		if err == nil {
			err = settle()
		}
		began <- err
		for {
			select {
			case f := <-s.calls:
				f()
			case <-s.stop:
				return
			}
		}
	})
	if err := <-began; err != nil {
		s.close()
		return nil, fmt.Errorf("host %s can't be made: %w", host, err)
	}
	return s, nil
}

// onThreadOfItsOwn calls f on a thread that ends with the calling goroutine. A
// process's first thread never ends before the process (the runtime parks it in
// place of that), and what it had started would stay: it gives f to another.
func onThreadOfItsOwn(f func()) {
	runtime.LockOSThread() // never unlocked: the thread ends with the goroutine
	if unix.Gettid() != unix.Getpid() {
		f()
		return
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		onThreadOfItsOwn(f)
	}()
	<-ended
	runtime.UnlockOSThread()
}

// unshare gives the calling thread a network and a host name of its own.
func unshare(host string) error {
	if err := unix.Unshare(unix.CLONE_NEWNET | unix.CLONE_NEWUTS); err != nil {
		return fmt.Errorf("a network namespace needs root (CAP_SYS_ADMIN): %w", err)
	}
	return unix.Sethostname([]byte(host))
}

// do calls f on the space's thread: what f opens or starts itself belongs to the
// space; goroutines that it starts don't. It fails once the space is closed.
func (s *space) do(f func() error) error {
	done := make(chan error, 1)
	select {
	case s.calls <- func() { done <- f() }:
		return <-done
	case <-s.over:
		return errors.New("the host is gone")
	}
}

// start starts a program in the space, which is killed when this process ends.
func (s *space) start(c *exec.Cmd) error {
	if c.SysProcAttr == nil {
		c.SysProcAttr = &syscall.SysProcAttr{}
	}
	c.SysProcAttr.Pdeathsig = unix.SIGKILL
	return s.do(c.Start)
}

// close ends the space's thread, and with it the programs that it has started.
func (s *space) close() {
	close(s.stop)
	<-s.over
}

// ip runs the ip command in the calling thread's network.
func ip(args string) error {
	if out, err := exec.Command("ip", strings.Fields(args)...).CombinedOutput(); err != nil {
		return fmt.Errorf("ip %s: %w: %s (on Debian, iproute2 has it)", args, err, out)
	}
	return nil
}

// sysctl sets values of the calling thread's network; what the kernel doesn't
// have is left out.
func sysctl(values map[string]string) error {
	for name, value := range values {
		err := os.WriteFile("/proc/sys/net/"+name, []byte(value), 0)
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
	}
	return nil
}

// openDevice makes a device in the calling thread's network: IFF_TUN, of IP
// packets, or IFF_TAP, of Ethernet frames. What is read from the file was sent on it.
func openDevice(name string, kind uint16) (*os.File, error) {
	fd, err := unix.Open("/dev/net/tun", unix.O_RDWR|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, fmt.Errorf("/dev/net/tun can't be opened (modprobe tun? root?): %w", err)
	}
	req, err := unix.NewIfreq(name)
	if err == nil {
		req.SetUint16(kind | unix.IFF_NO_PI)
		err = unix.IoctlIfreq(fd, unix.TUNSETIFF, req)
	}
	if err != nil {
		unix.Close(fd)
		return nil, fmt.Errorf("the device %s can't be made: %w", name, err)
	}
	return os.NewFile(uintptr(fd), name), nil
}
