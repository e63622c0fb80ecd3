//go:build linux

package beacon

import (
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// A space is a network namespace. It goes with the test.
type space struct {
	t testing.TB
	f *os.File
}

func newSpace(t testing.TB) *space {
	t.Helper()
	s := &space{t: t}
	failed := make(chan error)
	go func() { // on a thread of its own, which is never used again
		runtime.LockOSThread()
		failed <- func() (err error) {
			if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
				return fmt.Errorf("a network namespace needs root (CAP_SYS_ADMIN): %w", err)
			}
			if s.f, err = os.Open(fmt.Sprintf("/proc/self/task/%d/ns/net", unix.Gettid())); err != nil {
				return err
			}
			return set("ipv6/conf/default/addr_gen_mode", "1") // none: see plug
		}()
	}()
	if err := <-failed; err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.f.Close() })
	return s
}

func set(name, value string) error { return os.WriteFile("/proc/sys/net/"+name, []byte(value), 0) }

// do calls f on a thread that is in the namespace.
func (s *space) do(f func() error) {
	s.t.Helper()
	done := make(chan error)
	go func() {
		runtime.LockOSThread() // never unlocked: the thread ends with the goroutine
		if err := unix.Setns(int(s.f.Fd()), unix.CLONE_NEWNET); err != nil {
			done <- err
			return
		}
		done <- f()
	}()
	if err := <-done; err != nil {
		s.t.Fatal(err)
	}
}

// ip runs the ip command in the namespace. The word PEER stands for another one.
func (s *space) ip(peer *space, args string) {
	s.t.Helper()
	c := exec.Command("ip", strings.Fields(strings.ReplaceAll(args, "PEER", "/proc/self/fd/3"))...)
	if peer != nil {
		c.ExtraFiles = []*os.File{peer.f}
	}
	s.do(func() error {
		if out, err := c.CombinedOutput(); err != nil {
			return fmt.Errorf("ip %s: %w: %s (on Debian, iproute2 has it)", args, err, out)
		}
		return nil
	})
}

// A room has switches, and hosts with plugs in them.
type room struct {
	t     testing.TB
	space *space
	plugs int // that there have been
}

func newRoom(t testing.TB, switches ...string) *room {
	t.Helper()
	r := &room{t: t, space: newSpace(t)}
	for _, s := range switches {
		r.space.ip(nil, "link add "+s+" type bridge mcast_snooping 0")
		r.space.ip(nil, "link set "+s+" up")
	}
	return r
}

// A host is a machine in the room.
type host struct {
	*space
	room   *room
	speaks int
	ports  map[string]string // the switch's end, by the host's interface
}

// What a host speaks.
const (
	v4only = 1 << iota
	both
)

// host makes a machine that is on no switch yet.
func (r *room) host(speaks int) *host {
	r.t.Helper()
	h := &host{space: newSpace(r.t), room: r, speaks: speaks, ports: make(map[string]string)}
	if speaks == v4only {
		h.do(func() error { return set("ipv6/conf/default/disable_ipv6", "1") })
	}
	h.ip(nil, "link set lo up")
	return h
}

// plug connects a new interface of the host to a switch. It has a link-local
// address if the host speaks IPv6: made here, because the system makes its own
// when it pleases. There are no routes but those of the addresses.
func (h *host) plug(ifi, to string, addrs ...string) {
	h.t.Helper()
	h.room.plugs++
	port := fmt.Sprint("port", h.room.plugs)
	h.ports[ifi] = port
	s := h.room.space
	s.ip(h.space, "link add "+port+" type veth peer name "+ifi+" netns PEER")
	s.ip(nil, "link set "+port+" master "+to+" up")
	if h.speaks == both {
		h.ip(nil, fmt.Sprintf("addr add fe80::%x/64 dev %s nodad", h.room.plugs, ifi))
	}
	for _, a := range addrs {
		h.ip(nil, "addr add "+a+" dev "+ifi+" nodad")
	}
	h.ip(nil, "link set "+ifi+" up")
}
