//go:build linux

package wire

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"runtime"
	"strings"

	"golang.org/x/sys/unix"
)

// A Host is a machine on the wire, with one address and no way off it. Its
// loopback device is down, so that addresses of 127.0.0.0/8 can be hosts' too:
// what a program allows to loopback only can be measured on the wire.
type Host struct {
	Addr netip.Addr

	space *os.File // its network namespace
	tun   *os.File // the wire's end of its device
}

// newHost makes a namespace and a device in it.
func newHost(addr netip.Addr) (*Host, error) {
	h := &Host{Addr: addr}
	failed := make(chan error)
	go func() { // on a thread of its own, which is never used again
		runtime.LockOSThread()
		failed <- h.settle()
	}()
	if err := <-failed; err != nil {
		return nil, errors.Join(fmt.Errorf("host %s can't be made: %w", addr, err), h.close())
	}
	return h, nil
}

// settle turns the calling thread's network into the host's.
func (h *Host) settle() (err error) {
	if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
		return fmt.Errorf("a network namespace needs root (CAP_SYS_ADMIN): %w", err)
	}
	if h.space, err = os.Open(threadSpace()); err != nil {
		return err
	}
	for path, value := range map[string]string{
		"/proc/sys/net/ipv4/conf/all/route_localnet":   "1", // 127.0.0.0/8 goes over the wire
		"/proc/sys/net/ipv6/conf/all/disable_ipv6":     "1",
		"/proc/sys/net/ipv6/conf/default/disable_ipv6": "1",
	} {
		if err := os.WriteFile(path, []byte(value), 0); err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
	}
	if h.tun, err = openTUN(); err != nil {
		return err
	}
	for _, args := range []string{
		"link set " + device + " up mtu 1500 txqueuelen 10000",
		"addr add " + h.Addr.String() + "/32 dev " + device,
		"route add 0.0.0.0/0 dev " + device + " src " + h.Addr.String(),
		"route add 127.0.0.0/8 dev " + device + " src " + h.Addr.String(),
	} {
		if out, err := exec.Command("ip", strings.Fields(args)...).CombinedOutput(); err != nil {
			return fmt.Errorf("ip %s: %w: %s (on Debian, iproute2 has it)", args, err, out)
		}
	}
	return nil
}

const device = "wire0"

func threadSpace() string { return fmt.Sprintf("/proc/self/task/%d/ns/net", unix.Gettid()) }

// openTUN makes the device in the calling thread's namespace.
func openTUN() (*os.File, error) {
	fd, err := unix.Open("/dev/net/tun", unix.O_RDWR|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, fmt.Errorf("/dev/net/tun can't be opened (modprobe tun? root?): %w", err)
	}
	req, err := unix.NewIfreq(device)
	if err == nil {
		req.SetUint16(unix.IFF_TUN | unix.IFF_NO_PI)
		err = unix.IoctlIfreq(fd, unix.TUNSETIFF, req)
	}
	if err != nil {
		unix.Close(fd)
		return nil, fmt.Errorf("a TUN device can't be made: %w", err)
	}
	return os.NewFile(uintptr(fd), "tun"), nil
}

// Do calls f on a thread that has the host's network: what f opens or starts
// itself is the host's; goroutines that it starts are not.
func (h *Host) Do(f func() error) error {
	done := make(chan error)
	go func() {
		runtime.LockOSThread() // never unlocked: the thread ends with the goroutine
		if err := unix.Setns(int(h.space.Fd()), unix.CLONE_NEWNET); err != nil {
			done <- fmt.Errorf("the network of host %s can't be entered: %w", h.Addr, err)
			return
		}
		done <- f()
	}()
	return <-done
}

// Start starts a program on the host.
func (h *Host) Start(c *exec.Cmd) error { return h.Do(c.Start) }

func (h *Host) close() error {
	var errs []error
	for _, f := range []*os.File{h.tun, h.space} {
		if f != nil {
			errs = append(errs, f.Close())
		}
	}
	return errors.Join(errs...)
}
