package share

import (
	"bytes"
	"encoding/json"
	"errors"
	"math/rand/v2"
	"os"
	"testing"

	"github.com/sparekey/sparekey/noise/frame"
)

// published are the encodings in the test vectors, those to be refused too.
func published(f *testing.F, kind string) (all [][]byte) {
	b, err := os.ReadFile("testdata/vectors.json")
	if err != nil {
		f.Fatal(err)
	}
	var vectors map[string]json.RawMessage
	var cases []struct{ CBOR string }
	if err := errors.Join(json.Unmarshal(b, &vectors), json.Unmarshal(vectors[kind], &cases)); err != nil || len(cases) == 0 {
		f.Fatal(len(cases), err)
	}
	for _, c := range cases {
		all = append(all, unhex(f, c.CBOR))
	}
	return all
}

// FuzzBody: a body is refused, or says the same when it is written again, and keeps
// its bounds.
func FuzzBody(f *testing.F) {
	for _, b := range published(f, "bodies") {
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		v, err := decodeBody(b)
		if err != nil {
			return
		}
		again, err := decodeBody(encode(v))
		if err != nil || !bytes.Equal(encode(again), encode(v)) {
			t.Fatalf("%+v comes back as %+v: %v", v, again, err)
		}
		if len(v.Label) > maxLabel || len(v.Reason) > maxReason || v.Word == wordClaim && len(v.Claim) != 32 {
			t.Fatalf("%+v breaks a bound", v)
		}
	})
}

// FuzzPreview: a preview is refused, or can be made, and then reads back the same.
// One with a factor is read, and not made.
func FuzzPreview(f *testing.F) {
	for _, b := range published(f, "previews") {
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		p, err := DecodePreview(b)
		if err != nil {
			if !errors.Is(err, ErrPreview) {
				t.Fatalf("refused with %v, which is no ErrPreview", err)
			}
			return
		}
		p.Factor = ""
		made, err := p.Encode()
		if err != nil {
			t.Fatalf("%+v is read and can't be made: %v", p, err)
		}
		if again, err := DecodePreview(made); err != nil || again != p {
			t.Fatalf("%+v comes back as %+v: %v", p, again, err)
		}
	})
}

// FuzzSaved: what isn't a saved share is refused, and from what is read a machine goes
// on without a panic, and reads back as it is. Each seed is a real one.
func FuzzSaved(f *testing.F) {
	w := newWalk(rand.New(rand.NewPCG(1, 3)).IntN, bend{})
	for range 40 {
		for range 5 {
			w.anything()
		}
		f.Add(w.sender.saved)
		f.Add(w.receivers[0].saved)
	}
	proof := w.sender.is.Proof
	f.Fuzz(func(t *testing.T, b []byte) {
		if s, err := UnmarshalSender(b); err == nil {
			if again, err := UnmarshalSender(s.Marshal()); err != nil || !bytes.Equal(again.Marshal(), s.Marshal()) {
				t.Fatalf("a sender that was read doesn't read back: %v", err)
			}
			for _, e := range []Event{Woken{}, Arrived{w.toOne[0]}, Cancel{}, Over{proof}, Copied{}} {
				s, _ = s.Step(w.now, w.rnd, e)
				s.Outbox()
				s.Decision()
				s.Task()
			}
		}
		if r, err := UnmarshalReceiver(b); err == nil {
			if again, err := UnmarshalReceiver(r.Marshal()); err != nil || !bytes.Equal(again.Marshal(), r.Marshal()) {
				t.Fatalf("a receiver that was read doesn't read back: %v", err)
			}
			for _, e := range []Event{Woken{}, Arrived{w.toAll}, Accept{}, Decline{}, Over{proof}, Copied{}} {
				r, _ = r.Step(w.now, w.rnd, e)
				r.Outbox()
				r.Decision()
				r.Task()
			}
		}
	})
}

// FuzzArrived: whatever frames come, in whatever state, a machine takes nothing from
// them that isn't authentic: its state stays, and nothing is to be saved.
func FuzzArrived(f *testing.F) {
	w := started(true)
	for _, g := range append(w.toAll, w.toOne[0]...) {
		f.Add([]byte(g), uint16(0), byte(0))
		f.Add([]byte(g), uint16(17), byte(1))
	}
	f.Fuzz(func(t *testing.T, b []byte, at uint16, flip byte) {
		if len(b) > 0 {
			b = bytes.Clone(b)
			b[int(at)%len(b)] ^= flip
		}
		g, err := frame.Parse(b)
		if err != nil {
			return
		}
		known := func(pool []frame.Frame) bool {
			for _, k := range pool {
				if bytes.Equal(k, g) {
					return true
				}
			}
			return false
		}
		if known(w.toAll) || known(w.toOne[0]) {
			return
		}
		s, eff := w.sender.is.Step(w.now, w.rnd, Arrived{[]frame.Frame{g}})
		if s.State != w.sender.is.State || eff.Save {
			t.Fatalf("a sender takes %v %d that is none: it is %s", g.Kind(), g.Seq(), s.State)
		}
		r, eff := w.receivers[0].is.Step(w.now, w.rnd, Arrived{[]frame.Frame{g}})
		if r.State != w.receivers[0].is.State || eff.Save {
			t.Fatalf("a receiver takes %v %d that is none: it is %s", g.Kind(), g.Seq(), r.State)
		}
	})
}
