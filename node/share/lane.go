package share

import (
	"slices"
	"time"

	"github.com/sparekey/sparekey/noise/frame"
)

// claimTime is how long a handshake is given for its claim. A receiver sends both
// in one request; a lane at a mailbox that holds a handshake alone is in the way
// of the others. It is long enough for a path that brings frames one by one.
const claimTime = 10 * time.Second

// giveUp frees the lanes of candidates that haven't claimed in time. They are not
// refused: who was slow opens its lane again with the same bytes and is judged anew,
// and a claim that comes by another way is still taken.
func (s *Sender) giveUp(now Time) {
	for _, l := range s.open {
		if !l.freed && now.since(l.since) >= claimTime {
			l.freed = true
			s.shut(frame.Shut(l.Session.Candidate))
		}
	}
}

// again notes that the handshake of a candidate has come once more: if its lane was
// freed, it is open again, and has its time again.
func (s *Sender) again(now Time, l *log) {
	if l.freed {
		l.freed, l.since = false, now
		s.spare(l.Session.Candidate)
	}
}

// claimDue returns how long the next candidate still has to claim.
func (s *Sender) claimDue(now Time) (due time.Duration, waits bool) {
	for _, l := range s.open {
		if left := claimTime - now.since(l.since); !l.freed && (!waits || left < due) {
			due, waits = left, true
		}
	}
	return due, waits
}

// shut has a lane closed at the mailboxes. A closing that says something to the
// receiver stands in the place of one that doesn't.
func (s *Sender) shut(closing frame.Frame) {
	same := func(f frame.Frame) bool { return f.Candidate() == closing.Candidate() }
	if i := slices.IndexFunc(s.closed, same); i >= 0 {
		if len(s.closed[i].Sealed()) == 0 {
			s.closed[i] = closing
		}
		return
	}
	if len(s.closed) == maxClosed {
		s.closed = slices.Delete(s.closed, 0, 1)
	}
	s.closed = append(s.closed, closing)
}

// spare takes back that a lane is to be shut.
func (s *Sender) spare(id frame.Candidate) {
	s.closed = slices.DeleteFunc(s.closed, func(f frame.Frame) bool { return f.Candidate() == id })
}
