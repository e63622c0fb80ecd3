package storetest

import (
	"context"

	"pgregory.net/rapid"

	"github.com/sparekey/sparekey/noise/frame"
	"github.com/sparekey/sparekey/relay"
)

func (s *suite) written() {
	a, claimA := s.sh.Candidate()
	b, claimB := s.sh.Candidate()
	large := make([]byte, 7_000)
	put := func(c frame.Candidate, side relay.Side, seq uint64, fill []byte) error {
		return s.store.Append(s.ctx, s.sh.ID, c, side, []frame.Frame{s.sh.Frame(frame.Data, c, seq, fill)})
	}
	for range 2 {
		s.ok("a comes", s.store.Open(s.ctx, s.sh.ID, a, claimA, s.sh.Hello(a, nil)))
		s.ok("and writes", put(a, relay.ReceiverSide, 2, large))
		s.ok("and goes", s.store.Close(s.ctx, s.sh.ID, frame.Shut(a)))
	}
	s.is("half is for lanes that aren't confirmed", s.store.Open(s.ctx, s.sh.ID, b, claimB, s.sh.Hello(b, large)), relay.ErrFull)
	s.ok("a small claim", s.store.Open(s.ctx, s.sh.ID, b, claimB, s.sh.Hello(b, nil)))
	s.ok("confirm b", s.store.Confirm(s.ctx, s.sh.ID, 0, b, claimB))
	for epoch := range uint64(3) {
		if epoch > 0 {
			s.ok("the next epoch", s.store.Offer(s.ctx, s.sh.ID, s.sh.Frame(frame.Offer, frame.Candidate{}, epoch, nil)))
			s.ok("confirm b again", s.store.Confirm(s.ctx, s.sh.ID, epoch, b, claimB))
		}
		s.ok("the sender writes", put(b, relay.SenderSide, 0, large))
		s.ok("and more", put(b, relay.SenderSide, 1, large[:5_000]))
	}
	s.is("all that a sender may", put(b, relay.SenderSide, 2, large), relay.ErrFull)
	s.ok("the receiver", s.store.Append(s.ctx, s.sh.ID, b, relay.ReceiverSide, s.sh.Hello(b, large)))
	s.ok("and more", put(b, relay.ReceiverSide, 2, large))
	s.is("all that receivers may", put(b, relay.ReceiverSide, 3, large), relay.ErrFull)
	// Up to 4 kB are left to each side, and 8 times 1100 bytes to small frames.
	for side, first := range map[relay.Side]uint64{relay.SenderSide: 2, relay.ReceiverSide: 3} {
		n := uint64(0)
		for put(b, side, first+n, make([]byte, 1000)) == nil {
			n++
		}
		if n != 11 {
			s.Errorf("side %d: %d small frames fit at the end, want 11", side, n)
		}
	}
	v, err := s.store.View(s.ctx, s.sh.ID)
	if s.ok("view", err); v.Confirmed != b {
		s.Error("what was refused has changed the mailbox")
	}
}

// anyOrder makes calls in any order, and adds up what was taken.
func (s *suite) anyOrder() {
	seed := uint64(100)
	rapid.Check(s.T, func(t *rapid.T) {
		seed++
		sh := NewShare(s.clock, seed, nil)
		if err := s.store.Create(s.ctx, sh.ID, sh.Mailbox); err != nil {
			t.Fatal(err)
		}
		w := &writer{store: s.store, ctx: s.ctx, sh: sh, next: map[writing]uint64{}}
		w.lanes[0], w.claim = sh.Candidate()
		w.lanes[1], _ = sh.Candidate()
		t.Repeat(map[string]func(*rapid.T){"append": w.append, "close": w.close, "confirm": w.confirm, "offer": w.offer})
		if err := s.store.Delete(s.ctx, sh.ID, sh.Proof); err != nil {
			t.Fatal(err)
		}
	})
}

// A writer is whoever has all capabilities of a mailbox.
type writer struct {
	store relay.Store
	ctx   context.Context
	sh    *Share
	lanes [2]frame.Candidate
	claim [32]byte
	epoch uint64

	confirmed frame.Candidate
	next      map[writing]uint64
	taken     [3]int // bytes by side
	loose     int    // of them, those of receivers that weren't confirmed
}

type writing struct {
	lane frame.Candidate
	side relay.Side
}

func (w *writer) lane(t *rapid.T) frame.Candidate {
	return w.lanes[rapid.IntRange(0, 1).Draw(t, "lane")]
}

// append writes a frame of any size; a receiver opens its lane with it.
func (w *writer) append(t *rapid.T) {
	at := writing{w.lane(t), relay.Side(rapid.IntRange(1, 2).Draw(t, "side"))}
	k := frame.Data
	if at.side == relay.ReceiverSide && w.next[at] == 0 {
		k = frame.Handshake
	}
	f := w.sh.Frame(k, at.lane, w.next[at], make([]byte, rapid.SampledFrom([]int{0, 1_000, 3_000, 9_000}).Draw(t, "size")))
	var err error
	if at.side == relay.ReceiverSide {
		err = w.store.Open(w.ctx, w.sh.ID, at.lane, w.claim, []frame.Frame{f})
	} else {
		err = w.store.Append(w.ctx, w.sh.ID, at.lane, at.side, []frame.Frame{f})
	}
	if err != nil {
		return
	}
	w.next[at]++
	w.taken[at.side] += len(f)
	if at.side == relay.ReceiverSide && w.confirmed != at.lane {
		w.loose += len(f)
	}
	const bound, reserve = 40_000, 8 * 1_100
	if n := max(w.taken[1], w.taken[2]); n > bound+reserve || w.loose > bound/2 {
		t.Fatalf("taken: %d bytes of the sender, %d of receivers, of which %d weren't confirmed", w.taken[1], w.taken[2], w.loose)
	}
	got, err := w.store.Read(w.ctx, w.sh.ID, at.lane, at.side, 0)
	if err != nil || uint64(len(got)) != w.next[at] {
		t.Fatalf("a log of %d frames has %d, %v", w.next[at], len(got), err)
	}
}

func (w *writer) erased(lane frame.Candidate) {
	delete(w.next, writing{lane, relay.SenderSide})
	delete(w.next, writing{lane, relay.ReceiverSide})
}

func (w *writer) close(t *rapid.T) {
	if lane := w.lane(t); w.store.Close(w.ctx, w.sh.ID, frame.Shut(lane)) == nil {
		w.erased(lane)
	}
}

func (w *writer) confirm(t *rapid.T) {
	if lane := w.lane(t); w.store.Confirm(w.ctx, w.sh.ID, w.epoch, lane, w.claim) == nil {
		w.confirmed = lane
	}
}

func (w *writer) offer(t *rapid.T) {
	w.epoch++
	if err := w.store.Offer(w.ctx, w.sh.ID, w.sh.Frame(frame.Offer, frame.Candidate{}, w.epoch, nil)); err != nil {
		t.Fatal(err)
	}
	w.confirmed = frame.Candidate{}
	w.erased(w.lanes[0])
	w.erased(w.lanes[1])
}
