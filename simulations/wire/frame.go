//go:build linux

package wire

import (
	"encoding/binary"
	"net/netip"
)

// A Frame is an Ethernet frame, from the destination's address on.
type Frame []byte

// header is how long the Ethernet header is: two addresses and a type.
const header = 14

func (f Frame) destination() [6]byte { return [6]byte(f[:6]) }
func (f Frame) source() [6]byte      { return [6]byte(f[6:12]) }

// A Datagram is what a frame carries over UDP.
type Datagram struct {
	From, To netip.AddrPort
	Payload  []byte
}

// UDP returns the datagram in a frame. Fragments, and IPv6 with extension
// headers, count as none.
func (f Frame) UDP() (d Datagram, ok bool) {
	from, to, protocol, rest := f.ip()
	if protocol != 17 || len(rest) < 8 {
		return d, false
	}
	n := int(binary.BigEndian.Uint16(rest[4:])) // RFC 768
	if n < 8 || n > len(rest) {
		return d, false
	}
	return Datagram{
		From:    netip.AddrPortFrom(from, binary.BigEndian.Uint16(rest)),
		To:      netip.AddrPortFrom(to, binary.BigEndian.Uint16(rest[2:])),
		Payload: rest[8:n],
	}, true
}

// ip reads the header of an IP packet: RFC 791 section 3.1, RFC 8200 section 3.
func (f Frame) ip() (from, to netip.Addr, protocol byte, rest []byte) {
	b := f[header:]
	switch binary.BigEndian.Uint16(f[12:]) {
	case 0x0800:
		if len(b) < 20 {
			return
		}
		n := int(b[0]&15) * 4
		if n < 20 || n > len(b) || binary.BigEndian.Uint16(b[6:])&0x3fff != 0 {
			return
		}
		from, to, protocol, rest = netip.AddrFrom4([4]byte(b[12:])), netip.AddrFrom4([4]byte(b[16:])), b[9], b[n:]
	case 0x86dd:
		if len(b) < 40 {
			return
		}
		from, to, protocol, rest = netip.AddrFrom16([16]byte(b[8:])), netip.AddrFrom16([16]byte(b[24:])), b[6], b[40:]
	}
	return from, to, protocol, rest
}

// NoMulticast is a Rule: datagrams to a group don't pass, as where an access
// point keeps them back. What finds neighbours of IPv6 does.
func NoMulticast(_, _ *Port, f Frame) bool {
	d, ok := f.UDP()
	return ok && d.To.Addr().IsMulticast()
}

// NoUDP is a Rule: no datagram passes.
func NoUDP(_, _ *Port, f Frame) bool {
	_, ok := f.UDP()
	return ok
}

// Isolate returns a Rule: frames pass from and to one station only, as where an
// access point lets its clients reach the router and not each other.
func Isolate(router *Station) Rule {
	return func(from, to *Port, _ Frame) bool { return from.Station != router && to.Station != router }
}
