package share_test

import (
	"bytes"
	"slices"
	"strings"
	"testing"

	"github.com/sparekey/sparekey/node/share/sharetest"
	"github.com/sparekey/sparekey/noise/frame"
)

// sameStory wants a story to go as it is written but for the refusals of what
// somebody put between.
func sameStory(t *testing.T, story string, way sharetest.Way) (got string) {
	t.Helper()
	got = sharetest.Play(t, story, way)
	if sharetest.WithoutRefusals(got) != sharetest.WithoutRefusals(story) {
		t.Errorf("the story goes another way:\n%s", got)
	}
	return got
}

// TestRPL02FramesOfAnotherShareAreRefusedAndTheShareGoesOn: before each piece of
// a share come all frames of another one between the same two, as they are and
// named as this share's candidates are.
func TestRPL02FramesOfAnotherShareAreRefusedAndTheShareGoesOn(t *testing.T) {
	var other []frame.Frame
	capture := func(_ testing.TB, _, _ string, frames []frame.Frame) [][]frame.Frame {
		for _, f := range frames {
			if !slices.ContainsFunc(other, func(o frame.Frame) bool { return bytes.Equal(o, f) }) {
				other = append(other, f)
			}
		}
		return [][]frame.Frame{frames}
	}
	const whole = "share; open bob; accept bob; run; holders\n"
	sharetest.Play(t, whole, sharetest.Way{Carry: capture, Seed: 2})
	kinds := map[frame.Kind]bool{}
	for _, f := range other {
		kinds[f.Kind()] = true
	}
	if !kinds[frame.Offer] || !kinds[frame.Handshake] || !kinds[frame.Data] {
		t.Fatalf("the other share sent frames of kinds %v alone", kinds)
	}
	inject := func(_ testing.TB, _, _ string, frames []frame.Frame) [][]frame.Frame {
		return [][]frame.Frame{slices.Concat(other, renamed(other, frames)), frames}
	}
	sharetest.Each(t, "testdata", func(t *testing.T, _, story string) { sameStory(t, story, sharetest.Way{Carry: inject}) })
}

// renamed gives foreign frames the candidate of the first genuine frame that has one.
func renamed(foreign, genuine []frame.Frame) (all []frame.Frame) {
	i := slices.IndexFunc(genuine, func(f frame.Frame) bool { return f.Kind() != frame.Offer })
	if i < 0 {
		return nil
	}
	for _, f := range foreign {
		if f.Kind() != frame.Offer {
			all = append(all, frame.New(f.Kind(), genuine[i].Candidate(), f.Seq(), f.Sealed()))
		}
	}
	return all
}

// TestRPL04WhatWasTakenBackOrRefusedOpensNothingWhenItIsReplayed: each time
// anything comes to a sender, all that has ever come to it comes once more
// before. Where the claim was taken back, that is after the next epoch began.
func TestRPL04WhatWasTakenBackOrRefusedOpensNothingWhenItIsReplayed(t *testing.T) {
	replayed := map[string]bool{}
	sharetest.Each(t, "testdata", func(t *testing.T, file, story string) {
		var past []frame.Frame
		sealed := map[string]frame.Frame{}
		replay := func(t testing.TB, _, to string, frames []frame.Frame) [][]frame.Frame {
			once(t, sealed, frames)
			if to != sharetest.Sender {
				return [][]frame.Frame{frames}
			}
			again := slices.Clone(past)
			past = append(past, frames...)
			return [][]frame.Frame{again, frames}
		}
		got := sameStory(t, story, sharetest.Way{Carry: replay})
		if strings.Contains(got, "opens epoch 1") && strings.Count(got, "did not authenticate") > strings.Count(story, "did not authenticate") {
			replayed[file] = true
		}
	})
	if len(replayed) == 0 {
		t.Error("in no story was a claim of an earlier epoch replayed in a later one")
	}
}

// once wants no two frames under one salt and header: with the direction's key,
// these make a frame's key.
func once(t testing.TB, sealed map[string]frame.Frame, frames []frame.Frame) {
	t.Helper()
	for _, f := range frames {
		if f.Kind() == frame.Handshake || len(f.Sealed()) == 0 {
			continue // not sealed under a salt
		}
		key := string(f[:frame.HeaderSize+16])
		if other, ok := sealed[key]; ok && !bytes.Equal(other, f) {
			t.Errorf("two frames are sealed under one key and salt: %x", f.Header())
		}
		sealed[key] = f
	}
}

// TestLIE07ADamagedFrameIsRefusedAloneAndTheGenuineOneTakenAfterIt: before each
// frame comes the same one cut, padded, and with a byte changed. In a whole
// share that is at every place; in the stories, at some.
func TestLIE07ADamagedFrameIsRefusedAloneAndTheGenuineOneTakenAfterIt(t *testing.T) {
	damage := func(step int) sharetest.Carry {
		done := map[string]bool{} // each frame once: what is damaged may be answered by an ack, which is a frame too
		return func(_ testing.TB, _, to string, frames []frame.Frame) (pieces [][]frame.Frame) {
			for _, f := range frames {
				if name := to + string(f.Header()); !done[name] {
					done[name] = true
					pieces = append(pieces, damaged(f, step))
				}
			}
			return append(pieces, frames)
		}
	}
	const whole = `share; open bob; accept bob; run; holders
----
bob: opened → viewed
bob: viewed → claimed
sender: offered → pinned
sender: pins bob
sender: pinned → granted
bob: claimed → provisioning
bob: provisions
bob: provisioning → provisioned
sender: granted → done
bob: provisioned → done
holders: 1

`
	got := sameStory(t, whole, sharetest.Way{Carry: damage(1)})
	if !strings.Contains(got, "did not authenticate") {
		t.Error("nothing was refused, so nothing was damaged")
	}
	sharetest.Each(t, "testdata", func(t *testing.T, _, story string) { sameStory(t, story, sharetest.Way{Carry: damage(151)}) })
}

// damaged returns what a frame becomes by a change or a cut at every step-th
// place, and by a byte more, as far as a path would still take it for a frame.
// Handshakes are costly to try; package noise does each of their places.
func damaged(f frame.Frame, step int) (all []frame.Frame) {
	if f.Kind() == frame.Handshake {
		step = max(step, 23)
	}
	add := func(b []byte) {
		if f, err := frame.Parse(b); err == nil {
			all = append(all, f)
		}
	}
	for i := 0; i < len(f); i += step {
		b := bytes.Clone(f)
		b[i] ^= 1
		add(b)
		add(f[:i])
	}
	add(append(bytes.Clone(f), 0))
	return all
}
