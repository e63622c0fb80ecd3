package quicpath

import (
	"context"
	"net/netip"
	"sync"
)

// maxDials is how many connections to one address may be on their way: fewer than
// its door has room for, so that two devices with many shares don't show each
// other's connections out.
const maxDials = maxGuestsHost / 2

// A queue has dials to one address take turns.
type queue struct {
	mu    sync.Mutex
	lines map[netip.Addr]*line
}

type line struct {
	places chan struct{}
	users  int
}

func newQueue() *queue { return &queue{lines: map[netip.Addr]*line{}} }

// turn waits for a place, which leave gives to the next.
func (q *queue) turn(ctx context.Context, to netip.Addr) (leave func(), err error) {
	q.mu.Lock()
	l := q.lines[to]
	if l == nil {
		l = &line{places: make(chan struct{}, maxDials)}
		q.lines[to] = l
	}
	l.users++
	q.mu.Unlock()
	select {
	case l.places <- struct{}{}:
		return func() { <-l.places; q.done(to, l) }, nil
	case <-ctx.Done():
		q.done(to, l)
		return nil, context.Cause(ctx)
	}
}

func (q *queue) done(to netip.Addr, l *line) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if l.users--; l.users == 0 {
		delete(q.lines, to)
	}
}
