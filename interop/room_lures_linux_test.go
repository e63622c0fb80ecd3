package interop

import (
	"errors"
	"io"
	"net"
	"net/netip"
	"slices"
	"sync"
	"testing"

	"github.com/quic-go/quic-go"
	"golang.org/x/sys/unix"
)

// Neighbours that answer what they shouldn't: sections 2 to 4 and 6 of
// discovery/lan/PROTOCOL.md, and what the real programs do then.

// A lure is an answer that must lead nobody to its address.
type lure struct {
	name string
	to   netip.AddrPort
	text []byte
}

// luresFor makes lures for a receiver of a share; each has a port of its own.
func luresFor(k linkKeys, loopback netip.AddrPort) (all []lure) {
	port := uint16(20000)
	at := func(addr string) netip.AddrPort {
		port++
		return netip.AddrPortFrom(netip.MustParseAddr(addr), port)
	}
	seal := func(k linkKeys, r role, to ...netip.AddrPort) []byte { return k.sealText(r, random(nonceSize), to) }
	add := func(name string, to netip.AddrPort, text []byte) { all = append(all, lure{name, to, text}) }

	here := at("192.0.2.11")
	other := linkKeys{topic: random(32), path: random(32)}
	add("sealed for another share", here, seal(other, theSender, here))
	here = at("192.0.2.11")
	add("sealed under another share's tag", here, seal(linkKeys{topic: other.topic, path: k.path}, theSender, here))
	here = at("192.0.2.11")
	add("sealed by a receiver", here, seal(k, theReceiver, here))
	here = at("192.0.2.11")
	changed := seal(k, theSender, here)
	changed[len(changed)-1] ^= 1
	add("changed", here, changed)
	for name, behind := range map[string]netip.AddrPort{
		"with a port of zero behind it":    netip.MustParseAddrPort("192.0.2.11:0"),
		"with a group behind it":           netip.MustParseAddrPort("224.0.0.251:5353"),
		"with nobody's address behind it":  netip.MustParseAddrPort("0.0.0.0:9"),
		"with IPv4 in IPv6 behind it":      netip.MustParseAddrPort("[::ffff:192.0.2.11]:9"),
		"with IPv6's group of all, behind": netip.MustParseAddrPort("[ff02::1]:9"),
	} {
		here = at("192.0.2.11")
		add(name, here, seal(k, theSender, here, behind))
	}
	for _, addr := range []string{"198.51.100.7", "192.0.2.0", "192.0.2.255", "255.255.255.255", "2001:db8::7"} {
		to := at(addr)
		add("to "+addr, to, seal(k, theSender, to))
	}
	add("to its own loopback interface", loopback, seal(k, theSender, loopback))
	return all
}

// TestLAN01TheRealReceiverDialsTheRoomAloneAndByTextsOfItsShareAlone: each of its first
// questions is answered by every lure, and by the address of one that can't prove.
func TestLAN01TheRealReceiverDialsTheRoomAloneAndByTextsOfItsShareAlone(t *testing.T) {
	r := newRoom(t, roomKinds[0])
	r.ok(r.theirs.IP("route add default via 192.0.2.11 dev eth0"), "what isn't in the room goes by us")
	var loopback *net.UDPConn
	r.ok(r.theirs.Do(func() (err error) {
		loopback, err = net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
		return err
	}), "a socket is opened on its loopback interface")
	t.Cleanup(func() { loopback.Close() })

	s := newSender(nil, "", filePreview)
	s.link.app = true
	stranger, port := r.transport()
	lures := luresFor(s.keys, loopback.LocalAddr().(*net.UDPAddr).AddrPort())
	opens := s.keys.sealText(theSender, random(nonceSize), []netip.AddrPort{netip.AddrPortFrom(netip.MustParseAddr("192.0.2.11"), port)})
	var answers [][][]byte
	for some := range slices.Chunk(lures, 5) {
		texts := [][]byte{opens}
		for _, l := range some {
			texts = append(texts, l.text)
		}
		answers = append(answers, texts)
	}
	asked := r.answers(s.keys.tag(theSender), answers)
	receive := r.takes(s.link.url())
	r.provesWrongly(stranger, s.keys)
	asked(len(answers) + 2) // in another round of questions than the last lures

	content := contentOf(13)
	in, err := s.enters(r.ours.Do)
	t.Cleanup(in.leave)
	r.ok(err, "the second sender enters")
	r.handsOver(in, content)
	r.ends(receive)
	for _, f := range r.record.Frames() {
		d, ok := f.UDP()
		i := slices.IndexFunc(lures, func(l lure) bool { return l.to == d.To })
		if ok && i >= 0 {
			t.Errorf("a text %s had the receiver send %d bytes to %v", lures[i].name, len(d.Payload), d.To)
		}
	}
	nothingCame(t, loopback)
}

// nothingCame wants a socket's queue to be empty.
func nothingCame(t *testing.T, c *net.UDPConn) {
	t.Helper()
	raw, err := c.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	raw.Read(func(fd uintptr) bool {
		if n, _, err := unix.Recvfrom(int(fd), make([]byte, 1500), unix.MSG_DONTWAIT); err == nil {
			t.Errorf("%d bytes came to %v", n, c.LocalAddr())
		}
		return true
	})
}

// answers answers questions for a tag: the first by the first texts, each next by the
// next. What it returns waits until so many have been answered, and ends the answers.
func (r *room) answers(of tag, texts [][][]byte) (asked func(int)) {
	r.t.Helper()
	var sockets []socket
	r.ok(r.ours.Do(func() (err error) {
		all, err := cards()
		if err == nil {
			sockets, err = openSockets(all, true)
		}
		return err
	}), "sockets are opened")
	next, came := make(chan int, 1), make(chan struct{}, 1000)
	next <- 0
	answer := func(s socket) {
		for p, err := s.read(); err == nil; p, err = s.read() {
			q, ok := isQuestion(p.b, of.name())
			if !ok || !q.alone {
				continue
			}
			i := <-next
			next <- i + 1
			for _, text := range texts[i%len(texts)] {
				s.write(packAnswer(q.id, of.name(), text), p.by, p.from)
			}
			came <- struct{}{}
		}
	}
	var answering sync.WaitGroup
	for _, s := range sockets {
		answering.Go(func() { answer(s) })
	}
	end := sync.OnceFunc(func() {
		for _, s := range sockets {
			s.conn.Close()
		}
		answering.Wait()
	})
	r.t.Cleanup(end)
	return func(n int) {
		r.t.Helper()
		for range n {
			select {
			case <-came:
			case <-r.ctx.Done():
				r.t.Fatal("the receiver doesn't ask again")
			}
		}
		end()
	}
}

// provesWrongly answers one dialler by a wrong proof, and wants it to say nothing.
func (r *room) provesWrongly(t *quic.Transport, k linkKeys) {
	r.t.Helper()
	l, err := t.ListenEarly(listening(k.tag(theSender)), quicConfig(false))
	r.ok(err, "a stranger listens")
	defer l.Close()
	conn, err := l.Accept(r.ctx)
	r.ok(err, "the receiver dials")
	first, err := conn.OpenStream()
	r.ok(err, "a stream is opened")
	first.Write(appendPiece(random(32)))
	first.Close()
	heard, _ := io.ReadAll(first)
	if len(heard) > 0 {
		r.t.Errorf("who proved wrongly is told %d bytes", len(heard))
	}
	// A listener may meet the error in the guise that QUIC gives it for one whose
	// handshake isn't confirmed (RFC 9000, section 10.2.3).
	err = r.end(conn)
	var guise *quic.TransportError
	var e *quic.ApplicationError
	if !(errors.As(err, &guise) && guise.Remote && guise.ErrorCode == quic.ApplicationErrorErrorCode) && !(errors.As(err, &e) && e.Remote && e.ErrorCode == errProof) {
		r.t.Errorf("the connection ends with %v; want the dialler's error 1", err)
	}
}
