package interop

import (
	"errors"
	"net"
	"net/netip"
	"strconv"

	"golang.org/x/net/ipv4"
	"golang.org/x/net/ipv6"
)

// Interfaces and UDP sockets, as discovery/lan/PROTOCOL.md needs them. A zone is an
// interface's number here, and not its name: names are remembered by package net for the
// process, and in these tests machines of different networks live in one.

// A card is an interface that is up, with its networks.
type card struct {
	net.Interface
	networks []netip.Prefix // an address and its length
}

func cards() (all []card, err error) {
	interfaces, err := net.Interfaces()
	if err != nil {
		return nil, err
	}
	for _, i := range interfaces {
		if i.Flags&net.FlagUp == 0 || i.Flags&net.FlagMulticast == 0 || i.Flags&net.FlagLoopback != 0 {
			continue
		}
		c := card{Interface: i}
		addrs, err := i.Addrs()
		if err != nil {
			return nil, err
		}
		for _, a := range addrs {
			c.networks = append(c.networks, netip.MustParsePrefix(a.String()))
		}
		all = append(all, c)
	}
	return all, nil
}

// A socket speaks with the group by one version of IP.
type socket struct {
	conn *net.UDPConn
	v4   *ipv4.PacketConn // one of the two is nil
	v6   *ipv6.PacketConn
}

// openSockets opens a socket by IPv4 and one by IPv6 on all cards: to answer, on port
// 5353 and in the groups; to ask, on any port.
func openSockets(all []card, answers bool) (sockets []socket, err error) {
	for _, group := range []netip.Addr{group4, group6} {
		s, err := openSocket(all, group, answers)
		if err != nil {
			for _, s := range sockets {
				s.conn.Close()
			}
			return nil, err
		}
		if s.conn != nil {
			sockets = append(sockets, s)
		}
	}
	return sockets, nil
}

func openSocket(all []card, group netip.Addr, answers bool) (s socket, err error) {
	network, has := "udp4", cardsWith(all, netip.Addr.Is4)
	if group.Is6() {
		network, has = "udp6", cardsWith(all, netip.Addr.Is6)
	}
	if len(has) == 0 {
		return socket{}, nil
	}
	if answers {
		s.conn, err = net.ListenMulticastUDP(network, &has[0].Interface, net.UDPAddrFromAddrPort(netip.AddrPortFrom(group, mdnsPort)))
	} else {
		s.conn, err = net.ListenUDP(network, nil)
	}
	if err != nil {
		return socket{}, err
	}
	if group.Is4() {
		s.v4 = ipv4.NewPacketConn(s.conn)
		err = errors.Join(s.v4.SetControlMessage(ipv4.FlagInterface|ipv4.FlagDst, true), s.v4.SetTTL(1), s.v4.SetMulticastTTL(1))
	} else {
		s.v6 = ipv6.NewPacketConn(s.conn)
		err = errors.Join(s.v6.SetControlMessage(ipv6.FlagInterface|ipv6.FlagDst, true), s.v6.SetHopLimit(1), s.v6.SetMulticastHopLimit(1))
	}
	for _, c := range has[1:] {
		if answers && err == nil {
			err = s.join(&c.Interface, group)
		}
	}
	return s, err
}

func cardsWith(all []card, version func(netip.Addr) bool) (has []card) {
	for _, c := range all {
		for _, n := range c.networks {
			if version(n.Addr()) {
				has = append(has, c)
				break
			}
		}
	}
	return has
}

func (s socket) join(i *net.Interface, group netip.Addr) error {
	to := &net.UDPAddr{IP: group.AsSlice()}
	if s.v4 != nil {
		return s.v4.JoinGroup(i, to)
	}
	return s.v6.JoinGroup(i, to)
}

// group is the mDNS group.
func (s socket) group() netip.AddrPort {
	if s.v4 != nil {
		return netip.AddrPortFrom(group4, mdnsPort)
	}
	return netip.AddrPortFrom(group6, mdnsPort)
}

// write sends a packet out of an interface.
func (s socket) write(b []byte, from int, to netip.AddrPort) (err error) {
	at := &net.UDPAddr{IP: to.Addr().AsSlice(), Port: int(to.Port())}
	if s.v4 != nil {
		_, err = s.v4.WriteTo(b, &ipv4.ControlMessage{IfIndex: from}, at)
	} else {
		_, err = s.v6.WriteTo(b, &ipv6.ControlMessage{IfIndex: from}, at)
	}
	return err
}

// A packet is what was read, with the interface that it came in by.
type packet struct {
	b       []byte
	by      int
	from    netip.AddrPort
	grouped bool // it was sent to a group
}

func (s socket) read() (p packet, err error) {
	b := make([]byte, 1500)
	var n int
	var from net.Addr
	if s.v4 != nil {
		var c *ipv4.ControlMessage
		if n, c, from, err = s.v4.ReadFrom(b); err == nil {
			p.by, p.grouped = c.IfIndex, c.Dst.IsMulticast()
		}
	} else {
		var c *ipv6.ControlMessage
		if n, c, from, err = s.v6.ReadFrom(b); err == nil {
			p.by, p.grouped = c.IfIndex, c.Dst.IsMulticast()
		}
	}
	if err != nil {
		return packet{}, err
	}
	p.b, p.from = b[:n], zoned(from.(*net.UDPAddr).AddrPort(), p.by)
	return p, nil
}

// zoned gives a link-local address of IPv6 its interface for a zone, and any other none.
func zoned(a netip.AddrPort, by int) netip.AddrPort {
	addr := a.Addr().Unmap().WithZone("")
	if addr.Is6() && addr.IsLinkLocalUnicast() {
		addr = addr.WithZone(strconv.Itoa(by))
	}
	return netip.AddrPortFrom(addr, a.Port())
}

// A quicSocket is a socket by both versions of IP, as QUIC wants it.
type quicSocket struct {
	*net.UDPConn
	s socket
}

func openQUIC() (q quicSocket, err error) {
	if q.UDPConn, err = net.ListenUDP("udp", nil); err != nil {
		return q, err
	}
	q.s = socket{conn: q.UDPConn, v6: ipv6.NewPacketConn(q.UDPConn)}
	return q, q.s.v6.SetControlMessage(ipv6.FlagInterface|ipv6.FlagDst, true)
}

// ReadFrom implements net.PacketConn.
func (q quicSocket) ReadFrom(b []byte) (int, net.Addr, error) {
	p, err := q.s.read()
	if err != nil {
		return 0, nil, err
	}
	return copy(b, p.b), net.UDPAddrFromAddrPort(p.from), nil
}

// WriteTo implements net.PacketConn.
func (q quicSocket) WriteTo(b []byte, to net.Addr) (int, error) {
	at := to.(*net.UDPAddr).AddrPort()
	by, _ := strconv.Atoi(at.Addr().Zone()) // none: whichever leads there
	return len(b), q.s.write(b, by, at)
}
