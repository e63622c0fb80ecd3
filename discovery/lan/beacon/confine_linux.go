package beacon

import (
	"fmt"
	"net"

	"golang.org/x/sys/unix"
)

// confine has a socket send and hear by one interface only. Linux gives a
// multicast packet to every socket on its port, whichever interface that joined
// the group on: without this every server would answer every question, and tell
// one network what was meant for another. And an answer leaves by the interface
// of its question even where no route says so.
func confine(c *net.UDPConn, ifi net.Interface) error {
	raw, err := c.SyscallConn()
	if err != nil {
		return err
	}
	var bound, joined error
	err = raw.Control(func(fd uintptr) {
		bound = unix.BindToDevice(int(fd), ifi.Name)
		joined = onlyJoined(int(fd))
	})
	if err == nil && bound != nil && joined != nil { // Linux before 5.7 binds for root only; either will do
		err = fmt.Errorf("the socket can't be kept to %s: %w", ifi.Name, bound)
	}
	return err
}

// onlyJoined has a socket hear multicast on interfaces where it joined.
func onlyJoined(fd int) error {
	family, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_DOMAIN)
	if err != nil {
		return err
	}
	if family == unix.AF_INET6 {
		return unix.SetsockoptInt(fd, unix.IPPROTO_IPV6, unix.IPV6_MULTICAST_ALL, 0)
	}
	return unix.SetsockoptInt(fd, unix.IPPROTO_IP, unix.IP_MULTICAST_ALL, 0)
}
