package relay

import (
	"container/list"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/time/rate"
)

// A limiter counts what address prefixes do. It knows them by an HMAC under a
// key that it replaces every hour, and with the key it forgets all it counted.
type limiter struct {
	creates, guesses, writes rule
	size                     int
	open                     int // negative: no bound

	mu     sync.Mutex
	key    [32]byte
	made   time.Time      // when the key was
	held   map[prefix]int // what is open, by the name of when it was opened
	known  map[prefix]*list.Element
	recent list.List // of *counter, the most recent first
}

// A prefix is an address prefix's name for the hour.
type prefix [16]byte

type rule struct {
	limit rate.Limit
	burst int
}

func perMinute(n, burst int) rule {
	if n < 0 || burst < 0 {
		return rule{rate.Inf, 0}
	}
	return rule{rate.Limit(n) / 60, burst}
}

func (r rule) fresh() *rate.Limiter { return rate.NewLimiter(r.limit, r.burst) }

type counter struct {
	name                     prefix
	creates, guesses, writes *rate.Limiter
}

// keyLife is how long a limiter knows anybody.
const keyLife = time.Hour

func newLimiter(q Quotas) *limiter {
	return &limiter{
		creates: perMinute(q.Creates, q.CreateBurst), guesses: perMinute(q.Guesses, q.GuessBurst), writes: perMinute(q.WriteBytes, q.WriteBurst),
		size: q.Prefixes, open: q.Open, held: map[prefix]int{},
	}
}

// create counts a create, guess a wrong capability. They return how long to
// wait before the next one; 0: this one is within the limit.
func (l *limiter) create(a netip.Addr, now time.Time) time.Duration {
	return l.take(a, now, 1, func(c *counter) *rate.Limiter { return c.creates })
}

func (l *limiter) guess(a netip.Addr, now time.Time) time.Duration {
	return l.take(a, now, 1, func(c *counter) *rate.Limiter { return c.guesses })
}

// write counts bytes to be written, as create does. More than may come at once
// waits for all of that. A small write finds room sooner than a large one, so
// that whoever floods a network's bound holds up an end of a share the least.
func (l *limiter) write(a netip.Addr, bytes int, now time.Time) time.Duration {
	if l.writes.limit == rate.Inf || anyone(a) {
		return 0
	}
	return l.take(a, now, min(bytes, l.writes.burst), func(c *counter) *rate.Limiter { return c.writes })
}

// anyone reports whether an address may stand for everybody: loopback, where a
// proxy may be, and none.
func anyone(a netip.Addr) bool { return !a.IsValid() || a.Unmap().IsLoopback() }

func (l *limiter) take(a netip.Addr, now time.Time, n int, which func(*counter) *rate.Limiter) time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	r := which(l.counter(a, now)).ReserveN(now, n)
	wait := r.DelayFrom(now)
	if wait > 0 {
		r.CancelAt(now)
	}
	return wait
}

// hold counts what one address prefix has open at once: streams and held views.
// It returns what ends that; nil: the prefix has enough open. Loopback has no bound.
func (l *limiter) hold(a netip.Addr, now time.Time) (end func()) {
	if l.open < 0 || anyone(a) {
		return func() {}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.renew(now)
	name := l.name(a)
	if l.held[name] >= l.open {
		return nil
	}
	l.held[name]++
	return func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		if l.held[name]--; l.held[name] == 0 {
			delete(l.held, name)
		}
	}
}

// renew forgets everybody once the key is old.
func (l *limiter) renew(now time.Time) {
	if l.known == nil || now.Sub(l.made) >= keyLife {
		rand.Read(l.key[:])
		l.made, l.known = now, map[prefix]*list.Element{}
		l.recent.Init()
	}
}

func (l *limiter) counter(a netip.Addr, now time.Time) *counter {
	l.renew(now)
	name := l.name(a)
	if e := l.known[name]; e != nil {
		l.recent.MoveToFront(e)
		return e.Value.(*counter)
	}
	if l.recent.Len() >= l.size {
		oldest := l.recent.Remove(l.recent.Back()).(*counter)
		delete(l.known, oldest.name)
	}
	c := &counter{name, l.creates.fresh(), l.guesses.fresh(), l.writes.fresh()}
	l.known[name] = l.recent.PushFront(c)
	return c
}

// name is the HMAC of an address's prefix: /24 of IPv4, /48 of IPv6, which is
// what one customer is commonly given.
func (l *limiter) name(a netip.Addr) prefix {
	a = a.Unmap().WithZone("")
	bits := 48
	if a.Is4() {
		bits = 24
	}
	p, _ := a.Prefix(bits) // the zero Prefix for no address
	b, _ := p.Addr().MarshalBinary()
	m := hmac.New(sha256.New, l.key[:])
	m.Write(b)
	return prefix(m.Sum(nil))
}

// slots counts what may be at once; a negative size is no bound.
type slots struct {
	size int64
	used atomic.Int64
}

// enter takes n of them, or none.
func (s *slots) enter(n int64) bool {
	if s.used.Add(n) > s.size && s.size >= 0 {
		s.used.Add(-n)
		return false
	}
	return true
}

func (s *slots) leave(n int64) { s.used.Add(-n) }

// occupy takes one of the slots for as long as a request goes on.
func (h *Handler) occupy(x *exchange, s *slots, full string) (leave func(), err error) {
	if !s.enter(1) {
		return nil, h.unavailable(x, full)
	}
	end := h.limiter.hold(h.cfg.ClientAddr(x.r), h.cfg.Now())
	if end == nil {
		s.leave(1)
		return nil, x.limited(openRetry)
	}
	return func() { end(); s.leave(1) }, nil
}

// writeCost is what a write costs beyond its body: a mailbox's record is written
// anew with each.
const writeCost = 4 << 10

// spend counts a request that is to be written against its network's bound.
func (h *Handler) spend(x *exchange, body int64) error {
	if wait := h.limiter.write(h.cfg.ClientAddr(x.r), int(body)+writeCost, h.cfg.Now()); wait > 0 {
		return x.limited(wait)
	}
	return nil
}

// openRetry is when to try again after a network has had enough open.
const openRetry = 10 * time.Second
