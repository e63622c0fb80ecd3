package fallback

import (
	"context"
	"time"
)

// A pace lets so many things a second through, with as many at once.
type pace struct {
	per  time.Duration
	full time.Duration
	next time.Time // when the bucket would be full
}

func newPace(perSecond int) *pace {
	return &pace{per: time.Second / time.Duration(perSecond), full: time.Second}
}

// wait waits for the next one's turn; false: ctx has ended.
func (p *pace) wait(ctx context.Context) bool {
	now := time.Now()
	if p.next.Before(now) {
		p.next = now
	}
	p.next = p.next.Add(p.per)
	delay := p.next.Sub(now) - p.full
	if delay <= 0 {
		return true
	}
	t := time.NewTimer(delay)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}
