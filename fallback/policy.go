package fallback

import (
	"context"
	"time"
)

// The policy, in one place, each number with its reason.
const (
	// A path that fails is tried again soon, for most failures are short, and
	// ever later, so that a dead one costs nothing to speak of.
	firstRetry = 100 * time.Millisecond
	lastRetry  = 5 * time.Second

	// A handshake costs a key agreement and a decapsulation: an honest path
	// brings a handful a share, a stranger could bring thousands. Those beyond
	// wait; nothing is dropped, for a mailbox gives each frame once.
	handshakesPerSecond = 10

	// After so many pieces in a row that did not authenticate, a direct path is
	// given up: it isn't the other device.
	maxBlame = 16

	// Replies are acks and refusals: what doesn't fit is asked for again.
	maxReplies = 16
)

// A backoff is how long to leave alone what has failed. The zero backoff is for
// what hasn't.
type backoff struct {
	delay time.Duration
	until time.Time
}

// again returns the backoff after one more failure; jitter is in [0,1).
func (b backoff) again(now time.Time, jitter float64) backoff {
	b.delay = min(max(2*b.delay, firstRetry), lastRetry)
	b.until = now.Add(b.delay/2 + time.Duration(jitter*float64(b.delay/2)))
	return b
}

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
