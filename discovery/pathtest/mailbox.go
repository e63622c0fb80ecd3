package pathtest

import (
	"context"
	"crypto/sha256"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sparekey/sparekey/discovery"
	"github.com/sparekey/sparekey/noise/frame"
)

// A Mailbox is one that both sides of a share reach, a delay away.
type Mailbox struct {
	delay time.Duration

	mu   sync.Mutex
	down bool
	logs map[discovery.Role][]frame.Frame // what each side has put in, each frame once
	has  map[[32]byte]bool
	over *frame.Proof
	news chan struct{} // closed when something changes

	Sent atomic.Int64 // frames that were sent, from both sides
}

// NewMailbox returns an empty mailbox.
func NewMailbox(delay time.Duration) *Mailbox {
	return &Mailbox{delay: delay, logs: map[discovery.Role][]frame.Frame{}, has: map[[32]byte]bool{}, news: make(chan struct{})}
}

// ErrDown is why nothing can be done at a mailbox that is down.
var ErrDown = errors.New("the mailbox can't be reached")

// Down has the mailbox answer every call with ErrDown, and give nothing, or work again.
func (m *Mailbox) Down(down bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.down = down
	m.changed()
}

// Frames returns what a side has put in.
func (m *Mailbox) Frames(side discovery.Role) []frame.Frame {
	m.mu.Lock()
	defer m.mu.Unlock()
	return append([]frame.Frame{}, m.logs[side]...)
}

func (m *Mailbox) changed() {
	close(m.news)
	m.news = make(chan struct{})
}

// Find implements discovery.Finder: one path a share, for good.
func (m *Mailbox) Find(ctx context.Context, meeting discovery.Meeting, found func(discovery.Path)) error {
	found(m.Path(meeting.Role, meeting.Report))
	<-ctx.Done()
	return nil
}

// Path returns a path to the mailbox for a side. report may be nil.
func (m *Mailbox) Path(side discovery.Role, report func(discovery.Report)) discovery.Mailbox {
	return &slot{m: m, side: side, report: report, closed: make(chan struct{})}
}

// A slot is a side's path to a mailbox.
type slot struct {
	m      *Mailbox
	side   discovery.Role
	report func(discovery.Report)
	read   int // of the other side's log; of Receive's goroutine
	told   bool
	once   sync.Once
	closed chan struct{}
}

// reach is the way to the mailbox, or back.
func (s *slot) reach(ctx context.Context) error {
	select {
	case <-time.After(s.m.delay):
	case <-s.closed:
		return ErrDown
	case <-ctx.Done():
		return ctx.Err()
	}
	s.m.mu.Lock()
	defer s.m.mu.Unlock()
	if s.m.down || s.m.over != nil {
		return ErrDown
	}
	return nil
}

func (s *slot) Send(ctx context.Context, frames ...frame.Frame) error {
	s.m.Sent.Add(int64(len(frames)))
	if err := s.reach(ctx); err != nil {
		return err
	}
	s.m.mu.Lock()
	for _, f := range frames {
		if sum := sha256.Sum256(f); !s.m.has[sum] {
			s.m.has[sum] = true
			s.m.logs[s.side] = append(s.m.logs[s.side], f)
		}
	}
	s.m.changed()
	s.m.mu.Unlock()
	return s.reach(ctx)
}

func (s *slot) Settle(ctx context.Context, d discovery.Decision) error {
	if err := s.reach(ctx); err != nil {
		if s.m.Over() && d.Over != nil {
			return nil
		}
		return err
	}
	s.m.mu.Lock()
	defer s.m.mu.Unlock()
	if d.Over != nil {
		s.m.over = d.Over
		s.m.changed()
	}
	return nil
}

// Over reports whether a side has deleted the mailbox.
func (m *Mailbox) Over() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.over != nil
}

// Receive gives what the other side has put in that this path hasn't given yet.
func (s *slot) Receive(ctx context.Context) ([]frame.Frame, error) {
	for {
		s.m.mu.Lock()
		log, news, over := s.m.logs[3-s.side], s.m.news, s.m.over
		ready := !s.m.down && over == nil && len(log) > s.read
		s.m.mu.Unlock()
		if over != nil && !s.told && s.report != nil {
			s.told = true
			s.report(discovery.Report{Path: s.String(), State: discovery.Ended, Over: over})
		}
		if ready {
			frames := append([]frame.Frame{}, log[s.read:]...)
			s.read = len(log)
			select {
			case <-time.After(s.m.delay):
			case <-s.closed:
				return nil, ErrDown
			case <-ctx.Done():
				return nil, ctx.Err()
			}
			return frames, nil
		}
		select {
		case <-news:
		case <-s.closed:
			return nil, ErrDown
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

func (s *slot) Again() {}

func (s *slot) Close() error {
	s.once.Do(func() { close(s.closed) })
	return nil
}

func (*slot) String() string { return "mailbox" }
