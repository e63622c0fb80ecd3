package share

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/fxamacker/cbor/v2"
)

// near returns saved states that are each one field away from a saved state: another
// number, a byte more, less or changed, an empty list, nothing.
func near(t *testing.T, saved []byte) (all [][]byte) {
	var whole any
	if err := decode(saved, &whole); err != nil {
		t.Fatal(err)
	}
	var alter func(v any, put func(any))
	alter = func(v any, put func(any)) {
		try := func(changed any) {
			put(changed)
			if b := encode(whole); !bytes.Equal(b, saved) {
				all = append(all, b)
			}
			put(v)
		}
		try(nil)
		switch v := v.(type) {
		case uint64:
			try(v + 1)
			try(uint64(0))
			try(uint64(1) << 62)
		case int64:
			try(uint64(0))
		case bool:
			try(!v)
		case string:
			for _, s := range []State{Offered, Pinned, Granted, Opened, Viewed, Claimed, Provisioning, Provisioned, Taken, Failed, Relinquished, Done, Cancelled, Declined, Expired, Unresolved, "elsewhere"} {
				try(string(s))
			}
		case []byte:
			try([]byte{})
			if len(v) > 0 {
				try(v[:len(v)-1])
				flipped := bytes.Clone(v)
				flipped[len(v)/2] ^= 1
				try(flipped)
			}
			try(append(bytes.Clone(v), 0))
		case []any:
			try([]any{})
			if len(v) > 0 {
				try(append(v[:len(v):len(v)], v[len(v)-1]))
				try(v[:len(v)-1])
			}
			for i := range v {
				alter(v[i], func(x any) { v[i] = x })
			}
		case map[any]any:
			for _, key := range keys(v) {
				alter(v[key], func(x any) { v[key] = x })
			}
		}
	}
	alter(whole, func(v any) { whole = v })
	return all
}

// keys are a map's keys in a fixed order.
func keys(m map[any]any) (out []any) {
	for k := range uint64(64) {
		if _, ok := m[k]; ok {
			out = append(out, k)
		}
	}
	return out
}

// TestNearStateIsRefusedOrHarmless: what was saved with one field altered is refused,
// or the machine goes on from it without a panic, and neither grants to another
// receiver nor provisions what is in its place.
func TestNearStateIsRefusedOrHarmless(t *testing.T) {
	refused, harmless, seen := 0, 0, map[string]bool{}
	for seed := uint64(0); len(seen) < 12 && seed < 200; seed++ {
		w := newWalk(rand.New(rand.NewPCG(seed, 1)).IntN, bend{})
		for range 60 {
			w.anything()
			at := fmt.Sprint("sender ", w.sender.is.State, len(w.sender.is.Offers) > 1)
			if !seen[at] {
				seen[at] = true
				for _, b := range near(t, w.sender.saved) {
					if nearSender(t, w, at, b) {
						harmless++
					} else {
						refused++
					}
				}
			}
			d := w.receivers[0]
			at = fmt.Sprint("receiver ", d.is.State, len(d.is.Candidates) > 1)
			if !seen[at] && d.is.State != Opened {
				seen[at] = true
				for _, b := range near(t, d.saved) {
					if nearReceiver(t, w, at, b) {
						harmless++
					} else {
						refused++
					}
				}
			}
		}
	}
	if len(seen) < 12 || refused < 100 || harmless < 100 {
		t.Errorf("of %d states, %d near ones were refused and %d harmless: this shows little", len(seen), refused, harmless)
	}
	t.Logf("%d states: %d near ones were refused, %d were harmless", len(seen), refused, harmless)
}

// nearSender lets everything happen to a near state of the walk's sender that has
// happened to the sender, and a little more.
func nearSender(t *testing.T, w *walk, at string, saved []byte) (read bool) {
	s, err := UnmarshalSender(saved)
	if err != nil {
		return false
	}
	defer func() {
		if p := recover(); p != nil {
			t.Errorf("%s: a near state panics: %v\n%s", at, p, diagnosis(saved))
		}
	}()
	pin, was := s.Candidate(), s.State
	events := []Event{Woken{}, Arrived{w.toOne[0]}, Arrived{w.toOne[1]}, Cancel{}, Remaining{time.Hour}, Arrived{w.toOne[0]}, Over{s.Proof}, Copied{}}
	for i := 0; i < len(events); i++ {
		if task, ok := s.Task(); ok {
			s, _ = s.Step(w.now, w.rnd, Answered{Key: task.Key, Answer: Answer{Out: [][]byte{{1}}, Grants: true}})
		}
		s, _ = s.Step(w.now, w.rnd, events[i])
		s.Outbox()
		s.Decision()
		if (was == Granted || was == Unresolved) && s.Pin != nil && s.Candidate() != pin {
			t.Errorf("%s: a near state pins another candidate after the grant\n%s", at, diagnosis(saved))
		}
	}
	return true
}

func nearReceiver(t *testing.T, w *walk, at string, saved []byte) (read bool) {
	r, err := UnmarshalReceiver(saved)
	if err != nil {
		return false
	}
	defer func() {
		if p := recover(); p != nil {
			t.Errorf("%s: a near state panics: %v\n%s", at, p, diagnosis(saved))
		}
	}()
	for _, e := range []Event{Woken{}, Arrived{w.toAll}, Accept{}, Remaining{time.Hour}, Arrived{w.toAll}, Redirect{}, Decline{}, Over{w.sender.is.Proof}, Copied{}} {
		if task, ok := r.Task(); ok {
			if task.Do == Provision {
				t.Errorf("%s: a near state provisions without asking\n%s", at, diagnosis(saved))
			}
			r, _ = r.Step(w.now, w.rnd, Answered{Key: task.Key, Answer: Answer{Done: true}})
			r, _ = r.Step(w.now, w.rnd, Looked{Key: task.Key, There: true})
		}
		r, _ = r.Step(w.now, w.rnd, e)
		r.Outbox()
		r.Decision()
	}
	return true
}

func diagnosis(b []byte) string {
	s, err := cbor.Diagnose(b)
	if err != nil {
		return err.Error()
	}
	return s[:min(len(s), 2000)]
}
