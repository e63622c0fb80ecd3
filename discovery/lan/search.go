package lan

import (
	"context"
	"maps"
	"net"
	"net/netip"
	"sync"
	"time"

	"github.com/sparekey/sparekey/discovery"
	"github.com/sparekey/sparekey/discovery/lan/beacon"
	"github.com/sparekey/sparekey/discovery/lan/quicpath"
	"github.com/sparekey/sparekey/noise/frame"
)

// The search's times and bounds, each with its reason.
const (
	// Whether a sender needs a path can only be seen by looking. After a path has
	// died it looks at once; this is for what it saved while it had none.
	look = 5 * time.Second

	// The next of a device's addresses is tried while the last has not answered yet,
	// so that one that leads nowhere costs no more than this (RFC 8305 section 5).
	stagger = 50 * time.Millisecond

	// An address is dialled no more often: an answer that is played again, or leads
	// to somebody else, costs a dial in that time. QUIC repeats what is lost by itself.
	restTime  = 5 * time.Second
	maxRecent = 32

	// Texts that were heard and wait to be looked at. The true one is heard again.
	maxHeard = 16
)

// A search is one share's part in the room.
type search struct {
	lan     *LAN
	socket  *quicpath.Socket
	beacon  *beacon.Beacon
	meeting discovery.Meeting
	found   func(discovery.Path)
	changed chan struct{} // a path came or went

	mu     sync.Mutex
	live   int                          // paths that were given away and are not closed
	recent map[netip.AddrPort]time.Time // when addresses were dialled last
}

func peer(r discovery.Role) discovery.Role {
	if r == discovery.Sender {
		return discovery.Receiver
	}
	return discovery.Sender
}

func (s *search) share() quicpath.Share {
	m := s.meeting
	return quicpath.Share{Own: tagOf(m.Topic, m.Role), Peer: tagOf(m.Topic, peer(m.Role)), Key: m.Key, Role: m.Role, First: m.First}
}

func (s *search) run(ctx context.Context) error {
	own := newSealer(s.meeting, s.meeting.Role)
	stopServing := s.socket.Serve(s.share(), s.come)
	defer stopServing()
	stopAnswering := s.beacon.Answer(own.tag.String(), func(ifi net.Interface) []byte {
		text, err := own.seal(s.lan.config.Rand, addresses(ifi, s.socket.Port()))
		if err != nil {
			return nil // no answer
		}
		return text
	})
	defer stopAnswering()
	timer := time.NewTimer(look)
	defer timer.Stop()
	for ctx.Err() == nil {
		if s.needsPath() {
			s.ask(ctx)
		}
		timer.Reset(look)
		select {
		case <-ctx.Done():
		case <-s.changed:
		case <-timer.C:
		}
	}
	return nil
}

// needsPath reports whether to ask. A waiting sender has an offer and nothing else. One
// that has chosen a receiver may have nothing to say just now, as after a crash; but the
// receiver may yet take the path that has died for one that lives.
func (s *search) needsPath() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.live > 0 {
		return false
	}
	if s.meeting.Role == discovery.Receiver {
		return true
	}
	if s.meeting.Chosen != nil && s.meeting.Chosen() {
		return true
	}
	for _, f := range s.meeting.First() {
		if f.Kind() != frame.Offer {
			return true
		}
	}
	return false
}

// A word is what was heard on an interface.
type word struct {
	text []byte
	ifi  net.Interface
	from netip.Addr
}

// ask asks for the other side until there is a path, and dials what is answered.
func (s *search) ask(ctx context.Context) {
	ctx, cancel := context.WithCancel(ctx)
	var asking sync.WaitGroup
	defer asking.Wait()
	defer cancel()
	other := newSealer(s.meeting, peer(s.meeting.Role))
	heard := make(chan word, maxHeard)
	asking.Go(func() {
		s.beacon.Ask(ctx, other.tag.String(), func(text []byte, ifi net.Interface, from netip.Addr) {
			select {
			case heard <- word{text, ifi, from}:
			default:
			}
		})
	})
	for s.needsPath() {
		select {
		case <-ctx.Done():
			return
		case <-s.changed: // it may be that the other side found us
		case w := <-heard:
			all, ok := other.open(w.text)
			if next := s.dialable(w.near(all)); ok && len(next) > 0 {
				asking.Go(func() { s.dial(ctx, next) })
			}
		}
	}
}

// near returns the addresses that can be dialled for this word: those in the room
// where it was heard, that which the answer came from first. Link-local ones get the
// zone of the interface.
func (w word) near(all []netip.AddrPort) (ordered []netip.AddrPort) {
	nets, err := w.ifi.Addrs()
	if err != nil {
		return nil // it has just gone
	}
	for _, a := range all {
		if !inRoom(a.Addr(), nets) {
			continue
		}
		if a.Addr().IsLinkLocalUnicast() && a.Addr().Is6() {
			a = netip.AddrPortFrom(a.Addr().WithZone(w.ifi.Name), a.Port())
		}
		if a.Addr().WithZone("") == w.from.Unmap().WithZone("") {
			ordered = append([]netip.AddrPort{a}, ordered...)
		} else {
			ordered = append(ordered, a)
		}
	}
	return ordered
}

// dialable returns those of the addresses that nobody has dialled lately, and
// notes that they are dialled now. Together they are at most maxRecent a while.
func (s *search) dialable(all []netip.AddrPort) (next []netip.AddrPort) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	maps.DeleteFunc(s.recent, func(_ netip.AddrPort, t time.Time) bool { return now.Sub(t) > restTime })
	for _, a := range all {
		if _, ok := s.recent[a]; !ok && len(s.recent) < maxRecent {
			s.recent[a] = now
			next = append(next, a)
		}
	}
	return next
}

// dial dials a device's addresses, one soon after the other, until one is the
// other side or ctx ends.
func (s *search) dial(ctx context.Context, all []netip.AddrPort) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var dials sync.WaitGroup
	defer dials.Wait()
	for i, a := range all {
		failed := make(chan struct{})
		dials.Go(func() {
			defer close(failed)
			if p, err := s.socket.Dial(ctx, a, s.share()); err == nil {
				cancel() // the others lead to the same device
				if s.reached(a) {
					s.give(p)
				} else {
					p.Close()
				}
			}
		})
		if i < len(all)-1 {
			timer := time.NewTimer(stagger)
			select {
			case <-timer.C:
			case <-failed:
			case <-ctx.Done():
				timer.Stop()
				return
			}
			timer.Stop()
		}
	}
}

// reached notes that the other device is at an address, which is dialled again as
// soon as the path dies, and reports whether this path is the first: one is enough.
func (s *search) reached(a netip.AddrPort) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.recent, a)
	if s.live > 0 {
		return false
	}
	s.live++
	return true
}

// come takes a path that the other side has made.
func (s *search) come(p discovery.Path) {
	s.mu.Lock()
	s.live++
	s.mu.Unlock()
	s.give(p)
}

// give hands a path that was counted to the share.
func (s *search) give(p discovery.Path) {
	s.change()
	s.found(&given{Direct: p.(discovery.Direct), gone: sync.OnceFunc(func() {
		s.mu.Lock()
		s.live--
		s.mu.Unlock()
		s.change()
	})})
}

func (s *search) change() {
	select {
	case s.changed <- struct{}{}:
	default:
	}
}

// A given path tells when it is closed, so that a new one is looked for.
type given struct {
	discovery.Direct
	gone func()
}

// Early implements discovery.Early.
func (g *given) Early() []frame.Frame {
	if e, ok := g.Direct.(discovery.Early); ok {
		return e.Early()
	}
	return nil
}

func (g *given) Close() error {
	defer g.gone()
	return g.Direct.Close()
}

// addresses is where this machine can be reached on an interface.
func addresses(ifi net.Interface, port uint16) (all []netip.AddrPort) {
	nets, err := ifi.Addrs()
	if err != nil {
		return nil
	}
	for _, n := range nets {
		p, ok := n.(*net.IPNet)
		if !ok {
			continue
		}
		ip, ok := netip.AddrFromSlice(p.IP)
		ip = ip.Unmap()
		if ok && !ip.IsMulticast() && !ip.IsUnspecified() && (!ip.IsLoopback() || ifi.Flags&net.FlagLoopback != 0) {
			all = append(all, netip.AddrPortFrom(ip, port))
		}
	}
	return all
}
