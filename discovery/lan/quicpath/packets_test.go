package quicpath

import (
	"net"
	"net/netip"
	"os"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/sparekey/sparekey/discovery"
)

// A network carries packets between addresses in memory, each so long on its way.
// In a bubble its time is exact.
type network struct {
	mu    sync.Mutex
	delay time.Duration // one way
	ends  map[netip.AddrPort]*packetEnd
	cut   bool // nothing arrives
	log   []packetSeen
}

type packetSeen struct {
	at   time.Time
	from netip.AddrPort
	size int
}

func newNetwork(delay time.Duration) *network {
	return &network{delay: delay, ends: map[netip.AddrPort]*packetEnd{}}
}

// end returns a net.PacketConn at an address such as "192.0.2.1:1".
func (n *network) end(address string) *packetEnd {
	e := &packetEnd{n: n, address: netip.MustParseAddrPort(address), inbox: make(chan packetIn, 4096), closed: make(chan struct{}), late: make(chan struct{})}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.ends[e.address] = e
	return e
}

// move gives an end another address, as a device has that comes into another network.
func (n *network) move(from, to string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	e := n.ends[netip.MustParseAddrPort(from)]
	delete(n.ends, e.address)
	e.address = netip.MustParseAddrPort(to)
	n.ends[e.address] = e
}

func (n *network) setCut(cut bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.cut = cut
}

// since returns what was sent after a moment.
func (n *network) since(at time.Time) (seen []packetSeen) {
	n.mu.Lock()
	defer n.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(n.log), func(p packetSeen) bool { return p.at.Before(at) })
}

type packetIn struct {
	b    []byte
	from net.Addr
}

// A packetEnd is one address.
type packetEnd struct {
	n       *network
	address netip.AddrPort
	inbox   chan packetIn
	closed  chan struct{}
	once    sync.Once
	mu      sync.Mutex
	late    chan struct{} // closed while a read deadline has passed
}

func (e *packetEnd) WriteTo(b []byte, to net.Addr) (int, error) {
	e.n.mu.Lock()
	defer e.n.mu.Unlock()
	e.n.log = append(e.n.log, packetSeen{time.Now(), e.address, len(b)})
	peer := e.n.ends[to.(*net.UDPAddr).AddrPort()]
	if e.n.cut || peer == nil {
		return len(b), nil
	}
	in := packetIn{slices.Clone(b), net.UDPAddrFromAddrPort(e.address)}
	time.AfterFunc(e.n.delay, func() {
		select {
		case peer.inbox <- in:
		default: // as a full socket does
		}
	})
	return len(b), nil
}

func (e *packetEnd) ReadFrom(b []byte) (int, net.Addr, error) {
	e.mu.Lock()
	late := e.late
	e.mu.Unlock()
	select {
	case in := <-e.inbox:
		return copy(b, in.b), in.from, nil
	case <-late:
		return 0, nil, os.ErrDeadlineExceeded
	case <-e.closed:
		return 0, nil, net.ErrClosed
	}
}

// SetReadDeadline knows "now" and "never", as quic-go uses it.
func (e *packetEnd) SetReadDeadline(t time.Time) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if !t.IsZero() {
		close(e.late)
	} else {
		e.late = make(chan struct{})
	}
	return nil
}

func (e *packetEnd) Close() error {
	e.once.Do(func() { close(e.closed) })
	return nil
}

func (e *packetEnd) LocalAddr() net.Addr {
	e.n.mu.Lock()
	defer e.n.mu.Unlock()
	return net.UDPAddrFromAddrPort(e.address)
}

func (e *packetEnd) SetDeadline(time.Time) error      { return nil }
func (e *packetEnd) SetWriteDeadline(time.Time) error { return nil }

// on opens a Socket at an address of the network, until the test ends.
func (n *network) on(t testing.TB, address string) *Socket {
	t.Helper()
	s, err := Listen(Config{Conn: n.end(address)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// The addresses of the tests.
const (
	alice   = "192.0.2.1:1"
	bob     = "192.0.2.2:2"
	mallory = "192.0.2.66:66"
)

var aliceAt = netip.MustParseAddrPort(alice)

// room opens the sockets of two devices, and serves the sender's share at Alice's.
func room(t testing.TB, n *network, sender Share) (a, b *Socket, found <-chan discovery.Path) {
	t.Helper()
	a, b = n.on(t, alice), n.on(t, bob)
	return a, b, serve(t, a, sender)
}

// meet has Bob dial Alice.
func meet(t testing.TB, n *network, sender, receiver Share) (listens, dials discovery.Direct) {
	t.Helper()
	_, b, found := room(t, n, sender)
	dials = dial(t, b, receiver)
	return (<-found).(discovery.Direct), dials
}

// dial dials Alice.
func dial(t testing.TB, from *Socket, receiver Share) discovery.Direct {
	t.Helper()
	p, err := from.Dial(t.Context(), aliceAt, receiver)
	if err != nil {
		t.Fatal(err)
	}
	return p.(discovery.Direct)
}
