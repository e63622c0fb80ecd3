package share

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/sparekey/sparekey/noise/frame"
)

// claimedWalk is a walk whose first receiver has claimed, which nobody has heard yet.
func claimedWalk() *walk {
	w := newWalk(rand.New(rand.NewPCG(1, 1)).IntN, bend{})
	w.turns = 1
	w.look(0)
	w.look(0)
	return w
}

// TestLIE06FramesInEveryOrderLeadToTheSame: eight frames of the other side, one at a
// time, in each of their 40,320 orders. Orders that have led to the very same machine,
// with what it keeps in memory, go on as one.
func TestLIE06FramesInEveryOrderLeadToTheSame(t *testing.T) {
	t.Run("the sender's, at the receiver", func(t *testing.T) {
		w := claimedWalk()
		w.stepSender(Arrived{w.receivers[0].is.Outbox()})
		task, _ := w.sender.is.Task()
		var out [][]byte
		for n := range 8 {
			out = append(out, fmt.Append(nil, "message ", n))
		}
		w.stepSender(Answered{Key: task.Key, Answer: Answer{Out: out, Grants: true}})
		anyOrder(t, w.receivers[0].is, w.sender.is.Pin.Log.Out, func(r Receiver, f frame.Frame) Receiver {
			n, _ := r.Step(w.now, w.rnd, Arrived{[]frame.Frame{f}})
			return n
		}, func(r Receiver) string {
			return fmt.Sprintf("%x %x", r.Marshal(), r.Candidates[0].Log.early)
		}, func(r Receiver) string {
			return fmt.Sprintf("%s %v %d %q", r.State, r.Grant, r.Candidates[0].Log.Got, r.Candidates[0].Turn.Inbox)
		})
	})
	t.Run("a receiver's, at the sender", func(t *testing.T) {
		w := claimedWalk()
		log := &w.receivers[0].is.Candidates[0].Log
		for n := range 6 {
			if err := log.write(w.rnd, body{Word: wordMessage, Piece: fmt.Append(nil, "message ", n)}); err != nil {
				t.Fatal(err)
			}
		}
		anyOrder(t, w.sender.is, log.Out, func(s Sender, f frame.Frame) Sender {
			n, _ := s.Step(w.now, w.rnd, Arrived{[]frame.Frame{f}})
			return n
		}, func(s Sender) string {
			stray := slices.SortedFunc(slices.Values(s.stray), func(a, b frame.Frame) int { return bytes.Compare(a, b) })
			memory := fmt.Sprintf("%x %x", stray, s.closed)
			for _, l := range s.open {
				memory += fmt.Sprintf(" %x %x", encode(l), l.early)
			}
			if s.Pin != nil {
				memory += fmt.Sprintf(" pinned %x", s.Pin.Log.early)
			}
			return fmt.Sprintf("%x %s", s.Marshal(), memory)
		}, func(s Sender) string {
			if s.Pin == nil {
				return string(s.State)
			}
			return fmt.Sprintf("%s %v %d %q", s.State, s.Candidate(), s.Pin.Log.Got, s.Turn.Inbox)
		})
	})
}

// TestWhatStandsForAFrameThatWasReadIsNobodysFault: a mailbox's bridge opens for
// nobody. Where the frame wasn't read it is a forgery like any other.
func TestWhatStandsForAFrameThatWasReadIsNobodysFault(t *testing.T) {
	w := claimedWalk()
	w.stepSender(Arrived{w.receivers[0].is.Outbox()})
	s, got := w.sender.is, w.sender.is.Pin.Log.Got
	for seq := range got + 2 {
		bridge := frame.New(frame.Data, s.Candidate(), seq, make([]byte, frame.SealSize+256))
		next, eff := s.Step(w.now, w.rnd, Arrived{[]frame.Frame{bridge}})
		if eff.Bad != (seq >= got) || eff.Save || len(eff.Reply) > 0 || !bytes.Equal(next.Marshal(), s.Marshal()) {
			t.Errorf("of seq %d with %d read: blamed %v, saved %v, %d replies", seq, got, eff.Bad, eff.Save, len(eff.Reply))
		}
	}
}

// anyOrder gives frames to a machine in every order and wants it to come to where
// it comes in order. whole is all of a machine, at what the orders must agree in.
func anyOrder[M any](t *testing.T, m M, frames []frame.Frame, step func(M, frame.Frame) M, whole, at func(M) string) {
	if len(frames) != 8 {
		t.Fatalf("%d frames", len(frames))
	}
	inOrder := m
	for _, f := range frames {
		inOrder = step(inOrder, f)
	}
	want, walked := at(inOrder), map[string]int{}
	var orders func(m M, given int) int
	orders = func(m M, given int) (n int) {
		if given == 1<<len(frames)-1 {
			if at(m) != want {
				t.Fatalf("comes to %s, in order to %s", at(m), want)
			}
			return 1
		}
		key := fmt.Sprint(given, whole(m))
		if n, ok := walked[key]; ok {
			return n
		}
		for i, f := range frames {
			if given&(1<<i) == 0 {
				n += orders(step(m, f), given|1<<i)
			}
		}
		walked[key] = n
		return n
	}
	if n := orders(m, 0); n != 40320 || strings.HasPrefix(want, "offered") {
		t.Errorf("%d orders, which lead to %s", n, want)
	}
	t.Logf("%d machines on the way to %s", len(walked), want)
}
