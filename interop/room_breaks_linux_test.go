package interop

import (
	"context"
	"errors"
	"io"
	"net"
	"net/netip"
	"strings"
	"testing"

	"github.com/quic-go/quic-go"
)

// Neighbours that don't keep to discovery/lan/PROTOCOL.md, and what the real programs do then.

// finds asks for a side of a share, and returns an address of it.
func (r *room) finds(k linkKeys, side role) netip.AddrPort {
	r.t.Helper()
	ctx, stop := context.WithCancel(r.ctx)
	defer stop()
	var all []card
	var sockets []socket
	r.ok(r.ours.Do(func() (err error) {
		if all, err = cards(); err == nil {
			sockets, err = openSockets(all[:1], false)
		}
		return err
	}), "sockets are opened")
	found := make(chan netip.AddrPort, 1)
	for _, s := range sockets {
		defer s.conn.Close()
		go func() {
			for p, err := s.read(); err == nil; p, err = s.read() {
				text, ok := textOf(p.b, k.tag(side).name())
				addrs, err := k.openText(side, text)
				if ok && err == nil && len(addrs) > 0 {
					select {
					case found <- zoned(addrs[0], p.by):
					default:
					}
				}
			}
		}()
	}
	asking := make(chan struct{})
	go func() { asks(ctx, sockets, nil, all, k.tag(side).name()); close(asking) }()
	defer func() { stop(); <-asking }()
	select {
	case a := <-found:
		return a
	case <-ctx.Done():
		r.t.Fatal("the real program wasn't found")
		panic("unreachable")
	}
}

// transport opens a socket of ours.
func (r *room) transport() (t *quic.Transport, port uint16) {
	r.t.Helper()
	r.ok(r.ours.Do(func() (err error) { t, port, err = openTransport(); return err }), "a socket is opened")
	r.t.Cleanup(func() { t.Close(); t.Conn.Close() })
	return t, port
}

// end waits until a connection has ended, and returns why.
func (r *room) end(conn *quic.Conn) error {
	r.t.Helper()
	select {
	case <-conn.Context().Done():
	case <-r.ctx.Done():
		r.t.Fatal("the real program doesn't end the connection")
	}
	return context.Cause(conn.Context())
}

// endsWith wants the other end to close a connection with an error.
func (r *room) endsWith(conn *quic.Conn, code quic.ApplicationErrorCode) {
	r.t.Helper()
	var e *quic.ApplicationError
	if err := r.end(conn); !errors.As(err, &e) || !e.Remote || e.ErrorCode != code || e.ErrorMessage != "" {
		r.t.Errorf("the connection ends with %v; want the other end's error %d, and no reason", err, code)
	}
}

// A breach is what a neighbour does on a connection to the real sender.
type breach struct {
	name string
	do   func(t *testing.T, r *room, conn *quic.Conn, k linkKeys)
	code quic.ApplicationErrorCode
}

// saysInstead has a neighbour say something in place of the dialler's proof.
func saysInstead(say func(k linkKeys, heard, exporter []byte) []byte) func(*testing.T, *room, *quic.Conn, linkKeys) {
	return func(t *testing.T, r *room, conn *quic.Conn, k linkKeys) {
		first, err := conn.AcceptStream(r.ctx)
		r.ok(err, "the first stream comes")
		heard := make([]byte, 32)
		_, err = io.ReadFull(first, heard)
		r.ok(err, "the proof comes")
		first.Write(say(k, heard, exporter(conn)))
		first.Close()
	}
}

// pieceOf has a neighbour that has proved write something as a piece.
func pieceOf(b []byte) func(*testing.T, *room, *quic.Conn, linkKeys) {
	return func(t *testing.T, r *room, conn *quic.Conn, k linkKeys) {
		_, _, err := dials(r.ctx, conn, k, theReceiver)
		r.ok(err, "the path is made")
		s, err := conn.OpenStreamSync(r.ctx)
		r.ok(err, "a stream is opened")
		s.Write(b)
		s.Close()
	}
}

func shut(n int) (all []frame) {
	for range n {
		all = append(all, newFrame(kindTaken, [8]byte{1}, 0, nil))
	}
	return all
}

var breaches = []breach{
	{"the proof is wrong", saysInstead(func(linkKeys, []byte, []byte) []byte { return random(32) }), errProof},
	{"the listener's proof is given back", saysInstead(func(_ linkKeys, heard, _ []byte) []byte { return heard }), errProof},
	{"the proof is of the listener's role", saysInstead(func(k linkKeys, _, e []byte) []byte { return k.proof(dialled, theSender, e) }), errProof},
	{"the proof is of another connection", saysInstead(func(k linkKeys, _, _ []byte) []byte { return k.proof(dialled, theReceiver, random(32)) }), errProof},
	{"the proof is of another link", saysInstead(func(k linkKeys, _, e []byte) []byte { k.path = random(32); return k.proof(dialled, theReceiver, e) }), errProof},
	{"the proof is short", saysInstead(func(k linkKeys, _, e []byte) []byte { return k.proof(dialled, theReceiver, e)[:31] }), errProof},
	{"there is no proof", func(t *testing.T, r *room, conn *quic.Conn, k linkKeys) {}, errProof},
	{"a frame is too large", pieceOf([]byte{0, 0, 0xf0, 0x32}), errPage}, // 61490
	{"a frame is refused by its header", pieceOf(appendPiece(nil, newFrame(9, [8]byte{1}, 0, random(32)))), errPage},
	{"a piece has no frame", pieceOf(appendPiece(nil)), errPage},
	{"a piece has 65 frames", pieceOf(appendPiece(nil, shut(65)...)), errPage},
	{"a piece doesn't end", pieceOf(appendFrames(nil, shut(1)...)), errPage},
	{"there is something behind a piece", pieceOf(append(appendPiece(nil, shut(1)...), 0)), errPage},
	{"65 pieces in a row are given up", givesUp(65), errPage},
}

// givesUp has a neighbour that has proved begin pieces and give them up.
func givesUp(n int) func(*testing.T, *room, *quic.Conn, linkKeys) {
	return func(t *testing.T, r *room, conn *quic.Conn, k linkKeys) {
		_, _, err := dials(r.ctx, conn, k, theReceiver)
		r.ok(err, "the path is made")
		for i := range n {
			s, err := conn.OpenStreamSync(r.ctx)
			if err != nil {
				t.Fatalf("the connection has ended before piece %d was given up: %v", i, err)
			}
			s.Write([]byte{0, 0})
			s.CancelWrite(0)
			s.CancelRead(0)
		}
	}
}

// TestTheRealSenderEndsWhatBreaksThePageAndServesTheNext: each breach costs its own connection.
func TestTheRealSenderEndsWhatBreaksThePageAndServesTheNext(t *testing.T) {
	r := newRoom(t, roomKinds[0])
	content := contentOf(13)
	share, link := r.share(content)
	k := r.keys(link)
	at := r.finds(k, theSender)
	for _, b := range breaches {
		t.Run(b.name, func(t *testing.T) {
			r := *r
			r.t = t
			mine, _ := r.transport()
			conn, err := dialAt(r.ctx, mine, at, k.tag(theSender))
			r.ok(err, "a connection is made")
			b.do(t, &r, conn, k)
			r.endsWith(conn, b.code)
		})
	}
	r.secondReceiverTakesInTheRoom(link, content)
	r.ends(share)
}

func (r *room) keys(link string) linkKeys {
	l, err := readLink(link)
	r.ok(err, "the link is read")
	return keysOfLink(l.id, l.secret)
}

// TestTheRealSenderEndsWhatAnswersWronglyAndSendsTheGrantAgain: a receiver that has
// claimed answers by something else than 0 or 1. It has the grant by the next path.
func TestTheRealSenderEndsWhatAnswersWronglyAndSendsTheGrantAgain(t *testing.T) {
	r := newRoom(t, roomKinds[0])
	content := contentOf(13)
	share, link := r.share(content)
	in := r.receiver(link)
	conn, err := dialAt(r.ctx, in.transport, r.finds(in.keys, theSender), in.keys.tag(theSender))
	r.ok(err, "a connection is made")
	p, first, err := dials(r.ctx, conn, in.keys, theReceiver)
	r.ok(err, "it is a path")
	if len(first) != 1 || !in.take(p, first) {
		t.Fatalf("%d frames came with the first flight; want the offer", len(first))
	}
	r.ok(in.candidate("second"), "a candidate is made")
	if taken, err := p.send(r.ctx, in.r.wrote...); err != nil || !taken {
		t.Fatal("the claim is not taken: ", err)
	}
	s, err := conn.AcceptStream(r.ctx)
	r.ok(err, "the sender goes on")
	_, err = readPiece(s)
	r.ok(err, "a piece comes")
	s.Write([]byte{2})
	s.Close()
	r.endsWith(conn, errPage)
	in.seek(r.ctx)
	r.isGiven(in, content)
	r.ends(share)
}

// TestTheRealSenderHasNoHandshakeWithWhoAsksForAnotherTag.
func TestTheRealSenderHasNoHandshakeWithWhoAsksForAnotherTag(t *testing.T) {
	r := newRoom(t, roomKinds[0])
	_, link := r.share(contentOf(13))
	k := r.keys(link)
	at := r.finds(k, theSender)
	for name, protocols := range map[string][]string{
		"the receiver's": {k.tag(theReceiver).String()},
		"in upper case":  {strings.ToUpper(k.tag(theSender).String())},
		"none":           nil,
		"two":            {k.tag(theSender).String(), k.tag(theReceiver).String()},
	} {
		mine, _ := r.transport()
		c := dialling(tag{})
		c.NextProtos = protocols
		conn, err := mine.Dial(r.ctx, net.UDPAddrFromAddrPort(at), c, quicConfig(true))
		var e *quic.TransportError
		if err == nil {
			conn.CloseWithError(errWell, "")
		}
		if !errors.As(err, &e) || !e.Remote || !e.ErrorCode.IsCryptoError() {
			t.Errorf("%s: the handshake ends with %v; want an alert", name, err)
		}
	}
}
