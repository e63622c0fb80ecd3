package storetest

import (
	"errors"

	"github.com/sparekey/sparekey/noise/frame"
	"github.com/sparekey/sparekey/relay"
)

// late is about requests that were made before the next offer and come behind it:
// their connection broke, or something between device and relay held them. Two
// offers later someone has claimed; whatever comes late, that claim and the next
// one are served.
func (s *suite) late() {
	for i, row := range []struct {
		what    string
		request func(*lateShare) error
		want    error
	}{
		{"the create", (*lateShare).create, nil}, // the same again
		{"the offer before", (*lateShare).offerBefore, relay.ErrConflict},
		{"the offer that stands", (*lateShare).offerAgain, nil}, // the same again
		{"the confirm of the claim that was handed back", (*lateShare).confirm, relay.ErrConflict},
		{"the confirm of one under the offer before", (*lateShare).confirmBefore, relay.ErrConflict},
		{"the sender's append", (*lateShare).appendOfSender, errClosedAnyhow},
		{"the receiver's append", (*lateShare).appendOfReceiver, errClosedAnyhow},
		{"the claim", (*lateShare).claim, nil}, // as of whoever has the link: until the sender shuts it
		{"the sealed taken", (*lateShare).taken, nil},
		{"the shut", (*lateShare).shut, nil},
	} {
		l := s.lateShare(uint64(10 + i))
		err := row.request(l)
		if closed := (*relay.ClosedError)(nil); errors.As(err, &closed) {
			err = errClosedAnyhow
		}
		s.is(row.what+" comes late", err, row.want)
		l.servesTheNewcomers(row.what)
	}
}

// errClosedAnyhow stands for any relay.ClosedError.
var errClosedAnyhow = errors.New("the lane isn't open")

// A lateShare is one whose first claim, a, was confirmed and handed back, and
// whose third offer has been claimed by b.
type lateShare struct {
	*suite
	sh               *Share
	one, two         frame.Frame
	a, b             frame.Candidate
	claimA, claimB   [32]byte
	helloA, helloB   []frame.Frame
	senders, another frame.Frame // a's
}

func (s *suite) lateShare(seed uint64) *lateShare {
	s.Helper()
	sh := NewShare(s.clock, seed, nil)
	l := &lateShare{suite: s, sh: sh}
	l.one, l.two = sh.Frame(frame.Offer, frame.Candidate{}, 1, nil), sh.Frame(frame.Offer, frame.Candidate{}, 2, nil)
	l.a, l.claimA = sh.Candidate()
	l.b, l.claimB = sh.Candidate()
	l.helloA, l.helloB = sh.Hello(l.a, nil), sh.Hello(l.b, nil)
	l.senders, l.another = sh.Frame(frame.Data, l.a, 0, nil), sh.Frame(frame.Data, l.a, 2, nil)
	s.ok("create", l.create())
	s.ok("a claims", l.claim())
	s.ok("a is confirmed", l.confirm())
	s.ok("the sender's append", l.appendOfSender())
	s.ok("a hands it back", l.appendOfReceiver())
	s.ok("the next offer", l.offerBefore())
	s.ok("and the next", l.offerAgain())
	s.ok("b claims", s.store.Open(s.ctx, sh.ID, l.b, l.claimB, l.helloB))
	return l
}

func (l *lateShare) create() error      { return l.store.Create(l.ctx, l.sh.ID, l.sh.Mailbox) }
func (l *lateShare) offerBefore() error { return l.store.Offer(l.ctx, l.sh.ID, l.one) }
func (l *lateShare) offerAgain() error  { return l.store.Offer(l.ctx, l.sh.ID, l.two) }
func (l *lateShare) claim() error       { return l.store.Open(l.ctx, l.sh.ID, l.a, l.claimA, l.helloA) }
func (l *lateShare) confirm() error     { return l.store.Confirm(l.ctx, l.sh.ID, 0, l.a, l.claimA) }
func (l *lateShare) shut() error        { return l.store.Close(l.ctx, l.sh.ID, frame.Shut(l.a)) }

func (l *lateShare) confirmBefore() error {
	c, claim := l.sh.Candidate()
	return l.store.Confirm(l.ctx, l.sh.ID, 1, c, claim)
}

func (l *lateShare) taken() error {
	return l.store.Close(l.ctx, l.sh.ID, l.sh.Frame(frame.Taken, l.a, 0, nil))
}

func (l *lateShare) appendOfSender() error {
	return l.store.Append(l.ctx, l.sh.ID, l.a, relay.SenderSide, []frame.Frame{l.senders})
}

func (l *lateShare) appendOfReceiver() error {
	return l.store.Append(l.ctx, l.sh.ID, l.a, relay.ReceiverSide, []frame.Frame{l.another})
}

// servesTheNewcomers wants b's claim to be whole, another to come, and b to be
// confirmed and written to.
func (l *lateShare) servesTheNewcomers(after string) {
	l.Helper()
	v, err := l.store.View(l.ctx, l.sh.ID)
	l.ok("view", err)
	l.same("after "+after+" the offer stands", []frame.Frame{v.Offer}, l.two)
	if v.Confirmed != (frame.Candidate{}) || v.Lanes[l.b] != l.claimB {
		l.Fatalf("after %s: %v is confirmed, the lanes are %v", after, v.Confirmed, v.Lanes)
	}
	got, err := l.store.Read(l.ctx, l.sh.ID, l.b, relay.ReceiverSide, 0)
	l.ok("read", err)
	l.same("after "+after+" b's claim is whole", got, l.helloB...)
	c, claim := l.sh.Candidate()
	l.ok("after "+after+" another claims", l.store.Open(l.ctx, l.sh.ID, c, claim, l.sh.Hello(c, nil)))
	l.ok("after "+after+" b is confirmed", l.store.Confirm(l.ctx, l.sh.ID, 2, l.b, l.claimB))
	l.ok("after "+after+" b is written to", l.store.Append(l.ctx, l.sh.ID, l.b, relay.SenderSide, []frame.Frame{l.sh.Frame(frame.Data, l.b, 0, nil)}))
}
