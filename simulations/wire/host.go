//go:build linux

package wire

import (
	"errors"
	"net/netip"
	"os"
	"os/exec"

	"golang.org/x/sys/unix"
)

// A Host is a machine on the wire, with one address and no way off it. Its
// loopback device is down, so that addresses of 127.0.0.0/8 can be hosts' too:
// what a program allows to loopback only can be measured on the wire.
type Host struct {
	Addr netip.Addr

	space *space
	tun   *os.File // the wire's end of its device
}

// newHost makes a namespace and a device in it.
func newHost(addr netip.Addr) (h *Host, err error) {
	h = &Host{Addr: addr}
	if h.space, err = newSpace(addr.String(), h.settle); err != nil {
		return nil, errors.Join(err, h.close())
	}
	return h, nil
}

const device = "wire0"

// settle makes the calling thread's network the host's.
func (h *Host) settle() (err error) {
	err = sysctl(map[string]string{
		"ipv4/conf/all/route_localnet":   "1", // 127.0.0.0/8 goes over the wire
		"ipv6/conf/all/disable_ipv6":     "1",
		"ipv6/conf/default/disable_ipv6": "1",
	})
	if err != nil {
		return err
	}
	if h.tun, err = openDevice(device, unix.IFF_TUN); err != nil {
		return err
	}
	bits := "/24" // of the room in which the others are
	if h.Addr.IsLoopback() {
		bits = "/32"
	}
	for _, args := range []string{
		"link set " + device + " up mtu 1500 txqueuelen 10000",
		"addr add " + h.Addr.String() + bits + " dev " + device,
		"route add 0.0.0.0/0 dev " + device + " src " + h.Addr.String(),
		"route add 127.0.0.0/8 dev " + device + " src " + h.Addr.String(),
	} {
		if err := ip(args); err != nil {
			return err
		}
	}
	return nil
}

// Do calls f on the host's thread: what f opens or starts itself is the host's;
// goroutines that it starts are not.
func (h *Host) Do(f func() error) error { return h.space.do(f) }

// Start starts a program on the host. It dies with this process.
func (h *Host) Start(c *exec.Cmd) error { return h.space.start(c) }

// take implements taker.
func (h *Host) take(packet []byte) { h.tun.Write(packet) } // a device that refuses a packet has lost it

func (h *Host) close() (err error) {
	if h.tun != nil {
		err = h.tun.Close()
	}
	if h.space != nil {
		h.space.close()
	}
	return err
}
