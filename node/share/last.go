package share

import (
	"crypto/sha256"
	"slices"

	"github.com/sparekey/sparekey/noise"
	"github.com/sparekey/sparekey/noise/frame"
)

// A share that has ended has no keys, and may yet have a word to say, or be told one
// again. So that its side can answer, and see that it was answered, it keeps what the
// session has ready for that: its own last ack, sealed, and hashes of what the other side
// can say in its place. Nobody but the other side of the session can make that; what a
// path says of itself settles nothing.

// end erases a log's keys. refusal is a frame by which the other side may say, instead
// of its last ack, that it needs no more.
func (l *log) end(refusal frame.Frame) {
	if last := l.Session.LastAck(); last != nil {
		l.Last, l.Awaited = last, [][32]byte{sha256.Sum256(l.Session.AwaitedAck())}
		if refusal != nil {
			l.Awaited = append(l.Awaited, sha256.Sum256(refusal))
		}
	}
	l.Session, l.early = noise.Session{Candidate: l.Session.Candidate}, nil
}

// late takes a frame that comes after the end. It reports whether the other side has
// said by it, for the first time, that it needs no more.
func (l *log) late(c *cause, f frame.Frame) (told bool) {
	switch f.Kind() {
	case frame.Handshake, frame.Data:
		c.reply(l.Last)
	case frame.Ack, frame.Taken:
		if !l.Told && slices.Contains(l.Awaited, sha256.Sum256(f)) {
			l.Told, c.eff.Save = true, true
			return true
		}
	}
	return false
}

// reply answers with a frame, once.
func (c *cause) reply(f frame.Frame) {
	same := func(o frame.Frame) bool { return slices.Equal(o, f) }
	if f != nil && !slices.ContainsFunc(c.eff.Reply, same) {
		c.eff.Reply = append(c.eff.Reply, f)
	}
}

// late takes what comes after the end. To one that says provisioned again done is the
// answer, which is on its way.
func (s *Sender) late(c *cause, frames []frame.Frame) {
	if !s.owes() {
		return
	}
	for _, f := range frames {
		switch {
		case s.Pin == nil || f.Candidate() != s.Candidate():
			s.parted(c, f.Candidate())
		case s.State == Done && f.Kind() != frame.Ack:
		case s.Pin.Log.late(c, f):
			s.Pin.Log.Out = nil
		}
	}
}

// part remembers how to answer a candidate that has handed its claim back: its keys go
// with the pin, and its relinquish comes again if the answer is lost.
func (s *Sender) part(c *cause) {
	last := s.Pin.Log.Session.LastAck()
	s.Parted = append(s.Parted, last)
	c.reply(last)
}

// parted answers a candidate that has handed its claim back.
func (s *Sender) parted(c *cause, id frame.Candidate) {
	for _, last := range s.Parted {
		if last.Candidate() == id {
			c.reply(last)
		}
	}
}

// Told reports whether the pinned receiver has shown, after the share's end, that it
// needs nothing more of it.
func (s Sender) Told() bool { return s.State.Ended() && s.Pin != nil && s.Pin.Log.Told }

// late takes what comes after the end. A sender needs no more of one candidate if it has
// refused it. If it has answered one that it had pinned, it needs none: those of other
// offers are void by then.
func (r *Receiver) late(c *cause, frames []frame.Frame) {
	if !r.owes() {
		return
	}
	for _, f := range frames {
		k := r.find(f.Candidate())
		if k == nil || k.Taken || !k.Log.late(c, f) {
			continue
		}
		k.Log.Out = nil
		for i := range r.Candidates {
			if f.Kind() == frame.Ack {
				r.Candidates[i].Log.Told, r.Candidates[i].Log.Out = true, nil
			}
		}
	}
}

// Told reports whether the sender has shown, after this side's end, that it needs nothing
// more of the share.
func (r Receiver) Told() bool {
	pending := func(k candidate) bool { return !k.Taken && !k.Log.Told }
	return r.State.Ended() && !slices.ContainsFunc(r.Candidates, pending)
}

// Answers reports whether the sender may wait to hear that this side needs no more.
func (r Receiver) Answers() bool {
	can := func(k candidate) bool { return !k.Taken && k.Log.Last != nil }
	return r.State.Ended() && r.owes() && slices.ContainsFunc(r.Candidates, can)
}
