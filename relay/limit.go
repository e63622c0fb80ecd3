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
	creates, guesses rule
	size             int

	mu     sync.Mutex
	key    [32]byte
	made   time.Time // when the key was
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

type counter struct {
	name             prefix
	creates, guesses *rate.Limiter
}

// keyLife is how long a limiter knows anybody.
const keyLife = time.Hour

func newLimiter(q Quotas) *limiter {
	return &limiter{
		creates: perMinute(q.Creates, q.CreateBurst), guesses: perMinute(q.Guesses, q.GuessBurst), size: q.Prefixes,
	}
}

// create counts a create, guess a wrong capability. They return how long to
// wait before the next one; 0: this one is within the limit.
func (l *limiter) create(a netip.Addr, now time.Time) time.Duration {
	return l.take(a, now, func(c *counter) *rate.Limiter { return c.creates })
}

func (l *limiter) guess(a netip.Addr, now time.Time) time.Duration {
	return l.take(a, now, func(c *counter) *rate.Limiter { return c.guesses })
}

func (l *limiter) take(a netip.Addr, now time.Time, which func(*counter) *rate.Limiter) time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	r := which(l.counter(a, now)).ReserveN(now, 1)
	wait := r.DelayFrom(now)
	if wait > 0 {
		r.CancelAt(now)
	}
	return wait
}

func (l *limiter) counter(a netip.Addr, now time.Time) *counter {
	if l.known == nil || now.Sub(l.made) >= keyLife {
		rand.Read(l.key[:])
		l.made, l.known = now, map[prefix]*list.Element{}
		l.recent.Init()
	}
	name := l.name(a)
	if e := l.known[name]; e != nil {
		l.recent.MoveToFront(e)
		return e.Value.(*counter)
	}
	if l.recent.Len() >= l.size {
		oldest := l.recent.Remove(l.recent.Back()).(*counter)
		delete(l.known, oldest.name)
	}
	c := &counter{name, rate.NewLimiter(l.creates.limit, l.creates.burst), rate.NewLimiter(l.guesses.limit, l.guesses.burst)}
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
