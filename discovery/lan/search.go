package lan

import (
	"context"
	"fmt"
	"maps"
	"net"
	"net/netip"
	"slices"
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

	// The other device answers in a round trip and a save. Who has waited so long, with
	// paths, may have them to somebody else: anybody who holds the link can be at the
	// end of one, say nothing, and stay.
	answerWithin = 2 * time.Second

	// An address is dialled no more often: an answer that is played again, or leads
	// to somebody else, costs a dial in that time. QUIC repeats what is lost by itself.
	// One where there was a path may have lost it by a mishap.
	restTime    = 5 * time.Second
	shortRest   = 500 * time.Millisecond
	maxRecent   = 64
	maxRecentOf = 8 // by the word of one address: as many as a text holds

	// Who is asked and gets no path may be behind a firewall that lets nobody in: it asks,
	// too, and then either may open the connection. An asker that gets through is there much
	// sooner than after a second; one that doesn't asks again at least every 17.
	comesWithin = time.Second
	asksWithin  = 20 * time.Second

	// Who looks again for what it had found asks at once, but each time later: a path
	// that somebody makes and ends again and again has nobody ask without end.
	firstPause   = time.Second
	longestPause = 15 * time.Second

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
	live   map[*given]bool            // paths that were given away and are not closed
	recent map[netip.AddrPort]dialled // addresses that rest
	asked  time.Time                  // since when the other side has asked, and not come; zero: it hasn't
	heard  time.Time                  // when it asked last
	came   time.Time                  // when there was a path last
	pause  time.Duration              // between the last beginning of asking and the next, at least
	next   time.Time                  // when asking may begin again
	ails   error                      // what keeps the beacon from working
	told   error                      // what of it was reported
}

// dialled is how an address came to be dialled.
type dialled struct {
	by   netip.Addr // whose word named it
	rest time.Time  // until then it isn't dialled again
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
		s.question(time.Now())
		text, err := own.seal(s.lan.config.Rand, addresses(ifi, s.socket.Port()))
		if err != nil {
			return nil // no answer
		}
		return text
	})
	defer stopAnswering()
	defer s.beacon.Watch(s.suffers)()
	timer := time.NewTimer(look)
	defer timer.Stop()
	for ctx.Err() == nil {
		s.report()
		wait := s.due(time.Now())
		if wait <= 0 {
			s.ask(ctx)
			continue
		}
		timer.Reset(wait)
		select {
		case <-ctx.Done():
		case <-s.changed:
		case <-timer.C:
		}
	}
	return nil
}

// suffers takes what keeps the beacon from working; nil: nothing does any more.
func (s *search) suffers(err error) {
	s.mu.Lock()
	s.ails = err
	s.mu.Unlock()
	s.change()
}

// report tells what keeps the room from working, and that nothing does any more. Where
// there is a path, it works.
func (s *search) report() {
	s.mu.Lock()
	was, now := s.told, s.ails
	if len(s.live) > 0 {
		now = nil
	}
	s.told = now
	s.mu.Unlock()
	switch {
	case s.meeting.Report == nil, was == now:
	case now == nil:
		s.meeting.Report(discovery.Report{Path: Room, State: discovery.Living})
	default:
		s.meeting.Report(discovery.Report{Path: Room, State: discovery.Failing, Err: fmt.Errorf("this device and those near by can't find each other: %w", now)})
	}
}

// due returns how long it is until it is time to ask, or to look whether it is; 0: now.
func (s *search) due(now time.Time) time.Duration {
	if s.needsPath() {
		s.mu.Lock()
		defer s.mu.Unlock()
		return s.next.Sub(now)
	}
	next := look
	if waits := s.waits(); waits > 0 {
		next = min(next, answerWithin-waits)
	}
	if since := s.askedInVain(now); since > 0 {
		next = min(next, comesWithin-since)
	}
	return max(next, time.Millisecond)
}

// question notes that somebody has asked for this side.
func (s *search) question(now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if now.Sub(s.came) < comesWithin {
		return // it was under way when the path came
	}
	if s.asked.IsZero() || now.Sub(s.heard) > asksWithin {
		s.asked = now
		s.change()
	}
	s.heard = now
}

// askedInVain returns for how long somebody has asked for this side, and not come; 0:
// nobody has.
func (s *search) askedInVain(now time.Time) time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.asked.IsZero() || now.Sub(s.heard) > asksWithin {
		return 0
	}
	return max(now.Sub(s.asked), 1)
}

// lacks reports whether the paths there are won't do: what this side waits for doesn't
// come by them, or the other side asks for it in vain.
func (s *search) lacks() bool {
	return s.waits() >= answerWithin || s.askedInVain(time.Now()) >= comesWithin
}

// needsPath reports whether to ask. A waiting sender has an offer and nothing else. One
// that has chosen a receiver may have nothing to say just now, as after a crash; but the
// receiver may yet take the path that has died for one that lives.
func (s *search) needsPath() bool {
	s.mu.Lock()
	live := len(s.live)
	s.mu.Unlock()
	switch m := s.meeting; {
	case s.lacks():
		return true
	case live > 0:
		return false
	case m.Role == discovery.Receiver, m.Chosen != nil && m.Chosen():
		return true
	}
	for _, f := range s.meeting.First() {
		if f.Kind() != frame.Offer {
			return true
		}
	}
	return false
}

// waits is for how long this side has waited for what the other alone can give.
func (s *search) waits() time.Duration {
	if s.meeting.Waits == nil {
		return 0
	}
	return s.meeting.Waits()
}

// A word is what was heard on an interface.
type word struct {
	text []byte
	ifi  net.Interface
	from netip.Addr
}

// ask asks for the other side until no path is needed, and dials what is answered.
func (s *search) ask(ctx context.Context) {
	ctx, cancel := context.WithCancel(ctx)
	var asking sync.WaitGroup
	defer asking.Wait()
	defer cancel()
	s.begin(time.Now())
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
	tick := time.NewTicker(look) // what is waited for may come by other ways than these
	defer tick.Stop()
	for s.needsPath() {
		s.report()
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		case <-s.changed: // it may be that the other side found us
		case w := <-heard:
			if all, ok := other.open(w.text); ok {
				asking.Go(func() { s.dial(ctx, w.from, w.near(all)) })
			}
		}
	}
}

// begin notes that asking begins.
func (s *search) begin(now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.pause = min(max(2*s.pause, firstPause), longestPause)
	s.next = now.Add(s.pause)
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

// may reports whether to dial an address that somebody's word named, and notes that it
// is dialled now. One that a path leads to isn't. Nobody's word has more than its share
// of dials, and together they are bounded.
func (s *search) may(a netip.AddrPort, by netip.Addr) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	maps.DeleteFunc(s.recent, func(_ netip.AddrPort, d dialled) bool { return now.After(d.rest) })
	if _, rests := s.recent[a]; rests || len(s.recent) >= maxRecent {
		return false
	}
	for g := range s.live {
		if g.Remote() == a {
			return false
		}
	}
	of := 0
	for _, d := range s.recent {
		if d.by == by {
			of++
		}
	}
	if of >= maxRecentOf {
		return false
	}
	s.recent[a] = dialled{by, now.Add(restTime)}
	return true
}

// rests has an address that was dialled rest for so long from now.
func (s *search) rests(a netip.AddrPort, d time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if of, ok := s.recent[a]; ok {
		of.rest = time.Now().Add(d)
		s.recent[a] = of
	}
}

// dial dials a device's addresses, one soon after the other, until one is the
// other side or ctx ends. Those that were begun are waited for all the same: whoever
// wrote the text may have put another device's address beside its own.
func (s *search) dial(ctx context.Context, by netip.Addr, all []netip.AddrPort) {
	var dials sync.WaitGroup
	defer dials.Wait()
	reached := make(chan struct{})
	there := sync.OnceFunc(func() { close(reached) })
	timer := time.NewTimer(stagger)
	defer timer.Stop()
	for _, a := range all {
		if !s.may(a, by) {
			continue
		}
		failed := make(chan struct{})
		dials.Go(func() {
			defer close(failed)
			if s.reach(ctx, a, all) {
				there()
			}
		})
		timer.Reset(stagger)
		select {
		case <-timer.C:
		case <-failed:
		case <-reached:
		case <-ctx.Done():
		}
		select {
		case <-reached: // the others lead to the same device
			return
		case <-ctx.Done():
			return
		default:
		}
	}
}

// reach dials an address, and reports whether whoever is there knows the share. The
// other addresses are of the same device, if who wrote them is honest.
func (s *search) reach(ctx context.Context, a netip.AddrPort, others []netip.AddrPort) bool {
	p, err := s.socket.Dial(ctx, a, s.share())
	switch {
	case err == nil:
		s.rests(a, shortRest)
		if !s.give(p, others) {
			p.Close()
		}
		return true
	case ctx.Err() != nil: // it was given up
		s.rests(a, 0)
	}
	return false
}

// come takes a path that the other side has made.
func (s *search) come(p discovery.Path) {
	s.mu.Lock()
	g := s.hold(p)
	s.mu.Unlock()
	s.tell(g)
}

// give hands a path that was made here, to one of these addresses, to the share, and
// reports whether it is of use. One path is enough, if it bears; and one to a device,
// until it has had time to.
func (s *search) give(p discovery.Path, addresses []netip.AddrPort) bool {
	enough := !s.lacks()
	s.mu.Lock()
	for g := range s.live {
		if enough || time.Since(g.since) < answerWithin && slices.Contains(addresses, g.Remote()) {
			s.mu.Unlock()
			return false
		}
	}
	g := s.hold(p)
	s.mu.Unlock()
	s.tell(g)
	return true
}

// hold counts a path. The caller holds s.mu, and tells of it then.
func (s *search) hold(p discovery.Path) *given {
	g := &given{p.(quicpath.Path), s, time.Now()}
	s.live[g] = true
	s.asked, s.came = time.Time{}, g.since
	return g
}

func (s *search) tell(g *given) {
	s.change()
	s.found(g)
}

func (s *search) change() {
	select {
	case s.changed <- struct{}{}:
	default:
	}
}

// A given path tells when it is closed, so that a new one is looked for, and when it
// bore something.
type given struct {
	quicpath.Path
	search *search
	since  time.Time
}

// Bore implements discovery.Weighed. Where the other device has been is where it is
// looked for at once.
func (g *given) Bore() {
	g.Path.Bore()
	s := g.search
	s.mu.Lock()
	s.pause, s.next = 0, time.Time{}
	delete(s.recent, g.Remote())
	s.mu.Unlock()
	s.change()
}

func (g *given) Close() error {
	defer g.gone()
	return g.Path.Close()
}

func (g *given) gone() {
	g.search.mu.Lock()
	delete(g.search.live, g)
	g.search.mu.Unlock()
	g.search.change()
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
