package beacon

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"time"

	"golang.org/x/net/ipv4"
	"golang.org/x/net/ipv6"
	"golang.org/x/time/rate"
)

// A family is an IP version, and where it has its mDNS.
type family struct {
	network string
	group   netip.Addr
}

var (
	ipv4Family = family{"udp4", netip.MustParseAddr("224.0.0.251")}
	ipv6Family = family{"udp6", netip.MustParseAddr("ff02::fb")}
)

const mdnsPort = 5353

func familyOf(c *net.UDPConn) family {
	if c.LocalAddr().(*net.UDPAddr).IP.To4() != nil {
		return ipv4Family
	}
	return ipv6Family
}

// An ear is a socket that questions go out of and answers come back to, of all
// who ask on one interface by one IP version: to us alone, at a port of our own, or to
// the group.
type ear struct {
	family  family
	ofGroup bool
	ifi     net.Interface
	conn    *net.UDPConn
	to      netip.AddrPort

	ctx  context.Context // ends with close
	stop context.CancelFunc
	done chan struct{}
}

// What a flood of answers may cost: reading one takes some 2 µs, and what comes
// on top is dropped by the system. Within that, one address has its share: the
// other device gets through to us past anybody who has fewer than a hundred
// addresses and sends less than 20,000 packets a second.
const (
	heardAtOnce     = 4096
	heardPerSec     = 20_000
	heardFromAtOnce = 2048 // a thousand shares are answered at once
	heardFromPerSec = 200
	maxSources      = 256
	maxPacket       = 512 // an answer has at most 12+27+10+256 bytes
	sendPatience    = 200 * time.Millisecond
)

func openEar(f family, ofGroup bool, ifi net.Interface, tell func(name string, a answer)) (*ear, error) {
	conn, err := bindEar(f, ofGroup, ifi)
	if err != nil {
		return nil, err
	}
	kind := answers
	kind.toGroup = ofGroup
	if err := errors.Join(aim(conn, f, ifi), confine(conn, ifi), stay(conn), sift(conn, kind)); err != nil {
		conn.Close()
		return nil, err
	}
	e := &ear{family: f, ofGroup: ofGroup, ifi: ifi, conn: conn, to: f.at(ifi), done: make(chan struct{})}
	e.ctx, e.stop = context.WithCancel(context.Background())
	go e.listen(tell)
	return e, nil
}

// bindEar opens the socket. The group's port is shared with whoever else has it.
func bindEar(f family, ofGroup bool, ifi net.Interface) (*net.UDPConn, error) {
	if ofGroup {
		return net.ListenMulticastUDP(f.network, &ifi, &net.UDPAddr{IP: f.group.AsSlice(), Port: mdnsPort})
	}
	return net.ListenUDP(f.network, nil)
}

// at is where a family's mDNS is on an interface.
func (f family) at(ifi net.Interface) netip.AddrPort {
	group := f.group
	if group.Is6() {
		group = group.WithZone(ifi.Name)
	}
	return netip.AddrPortFrom(group, mdnsPort)
}

// aim has multicast leave by the interface, whatever the routes say, and come
// back to other programs on this machine.
func aim(c *net.UDPConn, f family, ifi net.Interface) error {
	var p interface {
		SetMulticastInterface(*net.Interface) error
		SetMulticastLoopback(bool) error
	} = ipv4.NewPacketConn(c)
	if f == ipv6Family {
		p = ipv6.NewPacketConn(c)
	}
	if err := errors.Join(p.SetMulticastInterface(&ifi), p.SetMulticastLoopback(true)); err != nil {
		return fmt.Errorf("multicast can't be sent: %w", err)
	}
	return nil
}

// ask sends a question. It may get lost, also here: it is asked again.
func (e *ear) ask(question []byte) error {
	e.conn.SetWriteDeadline(time.Now().Add(sendPatience))
	_, err := e.conn.WriteToUDPAddrPort(question, e.to)
	return err
}

// listen passes answers on until the ear is closed.
func (e *ear) listen(tell func(name string, a answer)) {
	defer close(e.done)
	limit := rate.NewLimiter(heardPerSec, heardAtOnce)
	sources := budget[netip.Addr]{perSecond: heardFromPerSec, atOnce: heardFromAtOnce, causes: maxSources}
	buf := make([]byte, maxPacket+1)
	for {
		if limit.Wait(e.ctx) != nil {
			return
		}
		n, from, err := e.conn.ReadFromUDPAddrPort(buf)
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil || n > maxPacket || from.Port() != mdnsPort || !sources.allow(from.Addr()) { // of the port: RFC 6762, section 6
			continue
		}
		if name, text, ok := parseAnswer(buf[:n]); ok {
			tell(name, answer{text, e.ifi, from.Addr().Unmap()})
		}
	}
}

// close ends the ear, and waits until nothing of it is left.
func (e *ear) close() {
	e.stop()
	e.conn.Close()
	<-e.done
}
