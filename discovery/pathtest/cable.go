// Package pathtest has paths within a process, for tests: a cable, which is a direct
// path, and a mailbox. They work in a synctest bubble, can be pulled, broken and
// brought down, and count what they are asked to send.
package pathtest

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sparekey/sparekey/discovery"
	"github.com/sparekey/sparekey/noise/frame"
)

// A Cable is a direct path between two devices.
type Cable struct {
	name  string
	delay time.Duration // one way

	mu     sync.Mutex
	pulled bool
	ends   [2]*end

	Sent atomic.Int64 // frames that were sent, from both ends

	// Fate says what becomes of a piece; nil: it comes. It may be called at once from
	// both ends, and is set before the cable is used.
	Fate func() Fate
}

// A Fate is what becomes of a piece.
type Fate byte

// The fates.
const (
	Comes Fate = iota
	Twice
	Lost // whoever sent it is told that it failed
)

// NewCable returns a cable that brings pieces to its other end after a delay.
func NewCable(name string, delay time.Duration) *Cable {
	c := &Cable{name: name, delay: delay}
	for i := range c.ends {
		c.ends[i] = &end{cable: c, in: make(chan *piece, 10000), gone: make(chan struct{}), closed: make(chan struct{})}
	}
	c.ends[0].other, c.ends[1].other = c.ends[1], c.ends[0]
	return c
}

// Ends returns both ends of the cable.
func (c *Cable) Ends() (a, b discovery.Direct) { return c.ends[0], c.ends[1] }

// Pull pulls the cable: nothing comes any more, answers and the end of it least of
// all, and nobody is told.
func (c *Cable) Pull() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.pulled = true
}

// Break ends the cable so that both ends see it.
func (c *Cable) Break() {
	for _, e := range c.ends {
		e.Close()
	}
}

// whole reports whether what was under way comes.
func (c *Cable) whole() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return !c.pulled
}

type piece struct {
	frames []frame.Frame
	taken  chan bool
}

type end struct {
	cable *Cable
	other *end
	in    chan *piece

	mu        sync.Mutex
	waiting   []*piece // given by Receive, and not answered
	goneOnce  sync.Once
	closeOnce sync.Once
	gone      chan struct{} // the other end was closed
	closed    chan struct{}
}

// Errors of a cable.
var (
	ErrCable   = errors.New("the cable is broken")
	ErrLost    = errors.New("lost on the way")
	ErrRefused = errors.New("the other device has refused it")
)

func (e *end) Send(ctx context.Context, frames ...frame.Frame) error {
	e.cable.Sent.Add(int64(len(frames)))
	p := &piece{frames, make(chan bool, 2)}
	if err := e.travel(ctx); err != nil {
		return err
	}
	fate := Comes
	if e.cable.Fate != nil {
		fate = e.cable.Fate()
	}
	switch fate {
	case Lost:
		return ErrLost
	case Twice:
		e.other.in <- p
	}
	e.other.in <- p
	ok := false
	select {
	case ok = <-p.taken:
	case <-e.closed:
		return ErrCable
	case <-e.gone:
		return ErrCable
	case <-ctx.Done():
		return ctx.Err()
	}
	if err := e.travel(ctx); err != nil {
		return err
	}
	if !ok {
		return ErrRefused
	}
	return nil
}

// travel is the way to the other end, or back.
func (e *end) travel(ctx context.Context) error {
	t := time.NewTimer(e.cable.delay)
	defer t.Stop()
	arrived := t.C
	for {
		select {
		case <-arrived:
			if e.cable.whole() {
				return nil
			}
			arrived = nil // it never does
		case <-e.closed:
			return ErrCable
		case <-e.gone:
			return ErrCable
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func (e *end) Receive(ctx context.Context) ([]frame.Frame, error) {
	select {
	case p := <-e.in:
		e.mu.Lock()
		e.waiting = append(e.waiting, p)
		e.mu.Unlock()
		return p.frames, nil
	case <-e.closed:
		return nil, ErrCable
	case <-e.gone:
		return nil, ErrCable
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (e *end) Taken(ok bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if len(e.waiting) == 0 {
		panic("pathtest: more answers than pieces")
	}
	e.waiting[0].taken <- ok
	e.waiting = e.waiting[1:]
}

// Unanswered returns how many pieces an end of a cable gave that nobody has answered.
func Unanswered(d discovery.Direct) int {
	e := d.(*end)
	e.mu.Lock()
	defer e.mu.Unlock()
	return len(e.waiting)
}

// Close tells the other end, behind what was said before.
func (e *end) Close() error {
	e.closeOnce.Do(func() {
		close(e.closed)
		time.AfterFunc(e.cable.delay+time.Nanosecond, func() {
			if e.cable.whole() {
				e.other.goneOnce.Do(func() { close(e.other.gone) })
			}
		})
	})
	return nil
}

func (e *end) String() string { return "cable " + e.cable.name }
