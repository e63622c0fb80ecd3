package pathtest

import (
	"context"
	"sync"
	"time"

	"github.com/sparekey/sparekey/discovery"
)

// A Room is where the two devices of a share find each other: a Finder for both, which
// lays a cable between them while both are there, and a new one when that has ended.
// They know each other by topic and key alone, as in a real one.
type Room struct {
	delay time.Duration // one way, of each cable

	mu      sync.Mutex
	waiting map[place]chan *end
	shut    chan struct{} // nil: the room is open
	cables  []*Cable
	laid    chan *Cable
}

// A place is where one side of a share is found.
type place struct {
	side       discovery.Role
	topic, key [32]byte
}

// NewRoom returns an empty room.
func NewRoom(delay time.Duration) *Room {
	return &Room{delay: delay, waiting: map[place]chan *end{}, laid: make(chan *Cable, 1000)}
}

// Shut has nobody found any more, or again. What was found stays.
func (r *Room) Shut(shut bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case shut && r.shut == nil:
		r.shut = make(chan struct{})
	case !shut && r.shut != nil:
		close(r.shut)
		r.shut = nil
	}
}

// Laid gives each cable when it is laid, as long as somebody takes them or a thousand
// wait.
func (r *Room) Laid() <-chan *Cable { return r.laid }

// Cables returns all that have been laid.
func (r *Room) Cables() []*Cable {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]*Cable{}, r.cables...)
}

// lookAgain is how long after a cable's end a new one is looked for.
const lookAgain = 100 * time.Millisecond

// Find implements discovery.Finder.
func (r *Room) Find(ctx context.Context, m discovery.Meeting, found func(discovery.Path)) error {
	for {
		e := r.meet(ctx, place{m.Role, m.Topic, m.Key})
		if e == nil {
			return nil
		}
		found(e)
		select {
		case <-e.closed:
		case <-e.gone:
		case <-ctx.Done():
			return nil
		}
		select {
		case <-time.After(lookAgain):
		case <-ctx.Done():
			return nil
		}
	}
}

// meet waits for the other side and returns this side's end of a new cable; nil: ctx
// has ended.
func (r *Room) meet(ctx context.Context, at place) *end {
	for {
		r.mu.Lock()
		shut := r.shut
		if shut == nil {
			break
		}
		r.mu.Unlock()
		select {
		case <-shut:
		case <-ctx.Done():
			return nil
		}
	}
	across := place{3 - at.side, at.topic, at.key}
	if other, there := r.waiting[across]; there {
		c := NewCable("in the room", r.delay)
		r.cables = append(r.cables, c)
		select {
		case r.laid <- c:
		default:
		}
		delete(r.waiting, across)
		r.mu.Unlock()
		other <- c.ends[0]
		return c.ends[1]
	}
	mine := make(chan *end, 1)
	r.waiting[at] = mine
	r.mu.Unlock()
	select {
	case e := <-mine:
		return e
	case <-ctx.Done():
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.waiting[at] == mine {
		delete(r.waiting, at)
	}
	select {
	case e := <-mine: // nobody will use it
		e.Close()
	default:
	}
	return nil
}
