package quicpath

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/quic-go/quic-go"

	"github.com/sparekey/sparekey/discovery"
	"github.com/sparekey/sparekey/noise/frame"
)

// A stranger speaks QUIC as it likes.
type stranger struct {
	end *packetEnd
	tr  *quic.Transport
}

// stranger returns one at an address, until the test ends.
func (n *network) stranger(t *testing.T, address string) *stranger {
	t.Helper()
	hush()
	e := n.end(address)
	s := &stranger{e, &quic.Transport{Conn: e}}
	t.Cleanup(func() {
		s.tr.Close()
		s.end.Close()
	})
	return s
}

// beset returns Alice, who answers for a share, with what she finds, and Mallory, who
// is about to dial her.
func beset(t *testing.T, sender Share) (a *Socket, found <-chan discovery.Path, m *stranger) {
	t.Helper()
	n := newNetwork(time.Millisecond)
	a, _, found = room(t, n, sender)
	return a, found, n.stranger(t, mallory)
}

// strange is a stranger's configuration: it has all the time and room there is.
func strange() *quic.Config {
	return &quic.Config{MaxIdleTimeout: time.Hour, KeepAlivePeriod: time.Second, InitialStreamReceiveWindow: 1 << 24, InitialConnectionReceiveWindow: 1 << 24}
}

// dial asks Alice for a tag.
func (s *stranger) dial(ctx context.Context, tag Tag) (*quic.Conn, error) {
	return s.tr.Dial(ctx, net.UDPAddrFromAddrPort(aliceAt), dialTLS(tag), strange())
}

// must dials, and returns the stream with the first flight too.
func (s *stranger) must(t *testing.T, tag Tag) (*quic.Conn, *quic.Stream) {
	t.Helper()
	conn, err := s.dial(t.Context(), tag)
	if err != nil {
		t.Fatal(err)
	}
	str, err := conn.AcceptStream(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return conn, str
}

// prove does what a dialler does that knows the share.
func (s *stranger) prove(t *testing.T, sh Share) *quic.Conn {
	t.Helper()
	conn, str := s.must(t, sh.Peer)
	if _, err := io.ReadAll(str); err != nil {
		t.Fatal(err)
	}
	str.Write(sh.proof(dialler, exported(t, conn)))
	str.Close()
	return conn
}

// listen answers for a tag with a certificate of its own.
func (s *stranger) listen(t *testing.T, tag Tag) *quic.EarlyListener {
	t.Helper()
	cert, err := throwaway()
	if err != nil {
		t.Fatal(err)
	}
	l, err := s.tr.ListenEarly(&tls.Config{NextProtos: []string{tag.String()}, Certificates: []tls.Certificate{cert}}, strange())
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func exported(t *testing.T, conn *quic.Conn) []byte {
	t.Helper()
	b, err := export(conn)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// lifetime is a bubble's time in which all must be over that ends at all.
const lifetime = 10 * time.Minute

// endedWith waits for the end of a connection, and tells whether the other end gave
// this code.
func endedWith(conn *quic.Conn, code quic.ApplicationErrorCode) bool {
	select {
	case <-conn.Context().Done():
	case <-time.After(lifetime):
		conn.CloseWithError(0, "")
		return false
	}
	var app *quic.ApplicationError
	return errors.As(context.Cause(conn.Context()), &app) && app.Remote && app.ErrorCode == code
}

// sent returns how many bytes a stranger has sent.
func (s *stranger) sent() (sum int) {
	for _, p := range s.end.n.since(time.Time{}) {
		if p.from == s.end.address {
			sum += p.size
		}
	}
	return sum
}

// nobody fails a test in which somebody was found.
func nobody(t *testing.T, a *Socket, found <-chan discovery.Path) {
	t.Helper()
	synctest.Wait()
	if len(found) > 0 {
		t.Error("a path was given for a connection that did not prove")
	}
	if n := len(a.door.guests); n > 0 {
		t.Errorf("%d connections are remembered that are gone", n)
	}
}

func TestLAN02ANeighbourInBetweenGetsTheFirstFlightAndNothingElse(t *testing.T) {
	sender, receiver := pair("between")
	sender.First = func() []frame.Frame { return frames(1000) }
	for _, bobs := range []struct {
		what string
		dial func(*testing.T, *network) error // asks Mallory
		sent int
	}{
		{"a device", func(t *testing.T, n *network) error {
			b := n.on(t, bob)
			_, err := b.Dial(t.Context(), netip.MustParseAddrPort(mallory), receiver)
			return err
		}, 0},
		{"a device that proves without waiting for a proof", func(t *testing.T, n *network) error {
			b := n.stranger(t, bob)
			conn, err := b.tr.Dial(t.Context(), net.UDPAddrFromAddrPort(netip.MustParseAddrPort(mallory)), dialTLS(receiver.Peer), strange())
			if err != nil {
				return err
			}
			str, err := conn.AcceptStream(t.Context())
			if err != nil {
				return err
			}
			str.Write(receiver.proof(dialler, exported(t, conn)))
			str.Close()
			<-conn.Context().Done()
			return because(context.Cause(conn.Context()))
		}, proofSize},
	} {
		synctest.Test(t, func(t *testing.T) {
			n := newNetwork(time.Millisecond)
			a := n.on(t, alice)
			found := serve(t, a, sender)
			m := n.stranger(t, mallory)
			passed := make(chan [2][]byte)
			go func() { passed <- m.between(t, receiver.Peer) }()
			if err := bobs.dial(t, n); !errors.Is(err, ErrStranger) {
				t.Errorf("%s knows that it is not the other device: %v", bobs.what, err)
			}
			both := <-passed
			if want := appendPiece(nil, frames(1000)...); len(both[0]) != proofSize+len(want) || !bytes.Equal(both[0][proofSize:], want) {
				t.Errorf("the listener sent its proof and its first flight, not %d bytes", len(both[0]))
			}
			if len(both[1]) != bobs.sent {
				t.Errorf("%s sent %d bytes, not %d", bobs.what, len(both[1]), bobs.sent)
			}
			nobody(t, a, found)
		})
	}
}

// between passes on all that stands on the first stream between who dials the
// stranger and Alice, and returns what came from either when both connections have
// ended: Alice's, as she ends it herself or as the dialler has gone.
func (s *stranger) between(t *testing.T, tag Tag) (fromAlice [2][]byte) {
	l := s.listen(t, tag)
	defer l.Close()
	victim, err := l.Accept(t.Context())
	if err != nil {
		t.Error(err)
		return
	}
	alices, err := s.dial(t.Context(), tag)
	if err != nil {
		t.Error(err)
		return
	}
	there, err := alices.AcceptStream(t.Context())
	if err != nil {
		t.Error(err)
		return
	}
	here, err := victim.OpenStream()
	if err != nil {
		t.Error(err)
		return
	}
	var both sync.WaitGroup
	pass := func(to, from *quic.Stream, kept *[]byte) {
		var b bytes.Buffer
		io.Copy(io.MultiWriter(to, &b), from)
		to.Close()
		*kept = b.Bytes()
	}
	both.Go(func() { pass(here, there, &fromAlice[0]) })
	both.Go(func() { pass(there, here, &fromAlice[1]) })
	if !endedWith(alices, codeUnproven) {
		t.Errorf("the listener gives up: %v", context.Cause(alices.Context()))
	}
	victim.CloseWithError(codeUnproven, "")
	both.Wait()
	return fromAlice
}

// wrongProofs are proofs of somebody who has not the key of this share and this
// role, or is not this end of this connection.
func wrongProofs(mine, others Share, e end, exporter, elsewhere, theirs []byte) map[string][]byte {
	swapped := mine
	swapped.Role = other(mine.Role)
	flipped := mine.proof(e, exporter)
	flipped[proofSize-1] ^= 1
	return map[string][]byte{
		"nothing that knows the key":   make([]byte, proofSize),
		"another share's":              others.proof(e, exporter),
		"the other role's":             swapped.proof(e, exporter),
		"the other end's":              mine.proof(dialler+listener-e, exporter),
		"the peer's own, turned round": theirs,
		"another connection's":         mine.proof(e, elsewhere),
		"one bit wrong":                flipped,
		"half of it":                   mine.proof(e, exporter)[:proofSize/2],
		"none":                         nil,
	}
}

func TestOnlyTheProofOfThisShareRoleEndAndConnectionOpensAListener(t *testing.T) {
	sender, receiver := pair("this")
	_, others := pair("that")
	names := slices.Sorted(maps.Keys(wrongProofs(receiver, others, dialler, nil, nil, nil)))
	for _, name := range append(names, "right") {
		synctest.Test(t, func(t *testing.T) {
			a, found, m := beset(t, sender)
			before, _ := m.must(t, receiver.Peer)
			elsewhere := exported(t, before)
			before.CloseWithError(0, "")
			conn, str := m.must(t, receiver.Peer)
			flight, err := io.ReadAll(str)
			if err != nil {
				t.Fatal(err)
			}
			exporter := exported(t, conn)
			if !bytes.Equal(flight[:proofSize], sender.proof(listener, exporter)) {
				t.Error("the listener's proof is the one of the page")
			}
			if name == "right" {
				str.Write(receiver.proof(dialler, exporter))
				<-found
				return
			}
			str.Write(wrongProofs(receiver, others, dialler, exporter, elsewhere, flight[:proofSize])[name])
			str.Close()
			if !endedWith(conn, codeUnproven) {
				t.Errorf("%s: %v", name, context.Cause(conn.Context()))
			}
			nobody(t, a, found)
		})
	}
}

func TestADiallerGivesNothingToAListenerThatDoesNotProve(t *testing.T) {
	sender, receiver := pair("this")
	others, _ := pair("that")
	names := slices.Sorted(maps.Keys(wrongProofs(sender, others, listener, nil, nil, nil)))
	for _, name := range names {
		synctest.Test(t, func(t *testing.T) {
			n := newNetwork(time.Millisecond)
			m := n.stranger(t, alice)
			l := m.listen(t, receiver.Peer)
			b := n.on(t, bob)
			failed := make(chan error)
			go func() {
				_, err := b.Dial(t.Context(), aliceAt, receiver)
				failed <- err
			}()
			conn, err := l.Accept(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			str, err := conn.OpenStream()
			if err != nil {
				t.Fatal(err)
			}
			exporter := exported(t, conn)
			theirs := receiver.proof(dialler, exporter) // more than a stranger has
			str.Write(appendPiece(wrongProofs(sender, others, listener, exporter, make([]byte, 32), theirs)[name], frames(100)...))
			str.Close()
			str.SetReadDeadline(time.Now().Add(lifetime))
			got, _ := io.ReadAll(str)
			if len(got) > 0 {
				t.Errorf("%s: the dialler sent %d bytes", name, len(got))
			}
			if err := <-failed; !errors.Is(err, ErrStranger) {
				t.Errorf("%s: it is a stranger: %v", name, err)
			}
		})
	}
}

func TestWhoAsksForWhatIsNotServedIsRefusedAndForgotten(t *testing.T) {
	sender, receiver := pair("served")
	for _, asked := range [][]string{
		{receiver.Own.String()}, // another tag
		{"h3"},                  // no tag
		{receiver.Peer.String(), receiver.Own.String()}, // two
		{receiver.Peer.String() + "a"},
	} {
		synctest.Test(t, func(t *testing.T) {
			a, found, m := beset(t, sender)
			start := time.Now()
			ask := dialTLS(receiver.Peer)
			ask.NextProtos = asked
			conn, err := m.tr.Dial(t.Context(), net.UDPAddrFromAddrPort(aliceAt), ask, strange())
			if err == nil {
				conn.CloseWithError(0, "")
				t.Errorf("%q is answered", asked)
			}
			if took := time.Since(start); took > time.Second {
				t.Errorf("%q is refused at once, not after %v", asked, took)
			}
			time.Sleep(time.Minute)
			nobody(t, a, found)
		})
	}
}

func TestWhoConnectsAndSaysNothingIsShownOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sender, receiver := pair("nothing")
		a, found, m := beset(t, sender)
		start := time.Now()
		conn, _ := m.must(t, receiver.Peer)
		if !endedWith(conn, codeUnproven) {
			t.Errorf("it ended with %v", context.Cause(conn.Context()))
		}
		if took := time.Since(start); took > 11*time.Second {
			t.Errorf("it stood there for %v", took)
		}
		nobody(t, a, found)
	})
}

// pour writes to a stream until that fails, a gigabyte at most.
func pour(str *quic.Stream) error {
	str.SetWriteDeadline(time.Now().Add(lifetime))
	for range 1 << 10 {
		if _, err := str.Write(make([]byte, 1<<20)); err != nil {
			return err
		}
	}
	return nil
}

func TestAGigabyteCostsAWindow(t *testing.T) {
	sender, receiver := pair("gigabyte")
	for _, c := range []struct {
		what  string
		start func(*testing.T, *stranger) (*quic.Conn, *quic.Stream)
		code  quic.ApplicationErrorCode
		most  int // bytes that the stranger gets rid of, packets' headers and all
	}{
		{"where a proof should stand", func(t *testing.T, m *stranger) (*quic.Conn, *quic.Stream) {
			return m.must(t, receiver.Peer)
		}, codeUnproven, 2 * firstWindow},
		{"beside the stream for the proof", func(t *testing.T, m *stranger) (*quic.Conn, *quic.Stream) {
			conn, _ := m.must(t, receiver.Peer)
			str, err := conn.OpenStream()
			if err != nil {
				t.Fatal(err)
			}
			return conn, str
		}, codeUnproven, 2 * firstWindow},
		{"in a piece, from one who knows the link", func(t *testing.T, m *stranger) (*quic.Conn, *quic.Stream) {
			conn := m.prove(t, receiver)
			str, err := conn.OpenStream()
			if err != nil {
				t.Fatal(err)
			}
			str.Write([]byte{0, 0, 1, 0, 9}) // a frame that is none
			return conn, str
		}, codeBroken, 2 * firstWindow},
		{"in a piece of frames without end", func(t *testing.T, m *stranger) (*quic.Conn, *quic.Stream) {
			conn := m.prove(t, receiver)
			str, err := conn.OpenStream()
			if err != nil {
				t.Fatal(err)
			}
			str.SetWriteDeadline(time.Now().Add(lifetime))
			for range 10 * maxFrames {
				if _, err := str.Write(frame.Append(nil, frames(60<<10)...)); err != nil {
					break
				}
			}
			return conn, str
		}, codeBroken, 2 * maxFrames * frame.MaxSize},
	} {
		synctest.Test(t, func(t *testing.T) {
			_, _, m := beset(t, sender)
			start := time.Now()
			conn, str := c.start(t, m)
			if err := pour(str); err == nil {
				t.Errorf("%s: all of it was taken", c.what)
			}
			if !endedWith(conn, c.code) {
				t.Errorf("%s: it ended with %v", c.what, context.Cause(conn.Context()))
			}
			if took := time.Since(start); took > 11*time.Second {
				t.Errorf("%s: it went on for %v", c.what, took)
			}
			if sent := m.sent(); sent > c.most {
				t.Errorf("%s: %d bytes were let through, not %d", c.what, sent, c.most)
			}
		})
	}
}

func TestPiecesThatNobodyFetchesWaitAtTheirSender(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sender, receiver := pair("unfetched")
		_, found, m := beset(t, sender)
		conn := m.prove(t, receiver)
		<-found
		opened := 0
		for ; ; opened++ {
			str, err := conn.OpenStream()
			if err != nil {
				break // no more are allowed
			}
			go str.Write(appendPiece(nil, frames(60<<10, 60<<10, 60<<10, 60<<10, 60<<10, 60<<10, 60<<10, 60<<10)...))
		}
		time.Sleep(time.Minute)
		if opened != 16 {
			t.Errorf("%d streams could be opened, not 16", opened)
		}
		if sent := m.sent(); sent > 3*lastWindow {
			t.Errorf("%d bytes were let through: a piece, what comes of the next and a window are less than %d", sent, 3*lastWindow)
		}
	})
}

func TestStreamAfterStreamOfNoUseEndsTheConnection(t *testing.T) {
	sender, receiver := pair("streams")
	for _, c := range []struct {
		what string
		do   func(*quic.Stream)
	}{
		{"begun and left", func(str *quic.Stream) { str.Write([]byte{0}); str.CancelWrite(0); str.CancelRead(0) }},
		{"a piece of nothing", func(str *quic.Stream) { str.Write(frame.Heartbeat()); str.Close() }},
		{"ended in the middle", func(str *quic.Stream) { str.Write(frame.Append(nil, frames(100)...)[:50]); str.Close() }},
		{"ended without an end", func(str *quic.Stream) { str.Write(frame.Append(nil, frames(100)...)); str.Close() }},
		{"a length that no frame has", func(str *quic.Stream) { str.Write([]byte{255, 255, 255, 255}) }},
	} {
		synctest.Test(t, func(t *testing.T) {
			_, found, m := beset(t, sender)
			conn := m.prove(t, receiver)
			p := <-found
			ctx, cancel := context.WithTimeout(t.Context(), lifetime)
			defer cancel()
			opened := 0
			for ; opened < 10*maxAbandoned; opened++ {
				str, err := conn.OpenStreamSync(ctx)
				if err != nil {
					break
				}
				c.do(str)
			}
			if !endedWith(conn, codeBroken) || opened > 2*maxAbandoned {
				t.Errorf("%s: it ended after %d streams with %v", c.what, opened, context.Cause(conn.Context()))
			}
			if _, err := p.Receive(ctx); err == nil {
				t.Errorf("%s: nothing of it is given", c.what)
			}
		})
	}
}

func TestAnAnswerThatIsNoneEndsTheConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sender, receiver := pair("no answer")
		_, found, m := beset(t, sender)
		conn := m.prove(t, receiver)
		p := <-found
		go func() {
			str, err := conn.AcceptStream(t.Context())
			if err == nil {
				str.Write([]byte{2})
			}
		}()
		if err := p.Send(t.Context(), frames(100)...); err == nil {
			t.Error("2 is no answer")
		}
		if !endedWith(conn, codeBroken) {
			t.Errorf("it ended with %v", context.Cause(conn.Context()))
		}
	})
}

func TestWhatStandsBehindAPieceEndsTheConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sender, receiver := pair("behind")
		_, found, m := beset(t, sender)
		conn := m.prove(t, receiver)
		str, err := conn.OpenStream()
		if err != nil {
			t.Fatal(err)
		}
		str.Write(append(appendPiece(nil, frames(100)...), 0))
		p := (<-found).(discovery.Direct)
		take(t, p, true)
		if !endedWith(conn, codeBroken) {
			t.Errorf("it ended with %v", context.Cause(conn.Context()))
		}
	})
}

func TestAFloodOfConnectionsCostsABoundedNumberAndBlocksNobody(t *testing.T) {
	for _, c := range []struct {
		what       string
		hosts      int
		each, more int // connections a host has at a time, and how often it comes again
		most       int
	}{
		{"from one address", 1, 60, 3, maxGuestsHost},
		{"from many addresses", 30, 5, 2, maxGuests},
	} {
		synctest.Test(t, func(t *testing.T) {
			n := newNetwork(time.Millisecond)
			sender, receiver := pair("flood")
			a, b, found := room(t, n, sender)
			var flood sync.WaitGroup
			worst := make(chan int, c.hosts*c.each*c.more)
			for h := range c.hosts {
				m := n.stranger(t, fmt.Sprintf("192.0.2.%d:66", 66+h))
				for range c.each {
					flood.Go(func() {
						for range c.more {
							conn, err := m.dial(t.Context(), receiver.Peer)
							a.door.mu.Lock()
							worst <- len(a.door.guests)
							a.door.mu.Unlock()
							if err == nil {
								<-conn.Context().Done() // it says nothing, and stays as long as it may
							}
						}
					})
				}
			}
			time.Sleep(20 * time.Millisecond)
			if len(worst) == 0 || len(worst) == cap(worst) {
				t.Errorf("%s: the flood has not begun or is over: %d connections", c.what, len(worst))
			}
			for i := range 3 {
				if _, err := b.Dial(t.Context(), aliceAt, receiver); err != nil {
					t.Errorf("%s: dial %d: an honest device gets through: %v", c.what, i, err)
				}
				<-found
			}
			flood.Wait()
			close(worst)
			most := 0
			for w := range worst {
				most = max(most, w)
			}
			t.Logf("%s: at most %d connections were there that had not proved", c.what, most)
			if most > c.most+1 || most < crowd {
				t.Errorf("%s: %d connections were there at once that had not proved, not %d at most", c.what, most, c.most)
			}
			time.Sleep(time.Minute)
			nobody(t, a, found)
		})
	}
}

func TestWhoIsShownOutToMakeRoomIsNotToldThatItIsAStranger(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sender, receiver := pair("room")
		_, _, m := beset(t, sender)
		var conns []*quic.Conn
		for range maxGuestsHost + 1 {
			conn, _ := m.must(t, receiver.Peer)
			conns = append(conns, conn)
		}
		if !endedWith(conns[0], codeDone) {
			t.Errorf("the oldest ended with %v", context.Cause(conns[0].Context()))
		}
		if err := because(context.Cause(conns[0].Context())); errors.Is(err, ErrStranger) {
			t.Errorf("a device would not dial this address again: %v", err)
		}
		for i, conn := range conns[1:] {
			if conn.Context().Err() != nil {
				t.Errorf("only the oldest goes: %d has gone", i+2)
			}
		}
	})
}

func TestOneShareHasSoManyConnectionsAndTheNewestStay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork(time.Millisecond)
		sender, receiver := pair("many")
		_, b, found := room(t, n, sender)
		var dialled []discovery.Path
		for range maxPaths + 3 {
			dialled = append(dialled, dial(t, b, receiver))
			<-found
		}
		for i, p := range dialled {
			if ended := hasEnded(t, p); ended != (i < 3) {
				t.Errorf("path %d of %d has ended: %v", i+1, len(dialled), ended)
			}
		}
	})
}

// A holder of the link that connects again and again doesn't show the other device out.
func TestAHolderOfTheLinkThatConnectsWithoutEndLeavesTheOtherDeviceItsPath(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork(time.Millisecond)
		sender, receiver := pair("holder")
		_, b, found := room(t, n, sender)
		theirs := dial(t, b, receiver)
		listens := (<-found).(discovery.Direct)
		m := n.on(t, mallory)
		for range 3 * maxPaths {
			dial(t, m, receiver)
			<-found
		}
		synctest.Wait()
		if err := give(t, theirs, listens); err != nil {
			t.Errorf("the path that was there first: %v", err)
		}
	})
}

// LAN-01: with however many addresses. What a device dials itself counts as well.
func TestLAN01PathsOnWhichNothingGenuineCameGoBeforeThatWhichBore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork(time.Millisecond)
		sender, receiver := pair("bore")
		a, b, found := room(t, n, sender)
		dial(t, b, receiver)
		bears := (<-found).(Path)
		bears.Bore()
		var barren []discovery.Path
		for i := range maxPaths + 3 {
			at := fmt.Sprintf("192.0.2.%d:1", 100+i)
			m := n.on(t, at)
			if i%2 == 0 {
				dial(t, m, receiver)
				barren = append(barren, <-found)
				continue
			}
			serve(t, m, receiver)
			p, err := a.Dial(t.Context(), netip.MustParseAddrPort(at), sender)
			if err != nil {
				t.Fatal(err)
			}
			barren = append(barren, p)
		}
		if hasEnded(t, bears) {
			t.Error("the path that bore has gone")
		}
		for i, p := range barren {
			if gone := hasEnded(t, p); gone != (i < len(barren)-maxPaths+1) {
				t.Errorf("barren path %d of %d has gone: %v", i+1, len(barren), gone)
			}
		}
	})
}

// LAN-01: nor do paths that once bore keep a new one out.
func TestLAN01WhereEachPathBoreThatGoesThatDidSoLongestAgo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork(time.Millisecond)
		sender, receiver := pair("bore once")
		_, _, found := room(t, n, sender)
		var all []Path
		comes := func() {
			dial(t, n.on(t, fmt.Sprintf("192.0.2.%d:1", 100+len(all))), receiver)
			all = append(all, (<-found).(Path))
		}
		for range maxPaths {
			comes()
		}
		for i := range all {
			all[(i+3)%maxPaths].Bore()
			time.Sleep(time.Millisecond)
		}
		comes()
		for i, p := range all {
			if gone := hasEnded(t, p); gone != (i == 3) {
				t.Errorf("path %d has gone: %v", i+1, gone)
			}
		}
	})
}

// hasEnded reports whether a path has ended, a second of the bubble's time from now.
func hasEnded(t *testing.T, p discovery.Path) bool {
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	_, err := p.Receive(ctx)
	return !errors.Is(err, context.DeadlineExceeded)
}
