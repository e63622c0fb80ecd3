package share_test

import (
	"bytes"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/sparekey/sparekey/node/share"
	"github.com/sparekey/sparekey/node/share/sharetest"
	"github.com/sparekey/sparekey/noise/frame"
	"github.com/sparekey/sparekey/vectortest"
)

// TestStories runs the transcripts in testdata, and writes what they print there
// with -update. Together they take every row of both tables.
func TestStories(t *testing.T) {
	untaken := share.RecordRows(t)
	sharetest.Each(t, "testdata", func(t *testing.T, file, story string) {
		got := sharetest.Play(t, story, sharetest.Way{})
		if vectortest.Update() {
			if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
				t.Fatal(err)
			}
		} else if got != story {
			t.Errorf("%s goes another way now; -update writes it:\n%s", file, got)
		}
	})
	for _, row := range untaken() {
		if !strings.HasPrefix(row, unasked) {
			t.Errorf("no story takes the row %s", row)
		}
	}
}

// unasked is a row that waits for a factor: nothing but attempts that are used up
// makes a sender say declined to a receiver that hasn't.
const unasked = `receiver: claimed, "declined"`

// TestLIE05EveryFrameDeliveredFiveTimesHasOneEffect: the same stories, word for word.
func TestLIE05EveryFrameDeliveredFiveTimesHasOneEffect(t *testing.T) {
	fiveTimes := func(_ testing.TB, _, _ string, frames []frame.Frame) [][]frame.Frame {
		return [][]frame.Frame{slices.Concat(frames, frames), frames, slices.Concat(frames, frames)}
	}
	sharetest.Each(t, "testdata", func(t *testing.T, _, story string) { sameStory(t, story, sharetest.Way{Carry: fiveTimes}) })
}

// TestCRS01KilledAfterEveryStepEachStoryEndsTheSame: whatever a side has not saved
// it does without.
func TestCRS01KilledAfterEveryStepEachStoryEndsTheSame(t *testing.T) {
	unchanged(t, sharetest.Way{Crash: true})
}

// TestStoriesRunOverAStreamOfFrames puts the codec that QUIC, libp2p and HTTP
// bodies use between the devices.
func TestStoriesRunOverAStreamOfFrames(t *testing.T) {
	unchanged(t, sharetest.Way{Carry: func(t testing.TB, _, _ string, frames []frame.Frame) [][]frame.Frame {
		got, err := frame.NewReader(bytes.NewReader(frame.Append(nil, frames...))).ReadAll(1 << 20)
		if err != nil {
			t.Fatal(err)
		}
		return [][]frame.Frame{got}
	}})
}

// unchanged runs all stories in another way and wants the same words.
func unchanged(t *testing.T, way sharetest.Way) {
	sharetest.Each(t, "testdata", func(t *testing.T, _, story string) { sharetest.Unchanged(t, story, way) })
}
