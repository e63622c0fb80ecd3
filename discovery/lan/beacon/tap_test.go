//go:build linux

package beacon

import (
	"encoding/binary"
	"net"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// A tap keeps every UDP datagram that passes a port of a switch, either way.
type tap struct {
	t    testing.TB
	fd   int
	seen []datagram
}

// A datagram is one as it was on the wire.
type datagram struct {
	from     string // who sent it: the hardware's address
	src, dst int    // ports
	ttl      byte   // how many routers may pass it on, and one
	payload  []byte
}

// tap listens at the switch's end of a plug.
func (r *room) tap(port string) *tap {
	r.t.Helper()
	w := &tap{t: r.t}
	r.space.do(func() (err error) {
		ifi, err := net.InterfaceByName(port)
		if err != nil {
			return err
		}
		if w.fd, err = unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0); err != nil {
			return err
		}
		unix.SetsockoptInt(w.fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, 64<<20)
		const all = unix.ETH_P_ALL<<8 | unix.ETH_P_ALL>>8 // in network order
		return unix.Bind(w.fd, &unix.SockaddrLinklayer{Protocol: all, Ifindex: ifi.Index})
	})
	r.t.Cleanup(func() { unix.Close(w.fd) })
	return w
}

// all is what has passed until now.
func (w *tap) all() []datagram {
	buf := make([]byte, 1<<16)
	for {
		n, _, err := unix.Recvfrom(w.fd, buf, 0)
		if err != nil {
			return w.seen // EAGAIN
		}
		if d, ok := udpOf(buf[:n]); ok {
			w.seen = append(w.seen, d)
		}
	}
}

// await waits until what has passed is as it should be.
func (w *tap) await(what string, is func([]datagram) bool) []datagram {
	w.t.Helper()
	for end := time.Now().Add(patience); !is(w.all()); {
		if time.Now().After(end) {
			w.t.Fatalf("no %s in %v; passed: %+v", what, patience, w.seen)
		}
		unix.Poll([]unix.PollFd{{Fd: int32(w.fd), Events: unix.POLLIN}}, 1000)
	}
	return w.seen
}

// udpOf reads an Ethernet frame.
func udpOf(frame []byte) (d datagram, ok bool) {
	if len(frame) < 14+20+8 {
		return d, false
	}
	d.from = net.HardwareAddr(frame[6:12]).String()
	packet := frame[14:]
	switch binary.BigEndian.Uint16(frame[12:]) {
	case unix.ETH_P_IP:
		if packet[9] != unix.IPPROTO_UDP {
			return d, false
		}
		d.ttl = packet[8]
		packet = packet[int(packet[0]&15)*4:]
	case unix.ETH_P_IPV6:
		if packet[6] != unix.IPPROTO_UDP {
			return d, false
		}
		d.ttl = packet[7]
		packet = packet[40:]
	default:
		return d, false
	}
	d.src, d.dst = int(binary.BigEndian.Uint16(packet)), int(binary.BigEndian.Uint16(packet[2:]))
	d.payload = append([]byte(nil), packet[8:]...)
	return d, true
}

// questionsIn and answersIn count what passed.
func questionsIn(all []datagram) (n int) {
	for _, d := range all {
		if d.dst == mdnsPort && !d.answers() {
			n++
		}
	}
	return n
}

func answersIn(all []datagram) (n int) {
	for _, d := range all {
		if d.src == mdnsPort && d.answers() {
			n++
		}
	}
	return n
}

// answers reports whether a message is an answer (RFC 1035, section 4.1.1: QR).
func (d datagram) answers() bool { return len(d.payload) > 2 && d.payload[2]&0x80 != 0 }
