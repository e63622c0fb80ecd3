package share

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/sparekey/sparekey/noise/frame"
)

// reachable are the states that a table leads to from one, by any number of rules.
func reachable[M any](rules []rule[M], from State) []State {
	all := []State{from}
	for i := 0; i < len(all); i++ {
		for _, r := range rules {
			if r.from == all[i] && !slices.Contains(all, r.to) {
				all = append(all, r.to)
			}
		}
	}
	return all
}

// everyState are moments of walks, by a sender's and a receiver's state at them.
func everyState(t *testing.T) (senders, receivers map[State]*walk) {
	senders, receivers = map[State]*walk{}, map[State]*walk{}
	keep := func(w *walk) {
		at := *w
		at.sender, at.receivers[0] = &device[Sender]{is: w.sender.is}, &device[Receiver]{is: w.receivers[0].is}
		if s := w.sender.is.State; senders[s] == nil {
			senders[s] = &at
		}
		if r := w.receivers[0].is.State; receivers[r] == nil {
			receivers[r] = &at
		}
	}
	for seed := uint64(0); seed < 500 && (len(senders) < 8 || len(receivers) < 13); seed++ {
		w := newWalk(rand.New(rand.NewPCG(seed, 3)).IntN, bend{})
		for range 150 {
			w.anything()
			keep(w)
		}
		if w.receivers[0].is.State == Claimed {
			w.step(0, Copied{})
			keep(w)
		}
	}
	if len(senders) != 8 || len(receivers) != 13 {
		t.Fatalf("the walks come to %d states of a sender and %d of a receiver: %v %v", len(senders), len(receivers), senders, receivers)
	}
	return senders, receivers
}

// events are all that can happen, with what is right and with what is wrong in it.
func events(w *walk, task Task, proof frame.Proof) map[string]Event {
	return map[string]Event{
		"woken": Woken{}, "woken long after": Woken{}, "all the sender's frames": Arrived{w.toAll}, "all the receivers' frames": Arrived{slices.Concat(w.toOne[0], w.toOne[1])},
		"nothing": Arrived{}, "an empty frame": Arrived{[]frame.Frame{frame.Shut(frame.Candidate{1})}}, "the proof": Over{proof}, "no proof": Over{},
		"a little left": Remaining{time.Minute}, "much left": Remaining{1000 * time.Hour}, "accept": Accept{Claim: [32]byte{1}}, "cancel": Cancel{"why"}, "decline": Decline{"why"},
		"relinquish": Relinquish{}, "redirect": Redirect{[]byte("x")}, "copied": Copied{}, "no answer": Answered{Key: "other"}, "no look": Looked{Key: "other", There: true}, "no place": Placed{Key: "other"},
		"the answer": Answered{Key: task.Key, Answer: Answer{Out: [][]byte{{1}}}}, "the grant": Answered{Key: task.Key, Answer: Answer{Grants: true, Done: true}}, "a failure": Answered{Key: task.Key, Failed: "why"},
		"there": Looked{Key: task.Key, There: true}, "not there": Looked{Key: task.Key}, "placed": Placed{Key: task.Key}, "not placed": Placed{Key: task.Key, Failed: "why"},
	}
}

// TestEveryEventInEveryStateGoesByTheTable: also those that no honest caller or peer
// brings in that state. What changes is saved; the machine that was stepped is as it
// was; an end stays.
func TestEveryEventInEveryStateGoesByTheTable(t *testing.T) {
	senders, receivers := everyState(t)
	for state, w := range senders {
		s := w.sender.is
		task, _ := s.Task()
		for name, e := range events(w, task, s.Proof) {
			before := s.Marshal()
			next, eff := s.Step(moment(w, name), w.rnd, e)
			whole := !bytes.Equal(before, s.Marshal())
			s, next := s, next
			s.Life, next.Life = life{}, life{} // the time that passes is not saved by itself
			goesBy(t, fmt.Sprintf("a sender that is %s, at %s", state, name), reachable(senderRules, state), stepped{state, next.State, eff.Save, whole, !bytes.Equal(s.Marshal(), next.Marshal())})
		}
	}
	for state, w := range receivers {
		r := w.receivers[0].is
		r.Encapsulate = w.encapsulate
		task, _ := r.Task()
		for name, e := range events(w, task, w.sender.is.Proof) {
			before := r.Marshal()
			next, eff := r.Step(moment(w, name), w.rnd, e)
			whole := !bytes.Equal(before, r.Marshal())
			r, next := r, next
			r.Life, next.Life = life{}, life{}
			goesBy(t, fmt.Sprintf("a receiver that is %s, at %s", state, name), reachable(receiverRules, state), stepped{state, next.State, eff.Save, whole, !bytes.Equal(r.Marshal(), next.Marshal())})
		}
	}
}

// moment is when an event of that name comes.
func moment(w *walk, name string) Time {
	if name == "woken long after" {
		return later(w.now, 10000*time.Hour, 0)
	}
	return w.now
}

// stepped is what a step did.
type stepped struct {
	was, is                    State
	saved, touchedOld, differs bool
}

func goesBy(t *testing.T, what string, allowed []State, s stepped) {
	if s.touchedOld {
		t.Errorf("%s: the machine that was stepped has changed", what)
	}
	if !slices.Contains(allowed, s.is) || s.was.Ended() && s.is != s.was {
		t.Errorf("%s: becomes %s, which no rule says", what, s.is)
	}
	if s.differs && !s.saved {
		t.Errorf("%s: changes and is not saved", what)
	}
}
