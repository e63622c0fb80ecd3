package beacon

import (
	"sync"

	"golang.org/x/time/rate"
)

// A budget is how often something may happen for each of many causes. It holds
// few of them: past that all start anew, which lets a crowd do a little more
// and costs no memory.
type budget[Cause comparable] struct {
	perSecond rate.Limit
	atOnce    int
	causes    int // how many are held at the most

	mu     sync.Mutex
	limits map[Cause]*rate.Limiter
}

// allow reports whether it may happen once more, and counts it.
func (b *budget[Cause]) allow(c Cause) bool {
	b.mu.Lock()
	l := b.limits[c]
	if l == nil {
		if b.limits == nil || len(b.limits) >= b.causes {
			b.limits = make(map[Cause]*rate.Limiter)
		}
		l = rate.NewLimiter(b.perSecond, b.atOnce)
		b.limits[c] = l
	}
	b.mu.Unlock()
	return l.Allow()
}
