package node_test

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/sparekey/sparekey/discovery"
	"github.com/sparekey/sparekey/discovery/lan/quicpath"
	"github.com/sparekey/sparekey/node/share"
)

// A port finds the other device over QUIC without having to look for it: a sender
// listens, a receiver knows where.
type port struct {
	socket *quicpath.Socket
	at     netip.AddrPort // the sender's
}

// newPorts returns a finder for each side, on real sockets.
func newPorts(t *testing.T) (sender, receiver *port) {
	t.Helper()
	open := func() *quicpath.Socket {
		udp, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(netip.MustParseAddrPort("127.0.0.1:0")))
		if err != nil {
			t.Fatal(err)
		}
		s, err := quicpath.Listen(quicpath.Config{Conn: udp})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { s.Close() })
		return s
	}
	s := open()
	at := netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), s.Port())
	return &port{s, at}, &port{open(), at}
}

// Find implements discovery.Finder.
func (p *port) Find(ctx context.Context, m discovery.Meeting, found func(discovery.Path)) error {
	sh := quicpath.Share{Key: m.Key, Role: m.Role, First: m.First}
	copy(sh.Own[:], m.Topic[:])
	copy(sh.Peer[:], m.Topic[:])
	sh.Own[0], sh.Peer[0] = byte(m.Role), byte(3-m.Role)
	if m.Role == discovery.Sender {
		stop := p.socket.Serve(sh, found)
		<-ctx.Done()
		stop()
		return nil
	}
	for ctx.Err() == nil {
		path, err := p.socket.Dial(ctx, p.at, sh)
		if err != nil { // the sender isn't there yet
			select {
			case <-time.After(10 * time.Millisecond):
			case <-ctx.Done():
			}
			continue
		}
		ended := make(chan struct{})
		found(closing{path.(discovery.Direct), ended})
		select {
		case <-ended:
		case <-ctx.Done():
		}
	}
	return nil
}

// closing tells when a path is closed.
type closing struct {
	discovery.Direct
	ended chan struct{}
}

func (c closing) Close() error {
	defer func() {
		select {
		case <-c.ended:
		default:
			close(c.ended)
		}
	}()
	return c.Direct.Close()
}

// TestShareOverQUICEndsOnBothSidesWithoutARelay: with real sockets, what room_test.go
// says of cables.
func TestShareOverQUICEndsOnBothSidesWithoutARelay(t *testing.T) {
	for name, c := range map[string]struct {
		then             func(alice, bob *party)
		sends            bool // the sender's format ever answers
		sender, receiver share.State
	}{
		"handed over":               {func(_, _ *party) {}, true, share.Done, share.Done},
		"cancelled after the pin":   {func(alice, _ *party) { alice.state(share.Pinned); alice.do(share.Cancel{}) }, false, share.Cancelled, share.Cancelled},
		"declined before the grant": {func(alice, bob *party) { alice.state(share.Pinned); bob.do(share.Decline{}) }, false, share.Declined, share.Declined},
		"handed over after both have crashed": {func(alice, bob *party) {
			alice.state(share.Pinned)
			bob.stop()
			alice.stop()
			alice.Formats = alice.note
			bob.resume()
			alice.resume()
		}, false, share.Done, share.Done},
	} {
		t.Run(name, func(t *testing.T) {
			alice, bob := newParty(t), newParty(t)
			sends, receives := newPorts(t)
			alice.Finders, bob.Finders = []discovery.Finder{sends}, []discovery.Finder{receives}
			if !c.sends {
				alice.Formats = &puppet{note: alice.note, send: untilStopped}
			}
			claim(alice, bob)
			c.then(alice, bob)
			if err := errors.Join(alice.live.Wait(), bob.live.Wait()); err != nil {
				t.Fatal(err)
			}
			for p, want := range map[*party]share.State{alice: c.sender, bob: c.receiver} {
				r := p.record()
				if state, reason, _, err := r.State(); err != nil || state != want || !r.Settled {
					t.Errorf("the %s stands at %s (%s), want %s; settled: %v; %v", r.Role, state, reason, want, r.Settled, err)
				}
			}
			if got := bob.note.text == "the key"; got != (c.receiver == share.Done) {
				t.Errorf("received %q, provisioned %v", bob.note.text, bob.note.placed)
			}
		})
	}
}
