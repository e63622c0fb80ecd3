package beacon

import (
	"context"
	"math/rand/v2"
	"net"
	"net/netip"
	"sync"
	"time"

	"golang.org/x/net/dns/dnsmessage"
)

// Asking doesn't use the library's Query, for five reasons, each seen:
//
//   - It answers every answer that lacks a record with another question, at
//     once: one such answerer in the room made 46,000 questions a second.
//   - It joins the group on the default route's interface: IPv4 can't be asked
//     where there is no default route, whatever interface it is given.
//   - It goes on writing to an entry that it has handed over, so that reading
//     entries as they come is a data race that a neighbour can win.
//   - It ends at its timeout, not with its context.
//   - It opens two sockets a share and IP version, one of which hears all the
//     mDNS there is.

// An answer is one text that was heard.
type answer struct {
	text []byte
	ifi  net.Interface
	from netip.Addr
}

// Ask asks for a tag until ctx ends, and returns nil then, and ErrClosed if the
// Beacon is closed before. Each text that is heard is given to heard, with the
// interface it came by and the address it came from (with a zone, if it is
// link-local), one after the other; the same again only in answer to another
// question. Anybody can have sent it.
//
// It asks at once, and then after about 1 s, 2 s, 4 s, 8 s and every 15 s. The first
// question wants an answer to this device alone; those after it are asked in both ways
// that RFC 6762 knows, for a firewall may let in only what is sent to the group, and
// only from its port.
func (b *Beacon) Ask(ctx context.Context, tag string, heard func(text []byte, ifi net.Interface, from netip.Addr)) error {
	name, err := nameOf(tag)
	if err != nil {
		return err
	}
	alone, err := packQuestion(name, dnsmessage.ClassINET|unicast)
	if err != nil {
		return err
	}
	all, err := packQuestion(name, dnsmessage.ClassINET)
	if err != nil {
		return err
	}
	a := newAsker()
	defer b.asked.add(name, a)()
	if !b.need(0, 1) {
		return ErrClosed
	}
	defer b.need(0, -1)
	return a.run(ctx, b.gone, func(again bool) {
		b.put(alone, false)
		if again {
			b.put(all, true)
		}
	}, heard)
}

// run asks and hands over what is heard, until ctx ends or the Beacon is gone. Ask is told
// whether it asks again what it has asked before, and nothing has changed since.
func (a *asker) run(ctx context.Context, gone <-chan struct{}, ask func(again bool), heard func([]byte, net.Interface, netip.Addr)) error {
	for wait := firstWait; ; wait = min(2*wait, longestWait) {
		a.renew()
		ask(wait > firstWait)
		again, err := a.listen(ctx, gone, jitter(wait), heard)
		if err != nil || ctx.Err() != nil {
			return err
		}
		if again { // as if for the first time, but not all of a room at the same moment
			wait = firstWait / 2
			if _, err := a.listen(ctx, gone, rand.N(together), heard); err != nil || ctx.Err() != nil {
				return err
			}
		}
	}
}

// The time between questions. Twice as long each time (RFC 6762, section 5.2),
// but never so long that a person in the room would start to wonder.
const (
	firstWait   = time.Second
	longestWait = 15 * time.Second
	together    = 100 * time.Millisecond // what made one device ask again made others
)

// jitter draws a time near d, never shorter.
func jitter(d time.Duration) time.Duration { return d + rand.N(d/8) }

// put sends a question everywhere: from the group's port, or from one of our own.
func (b *Beacon) put(question []byte, fromGroup bool) {
	b.mu.Lock()
	var ears []*ear
	for _, s := range b.stations {
		ears = append(ears, s.ears...)
	}
	b.mu.Unlock()
	for _, e := range ears {
		if e.ofGroup != fromGroup {
			continue
		}
		if err := e.ask(question); err != nil {
			b.log.Debug("mDNS: a question can't be sent", "interface", e.ifi.Name, "err", err)
		}
	}
}

// An asker is one who waits for answers.
type asker struct {
	mu      sync.Mutex
	sieve   sieve
	waiting []answer // what the sieve let through

	news  chan struct{} // something waits
	again chan struct{} // something changed: ask again
}

func newAsker() *asker {
	return &asker{news: make(chan struct{}, 1), again: make(chan struct{}, 1)}
}

// renew begins a round: what was heard before may be heard again.
func (a *asker) renew() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.sieve = sieve{}
}

// hear takes an answer, if it is worth it.
func (a *asker) hear(x answer) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.sieve.fresh(x) && len(a.waiting) < maxHeard {
		a.waiting = append(a.waiting, x)
		signal(a.news)
	}
}

func (a *asker) take() (waiting []answer) {
	a.mu.Lock()
	defer a.mu.Unlock()
	waiting, a.waiting = a.waiting, nil
	return waiting
}

// signal leaves word in a channel that has room for one.
func signal(c chan<- struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// listen hands over what is heard for some time. It returns early with again
// when it is time to ask again.
func (a *asker) listen(ctx context.Context, gone <-chan struct{}, d time.Duration, heard func([]byte, net.Interface, netip.Addr)) (again bool, err error) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return false, nil
		case <-gone:
			return false, ErrClosed
		case <-timer.C:
			return false, nil
		case <-a.again:
			return true, nil
		case <-a.news:
			for _, x := range a.take() {
				heard(x.text, x.ifi, x.from)
			}
		}
	}
}

// asked is everybody who asks, by the name asked for.
type asked struct {
	mu    sync.Mutex
	names map[string]map[*asker]bool
}

func (s *asked) add(name string, a *asker) (remove func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.names == nil {
		s.names = make(map[string]map[*asker]bool)
	}
	if s.names[name] == nil {
		s.names[name] = make(map[*asker]bool)
	}
	s.names[name][a] = true
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		delete(s.names[name], a)
		if len(s.names[name]) == 0 {
			delete(s.names, name)
		}
	}
}

// tell passes an answer to those who asked.
func (s *asked) tell(name string, x answer) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for a := range s.names[name] {
		a.hear(x)
	}
}

// again has everybody ask again.
func (s *asked) again() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, askers := range s.names {
		for a := range askers {
			signal(a.again)
		}
	}
}
