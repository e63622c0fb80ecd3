// Package storetest holds what every relay.Store must do. It is for tests.
package storetest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/sparekey/sparekey/noise/frame"
	"github.com/sparekey/sparekey/relay"
)

// A Clock is the time that a store under test is told.
type Clock struct {
	mu sync.Mutex
	t  time.Time
}

// NewClock returns a clock that stands at some moment.
func NewClock() *Clock { return &Clock{t: time.Unix(1_800_000_000, 0)} }

// Now tells the time.
func (c *Clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.t
}

// Advance lets time pass.
func (c *Clock) Advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.t = c.t.Add(d)
}

// A Share is the outside of a share: names and frames that a store can't open.
type Share struct {
	ID      frame.ShareID
	Proof   frame.Proof
	Mailbox relay.Mailbox
	rnd     *rand.ChaCha8
}

// NewShare makes a share of a seed; its frames are padded with fill.
func NewShare(c *Clock, seed uint64, fill []byte) *Share {
	var s [32]byte
	copy(s[:], fmt.Sprint("share ", seed))
	sh := &Share{rnd: rand.NewChaCha8(s)}
	sh.rnd.Read(sh.Proof.H[:])
	sh.rnd.Read(sh.Proof.Over[:])
	sh.rnd.Read(sh.ID[:])
	sh.Mailbox = relay.Mailbox{Offer: sh.Frame(frame.Offer, frame.Candidate{}, 0, fill), Lanes: 4, TTL: time.Hour, Expires: c.Now().Add(time.Hour)}
	sh.rnd.Read(sh.Mailbox.View[:])
	sh.rnd.Read(sh.Mailbox.Sender[:])
	return sh
}

// Frame makes a frame; its sealed part is random and ends with fill.
func (s *Share) Frame(k frame.Kind, c frame.Candidate, seq uint64, fill []byte) frame.Frame {
	sealed := make([]byte, 64)
	s.rnd.Read(sealed)
	return frame.New(k, c, seq, append(sealed, fill...))
}

// Candidate makes up a candidate and its device claim's hash.
func (s *Share) Candidate() (c frame.Candidate, claim [32]byte) {
	s.rnd.Read(c[:])
	s.rnd.Read(claim[:])
	return c, claim
}

// Hello is what a receiver opens a lane with.
func (s *Share) Hello(c frame.Candidate, fill []byte) []frame.Frame {
	return []frame.Frame{s.Frame(frame.Handshake, c, 0, fill), s.Frame(frame.Data, c, 1, fill)}
}

type suite struct {
	*testing.T
	clock *Clock
	store relay.Store
	ctx   context.Context
	sh    *Share
}

// Test runs the suite. open returns an empty store that asks the clock, with limits.
func Test(t *testing.T, open func(*testing.T, *Clock, relay.Limits) relay.Store) {
	for _, c := range []struct {
		promise string
		test    func(*suite)
		limits  relay.Limits
	}{
		{"the same create succeeds again and another one conflicts", (*suite).create, relay.Limits{}},
		{"an absent mailbox is absent to every call", (*suite).absent, relay.Limits{}},
		{"an append is kept once and other bytes conflict", (*suite).append, relay.Limits{}},
		{"a lane belongs to one claim", (*suite).lanes, relay.Limits{}},
		{"claims are numbered for good and erased ones leave a hole", (*suite).claims, relay.Limits{}},
		{"a confirmed lane stays and no other opens", (*suite).confirm, relay.Limits{}},
		{"a confirm opens a lane that was closed", (*suite).confirmClosed, relay.Limits{}},
		{"a confirm for another claim, or of a lane never heard of, opens it empty", (*suite).confirmAnother, relay.Limits{}},
		{"the next offer erases the lanes", (*suite).offer, relay.Limits{}},
		{"a request that comes late, after the next offer, hinders nobody", (*suite).late, relay.Limits{}},
		{"closing frames are kept, the last of them", (*suite).closings, relay.Limits{}},
		{"a deleted mailbox shows its proof until its time is up", (*suite).delete, relay.Limits{}},
		{"what is over is absent before any sweep", (*suite).expiry, relay.Limits{}},
		{"a full log still takes the frames that end a share", (*suite).full, relay.Limits{LogFrames: 4}},
		{"when all claims are used up the confirmed receiver can still end its share", (*suite).usedUp, relay.Limits{Claims: 5}},
		{"erasing gives no side back what it has written, and the confirmed two can still end their share", (*suite).written, relay.Limits{LifeBytes: 40_000}},
		{"no order of calls writes more than a mailbox's life allows", (*suite).anyOrder, relay.Limits{LifeBytes: 40_000, LogBytes: 16_000}},
		{"a store that is full takes no more mailboxes", (*suite).storage, relay.Limits{Mailboxes: 2}},
		{"a store whose names are used up takes no more mailboxes until tombstones go", (*suite).names, relay.Limits{Mailboxes: 2, Names: 3}},
		{"a watcher learns of every change", (*suite).watch, relay.Limits{}},
		{"of many claims at once as many open as there are lanes", (*suite).race, relay.Limits{}},
	} {
		t.Run(c.promise, func(t *testing.T) {
			clock := NewClock()
			store := open(t, clock, c.limits)
			s := &suite{t, clock, store, t.Context(), NewShare(clock, 1, nil)}
			if err := store.Create(s.ctx, s.sh.ID, s.sh.Mailbox); err != nil {
				t.Fatal(err)
			}
			c.test(s)
		})
	}
}

func (s *suite) ok(what string, err error) {
	s.Helper()
	if err != nil {
		s.Fatalf("%s: %v", what, err)
	}
}

func (s *suite) is(what string, err, want error) {
	s.Helper()
	if !errors.Is(err, want) {
		s.Fatalf("%s: got %v, want %v", what, err, want)
	}
}

// closed returns the closing frame of a closed lane's error.
func (s *suite) closed(what string, err error) frame.Frame {
	s.Helper()
	var c *relay.ClosedError
	if !errors.As(err, &c) {
		s.Fatalf("%s: got %v, want a closed lane", what, err)
	}
	return c.Closing
}

func (s *suite) same(what string, got []frame.Frame, want ...frame.Frame) {
	s.Helper()
	if !slices.EqualFunc(got, want, func(a, b frame.Frame) bool { return bytes.Equal(a, b) }) {
		s.Fatalf("%s: got %d frames, want %d, or other ones", what, len(got), len(want))
	}
}

func (s *suite) create() {
	m := s.sh.Mailbox
	m.Expires = m.Expires.Add(time.Minute)
	s.ok("the same again, a minute later", s.store.Create(s.ctx, s.sh.ID, m))
	for name, change := range map[string]func(*relay.Mailbox){
		"offer":  func(m *relay.Mailbox) { m.Offer = s.sh.Frame(frame.Offer, frame.Candidate{}, 0, nil) },
		"view":   func(m *relay.Mailbox) { m.View[0] ^= 1 },
		"sender": func(m *relay.Mailbox) { m.Sender[0] ^= 1 },
		"lanes":  func(m *relay.Mailbox) { m.Lanes++ },
		"ttl":    func(m *relay.Mailbox) { m.TTL++ },
		"public": func(m *relay.Mailbox) { m.Public = []byte("x") },
	} {
		other := s.sh.Mailbox
		change(&other)
		s.is("another "+name, s.store.Create(s.ctx, s.sh.ID, other), relay.ErrConflict)
	}
	v, err := s.store.View(s.ctx, s.sh.ID)
	s.ok("view", err)
	if !v.Expires.Equal(s.sh.Mailbox.Expires) || !bytes.Equal(v.Offer, s.sh.Mailbox.Offer) || v.View != s.sh.Mailbox.View || v.Sender != s.sh.Mailbox.Sender {
		s.Error("the view isn't what was created first")
	}
}

func (s *suite) absent() {
	id := frame.ShareID{9}
	c, claim := s.sh.Candidate()
	_, err := s.store.View(s.ctx, id)
	s.is("view", err, relay.ErrAbsent)
	_, err = s.store.Claims(s.ctx, id, 0)
	s.is("claims", err, relay.ErrAbsent)
	_, err = s.store.Read(s.ctx, id, c, relay.SenderSide, 0)
	s.is("read", err, relay.ErrAbsent)
	s.is("offer", s.store.Offer(s.ctx, id, s.sh.Frame(frame.Offer, frame.Candidate{}, 1, nil)), relay.ErrAbsent)
	s.is("open", s.store.Open(s.ctx, id, c, claim, s.sh.Hello(c, nil)), relay.ErrAbsent)
	s.is("append", s.store.Append(s.ctx, id, c, relay.SenderSide, nil), relay.ErrAbsent)
	s.is("confirm", s.store.Confirm(s.ctx, id, 0, c, claim), relay.ErrAbsent)
	s.is("close", s.store.Close(s.ctx, id, frame.Shut(c)), relay.ErrAbsent)
	s.is("delete", s.store.Delete(s.ctx, id, frame.Proof{}), relay.ErrAbsent)
}

func (s *suite) append() {
	c, claim := s.sh.Candidate()
	hello := s.sh.Hello(c, nil)
	s.ok("open", s.store.Open(s.ctx, s.sh.ID, c, claim, hello))
	s.ok("the same again", s.store.Open(s.ctx, s.sh.ID, c, claim, hello))
	s.ok("a part of it again", s.store.Open(s.ctx, s.sh.ID, c, claim, hello[:1]))
	two, three := s.sh.Frame(frame.Data, c, 2, nil), s.sh.Frame(frame.Data, c, 3, nil)
	s.ok("append", s.store.Append(s.ctx, s.sh.ID, c, relay.ReceiverSide, []frame.Frame{two, three}))
	s.ok("append again", s.store.Append(s.ctx, s.sh.ID, c, relay.ReceiverSide, []frame.Frame{two, three}))
	other := s.sh.Frame(frame.Data, c, 2, nil)
	four := s.sh.Frame(frame.Data, c, 4, nil)
	s.is("other bytes at a seq", s.store.Append(s.ctx, s.sh.ID, c, relay.ReceiverSide, []frame.Frame{other, three, four}), relay.ErrConflict)
	s.is("a gap", s.store.Append(s.ctx, s.sh.ID, c, relay.ReceiverSide, []frame.Frame{s.sh.Frame(frame.Data, c, 5, nil)}), relay.ErrConflict)
	got, err := s.store.Read(s.ctx, s.sh.ID, c, relay.ReceiverSide, 0)
	s.ok("read", err)
	s.same("a refused append changes nothing", got, hello[0], hello[1], two, three)
	got, err = s.store.Read(s.ctx, s.sh.ID, c, relay.ReceiverSide, 3)
	s.ok("read from", err)
	s.same("from a number on", got, three)
	got, err = s.store.Read(s.ctx, s.sh.ID, c, relay.ReceiverSide, 99)
	s.ok("read beyond", err)
	s.same("beyond the end", got)
	zero := s.sh.Frame(frame.Data, c, 0, nil)
	s.ok("the sender's side is a log of its own", s.store.Append(s.ctx, s.sh.ID, c, relay.SenderSide, []frame.Frame{zero}))
	got, err = s.store.Read(s.ctx, s.sh.ID, c, relay.SenderSide, 0)
	s.ok("read the sender's", err)
	s.same("the sender's log", got, zero)
}

func (s *suite) lanes() {
	var opened []frame.Candidate
	for range 4 {
		c, claim := s.sh.Candidate()
		s.ok("open", s.store.Open(s.ctx, s.sh.ID, c, claim, s.sh.Hello(c, nil)))
		_, other := s.sh.Candidate()
		s.is("another claim on it", s.store.Open(s.ctx, s.sh.ID, c, other, nil), relay.ErrForbidden)
		opened = append(opened, c)
	}
	c, claim := s.sh.Candidate()
	s.is("a fifth lane", s.store.Open(s.ctx, s.sh.ID, c, claim, s.sh.Hello(c, nil)), relay.ErrBusy)
	if f := s.closed("append to a lane that never opened", s.store.Append(s.ctx, s.sh.ID, c, relay.SenderSide, nil)); f != nil {
		s.Error("a lane that never opened has a closing frame")
	}
	closing := s.sh.Frame(frame.Taken, opened[0], 0, nil)
	s.ok("close one", s.store.Close(s.ctx, s.sh.ID, closing))
	s.ok("close it again", s.store.Close(s.ctx, s.sh.ID, closing))
	s.ok("now the fifth opens", s.store.Open(s.ctx, s.sh.ID, c, claim, s.sh.Hello(c, nil)))
	_, err := s.store.Read(s.ctx, s.sh.ID, opened[0], relay.ReceiverSide, 0)
	if !bytes.Equal(s.closed("read the closed one", err), closing) {
		s.Error("a closed lane tells its closing frame")
	}
	if err := s.store.Open(s.ctx, s.sh.ID, opened[0], claim, nil); !bytes.Equal(s.closed("open it again", err), closing) {
		s.Error("a closed lane stays closed")
	}
	s.ok("a shut frees a lane", s.store.Close(s.ctx, s.sh.ID, frame.Shut(opened[1])))
	again, claim := s.sh.Candidate()
	s.ok("for another", s.store.Open(s.ctx, s.sh.ID, again, claim, s.sh.Hello(again, nil)))
}

func (s *suite) claims() {
	a, claimA := s.sh.Candidate()
	b, claimB := s.sh.Candidate()
	helloA, helloB := s.sh.Hello(a, nil), s.sh.Hello(b, nil)
	s.ok("a", s.store.Open(s.ctx, s.sh.ID, a, claimA, helloA))
	s.ok("b", s.store.Open(s.ctx, s.sh.ID, b, claimB, helloB))
	more := s.sh.Frame(frame.Data, a, 2, nil)
	s.ok("a again", s.store.Append(s.ctx, s.sh.ID, a, relay.ReceiverSide, []frame.Frame{more}))
	s.ok("the sender's frames are no claims", s.store.Append(s.ctx, s.sh.ID, a, relay.SenderSide, []frame.Frame{s.sh.Frame(frame.Data, a, 0, nil)}))
	got, err := s.store.Claims(s.ctx, s.sh.ID, 0)
	s.ok("claims", err)
	s.same("in the order in which they came", got, helloA[0], helloA[1], helloB[0], helloB[1], more)
	s.ok("close a", s.store.Close(s.ctx, s.sh.ID, frame.Shut(a)))
	hole := frame.Shut(frame.Candidate{})
	got, err = s.store.Claims(s.ctx, s.sh.ID, 1)
	s.ok("claims from 1", err)
	s.same("erased ones leave holes", got, hole, helloB[0], helloB[1], hole)
	s.ok("a comes again", s.store.Open(s.ctx, s.sh.ID, a, claimA, helloA))
	got, err = s.store.Claims(s.ctx, s.sh.ID, 4)
	s.ok("claims from 4", err)
	s.same("numbers are never used again", got, hole, helloA[0], helloA[1])
	got, err = s.store.Claims(s.ctx, s.sh.ID, 0)
	s.ok("claims from 0", err)
	s.same("and the old ones stay holes", got, hole, hole, helloB[0], helloB[1], hole, helloA[0], helloA[1])
}

func (s *suite) confirm() {
	a, claimA := s.sh.Candidate()
	b, claimB := s.sh.Candidate()
	s.ok("a", s.store.Open(s.ctx, s.sh.ID, a, claimA, s.sh.Hello(a, nil)))
	s.ok("confirm a", s.store.Confirm(s.ctx, s.sh.ID, 0, a, claimA))
	s.ok("again", s.store.Confirm(s.ctx, s.sh.ID, 0, a, claimA))
	s.is("b opens no lane", s.store.Open(s.ctx, s.sh.ID, b, claimB, s.sh.Hello(b, nil)), relay.ErrBusy)
	s.is("b isn't confirmed", s.store.Confirm(s.ctx, s.sh.ID, 0, b, claimB), relay.ErrConflict)
	s.is("a isn't closed", s.store.Close(s.ctx, s.sh.ID, frame.Shut(a)), relay.ErrConflict)
	s.ok("a goes on", s.store.Append(s.ctx, s.sh.ID, a, relay.ReceiverSide, []frame.Frame{s.sh.Frame(frame.Data, a, 2, nil)}))
	v, err := s.store.View(s.ctx, s.sh.ID)
	s.ok("view", err)
	if v.Confirmed != a || v.Lanes[a] != claimA {
		s.Error("the status names the confirmed lane")
	}
}

func (s *suite) confirmClosed() {
	a, claim := s.sh.Candidate()
	hello := s.sh.Hello(a, nil)
	s.ok("a", s.store.Open(s.ctx, s.sh.ID, a, claim, hello))
	s.ok("closed", s.store.Close(s.ctx, s.sh.ID, s.sh.Frame(frame.Taken, a, 0, nil)))
	s.ok("confirm", s.store.Confirm(s.ctx, s.sh.ID, 0, a, claim))
	s.ok("a sends again", s.store.Open(s.ctx, s.sh.ID, a, claim, hello))
	got, err := s.store.Read(s.ctx, s.sh.ID, a, relay.ReceiverSide, 0)
	s.ok("read", err)
	s.same("its log is there", got, hello...)
	_, other := s.sh.Candidate()
	s.is("nobody else has it", s.store.Open(s.ctx, s.sh.ID, a, other, hello), relay.ErrForbidden)
}

func (s *suite) confirmAnother() {
	a, claim := s.sh.Candidate()
	_, other := s.sh.Candidate()
	hello := s.sh.Hello(a, nil)
	third := []frame.Frame{s.sh.Frame(frame.Data, a, 2, nil)}
	s.ok("a", s.store.Open(s.ctx, s.sh.ID, a, claim, hello))
	s.ok("the sender's", s.store.Append(s.ctx, s.sh.ID, a, relay.SenderSide, []frame.Frame{s.sh.Frame(frame.Data, a, 0, nil)}))
	s.ok("confirm for another", s.store.Confirm(s.ctx, s.sh.ID, 0, a, other))
	for _, side := range []relay.Side{relay.SenderSide, relay.ReceiverSide} {
		got, err := s.store.Read(s.ctx, s.sh.ID, a, side, 0)
		s.ok("read", err)
		s.same("the log is empty", got)
	}
	s.is("the first has lost it", s.store.Open(s.ctx, s.sh.ID, a, claim, hello), relay.ErrForbidden)
	s.is("an append leaves a gap", s.store.Append(s.ctx, s.sh.ID, a, relay.ReceiverSide, third), relay.ErrConflict)
	s.ok("from the handshake on", s.store.Open(s.ctx, s.sh.ID, a, other, append(hello, third...)))

	two := NewShare(s.clock, 2, nil)
	s.ok("a second mailbox", s.store.Create(s.ctx, two.ID, two.Mailbox))
	s.ok("confirm one never heard of", s.store.Confirm(s.ctx, two.ID, 0, a, claim))
	got, err := s.store.Read(s.ctx, two.ID, a, relay.ReceiverSide, 0)
	s.ok("it is open", err)
	s.same("and empty", got)
}

func (s *suite) offer() {
	a, claim := s.sh.Candidate()
	b, _ := s.sh.Candidate()
	hello := s.sh.Hello(a, nil)
	s.ok("a", s.store.Open(s.ctx, s.sh.ID, a, claim, hello))
	s.ok("b closed", s.store.Close(s.ctx, s.sh.ID, s.sh.Frame(frame.Taken, b, 0, nil)))
	s.ok("confirm a", s.store.Confirm(s.ctx, s.sh.ID, 0, a, claim))
	one := s.sh.Frame(frame.Offer, frame.Candidate{}, 1, nil)
	s.is("not two epochs on", s.store.Offer(s.ctx, s.sh.ID, s.sh.Frame(frame.Offer, frame.Candidate{}, 2, nil)), relay.ErrConflict)
	s.ok("the next", s.store.Offer(s.ctx, s.sh.ID, one))
	s.ok("the same again", s.store.Offer(s.ctx, s.sh.ID, one))
	s.is("another of that epoch", s.store.Offer(s.ctx, s.sh.ID, s.sh.Frame(frame.Offer, frame.Candidate{}, 1, nil)), relay.ErrConflict)
	s.is("an older one", s.store.Offer(s.ctx, s.sh.ID, s.sh.Mailbox.Offer), relay.ErrConflict)
	s.ok("the create is still the same", s.store.Create(s.ctx, s.sh.ID, s.sh.Mailbox))
	v, err := s.store.View(s.ctx, s.sh.ID)
	s.ok("view", err)
	if v.Epoch != 1 || !bytes.Equal(v.Offer, one) || v.Confirmed != (frame.Candidate{}) || len(v.Lanes) != 0 || len(v.Closings) != 0 {
		s.Errorf("after the next offer there are no lanes, closings, confirmation: %+v", v)
	}
	s.closed("a's lane is erased", s.store.Append(s.ctx, s.sh.ID, a, relay.ReceiverSide, hello))
	s.ok("and may be opened again", s.store.Open(s.ctx, s.sh.ID, a, claim, hello))
}

func (s *suite) closings() {
	var all []frame.Frame
	for range relay.MaxClosings + 3 {
		c, _ := s.sh.Candidate()
		f := s.sh.Frame(frame.Taken, c, 0, nil)
		s.ok("close", s.store.Close(s.ctx, s.sh.ID, f))
		all = append(all, f)
	}
	v, err := s.store.View(s.ctx, s.sh.ID)
	s.ok("view", err)
	s.same("the last are kept", v.Closings, all[3:]...)
}

func (s *suite) delete() {
	a, claim := s.sh.Candidate()
	s.ok("a", s.store.Open(s.ctx, s.sh.ID, a, claim, s.sh.Hello(a, nil)))
	s.ok("delete", s.store.Delete(s.ctx, s.sh.ID, s.sh.Proof))
	s.ok("again", s.store.Delete(s.ctx, s.sh.ID, s.sh.Proof))
	gone := func(what string, err error) {
		s.Helper()
		var g *relay.GoneError
		if !errors.As(err, &g) || g.Proof != s.sh.Proof {
			s.Fatalf("%s: got %v, want the proof", what, err)
		}
	}
	_, err := s.store.View(s.ctx, s.sh.ID)
	gone("view", err)
	gone("create", s.store.Create(s.ctx, s.sh.ID, s.sh.Mailbox))
	gone("open", s.store.Open(s.ctx, s.sh.ID, a, claim, nil))
	_, err = s.store.Claims(s.ctx, s.sh.ID, 0)
	gone("claims", err)
	s.clock.Advance(time.Hour)
	_, err = s.store.View(s.ctx, s.sh.ID)
	s.is("when its time is up", err, relay.ErrAbsent)
	n, err := s.store.Sweep(s.ctx, s.clock.Now())
	s.ok("sweep", err)
	if n != 1 {
		s.Errorf("swept %d, want the one tombstone", n)
	}
}

func (s *suite) expiry() {
	n, err := s.store.Sweep(s.ctx, s.clock.Now())
	if s.ok("sweep", err); n != 0 {
		s.Errorf("swept %d that live", n)
	}
	s.clock.Advance(time.Hour)
	_, err = s.store.View(s.ctx, s.sh.ID)
	s.is("view before the sweep", err, relay.ErrAbsent)
	m := s.sh.Mailbox
	m.Expires = s.clock.Now().Add(time.Hour)
	s.ok("the id may be used again", s.store.Create(s.ctx, s.sh.ID, m))
	_, err = s.store.Sweep(s.ctx, s.clock.Now())
	s.ok("sweep", err)
	_, err = s.store.View(s.ctx, s.sh.ID)
	s.ok("the new one lives", err)
	s.clock.Advance(time.Hour)
	n, err = s.store.Sweep(s.ctx, s.clock.Now())
	if s.ok("sweep", err); n != 1 {
		s.Errorf("swept %d, want 1", n)
	}
}

func (s *suite) full() {
	a, claim := s.sh.Candidate()
	s.ok("a", s.store.Open(s.ctx, s.sh.ID, a, claim, s.sh.Hello(a, nil)))
	big := make([]byte, 4000)
	put := func(seq uint64, fill []byte) error {
		return s.store.Append(s.ctx, s.sh.ID, a, relay.ReceiverSide, []frame.Frame{s.sh.Frame(frame.Data, a, seq, fill)})
	}
	s.ok("2", put(2, big))
	s.ok("3", put(3, big))
	s.is("beyond the bound", put(4, big), relay.ErrFull)
	for seq := range uint64(8) {
		s.ok("a small one", put(4+seq, nil))
	}
	s.is("beyond the reserve", put(12, nil), relay.ErrFull)
	s.ok("the other side has its own", s.store.Append(s.ctx, s.sh.ID, a, relay.SenderSide, []frame.Frame{s.sh.Frame(frame.Data, a, 0, big)}))
}

func (s *suite) usedUp() {
	a, claimA := s.sh.Candidate()
	b, claimB := s.sh.Candidate()
	helloA, helloB := s.sh.Hello(a, nil), s.sh.Hello(b, nil)
	s.ok("a", s.store.Open(s.ctx, s.sh.ID, a, claimA, helloA))
	s.ok("b", s.store.Open(s.ctx, s.sh.ID, b, claimB, helloB))
	put := func(c frame.Candidate, seq uint64, fill []byte) error {
		return s.store.Append(s.ctx, s.sh.ID, c, relay.ReceiverSide, []frame.Frame{s.sh.Frame(frame.Data, c, seq, fill)})
	}
	s.ok("the last of all", put(b, 2, nil))
	s.ok("b goes", s.store.Close(s.ctx, s.sh.ID, frame.Shut(b)))
	s.is("erasing gives nothing back", s.store.Open(s.ctx, s.sh.ID, b, claimB, helloB), relay.ErrFull)
	s.is("nobody is confirmed", put(a, 2, nil), relay.ErrFull)
	s.ok("the sender has a log of its own", s.store.Append(s.ctx, s.sh.ID, a, relay.SenderSide, []frame.Frame{s.sh.Frame(frame.Data, a, 0, nil)}))
	s.ok("confirm a", s.store.Confirm(s.ctx, s.sh.ID, 0, a, claimA))
	s.is("a large one", put(a, 2, make([]byte, 4000)), relay.ErrFull)
	for seq := range uint64(8) {
		s.ok("a small one", put(a, 2+seq, nil))
	}
	s.is("beyond the reserve", put(a, 10, nil), relay.ErrFull)
	got, err := s.store.Claims(s.ctx, s.sh.ID, 5)
	if s.ok("claims", err); len(got) != 8 {
		s.Errorf("%d claims from the reserve, want 8", len(got))
	}
}

func (s *suite) storage() {
	two, three := NewShare(s.clock, 2, nil), NewShare(s.clock, 3, nil)
	s.ok("there is room for two", s.store.Room())
	s.ok("a second", s.store.Create(s.ctx, two.ID, two.Mailbox))
	s.is("a third", s.store.Create(s.ctx, three.ID, three.Mailbox), relay.ErrStorage)
	s.is("as it says", s.store.Room(), relay.ErrStorage)
	s.ok("the second again", s.store.Create(s.ctx, two.ID, two.Mailbox))
	s.ok("one goes", s.store.Delete(s.ctx, two.ID, two.Proof))
	s.ok("there is room", s.store.Room())
	s.ok("the third fits", s.store.Create(s.ctx, three.ID, three.Mailbox))
}

// names is about deleted mailboxes: their tombstones count among the names.
func (s *suite) names() {
	var all []*Share
	for seed := range uint64(3) {
		sh := NewShare(s.clock, 2+seed, nil)
		sh.Mailbox.Expires = s.clock.Now().Add(time.Duration(2+seed) * time.Hour)
		all = append(all, sh)
	}
	for _, sh := range all[:2] {
		s.ok("another", s.store.Create(s.ctx, sh.ID, sh.Mailbox))
		s.ok("goes again", s.store.Delete(s.ctx, sh.ID, sh.Proof))
	}
	last := all[2]
	s.is("one mailbox and two tombstones are there", s.store.Create(s.ctx, last.ID, last.Mailbox), relay.ErrStorage)
	s.is("there is no room for another name", s.store.Room(), relay.ErrStorage)
	s.clock.Advance(time.Hour) // the first mailbox's time is up
	s.is("but not swept yet", s.store.Create(s.ctx, last.ID, last.Mailbox), relay.ErrStorage)
	again := s.sh.Mailbox
	again.Expires = s.clock.Now().Add(5 * time.Hour)
	s.ok("its own name may be used again", s.store.Create(s.ctx, s.sh.ID, again))
	s.clock.Advance(time.Hour) // and that of the first tombstone
	n, err := s.store.Sweep(s.ctx, s.clock.Now())
	if s.ok("sweep", err); n != 1 {
		s.Errorf("swept %d, want 1", n)
	}
	s.ok("now there is a name", s.store.Create(s.ctx, last.ID, last.Mailbox))
}

func (s *suite) watch() {
	two := NewShare(s.clock, 2, nil)
	changed, stop := s.store.Watch(two.ID)
	defer stop()
	expect := func(what string) {
		s.Helper()
		select {
		case <-changed:
		case <-time.After(time.Minute):
			s.Fatalf("%s: the watcher wasn't told", what)
		}
	}
	s.ok("create", s.store.Create(s.ctx, two.ID, two.Mailbox))
	expect("create, watched before there was a mailbox")
	c, claim := two.Candidate()
	s.ok("open", s.store.Open(s.ctx, two.ID, c, claim, two.Hello(c, nil)))
	expect("open")
	s.ok("append", s.store.Append(s.ctx, two.ID, c, relay.SenderSide, []frame.Frame{two.Frame(frame.Data, c, 0, nil)}))
	expect("append")
	s.ok("close", s.store.Close(s.ctx, two.ID, frame.Shut(c)))
	expect("close")
	s.ok("delete", s.store.Delete(s.ctx, two.ID, two.Proof))
	expect("delete")
	stop()
	stop()
}

func (s *suite) race() {
	var wg sync.WaitGroup
	results := make(chan error, 32)
	for range cap(results) {
		c, claim := s.sh.Candidate()
		hello := s.sh.Hello(c, nil)
		wg.Go(func() { results <- s.store.Open(s.ctx, s.sh.ID, c, claim, hello) })
	}
	wg.Wait()
	close(results)
	opened := 0
	for err := range results {
		if err == nil {
			opened++
		} else {
			s.is("the others", err, relay.ErrBusy)
		}
	}
	if opened != 4 {
		s.Errorf("%d lanes opened, there are 4", opened)
	}
	got, err := s.store.Claims(s.ctx, s.sh.ID, 0)
	if s.ok("claims", err); len(got) != 8 {
		s.Errorf("%d claims, want the 8 frames of those that opened", len(got))
	}
}
