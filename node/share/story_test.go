package share_test

import (
	"bytes"
	"os"
	"path/filepath"
	"regexp"
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
	eachStory(t, func(t *testing.T, file, story string) {
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
	eachStory(t, func(t *testing.T, _, story string) {
		got := sharetest.Play(t, story, sharetest.Way{Carry: fiveTimes})
		if refusals.ReplaceAllString(got, "") != refusals.ReplaceAllString(story, "") {
			t.Errorf("the story goes another way:\n%s", got)
		}
	})
}

// refusals are of frames that don't open: said once each time they come. Where
// they were all that happened, nothing does.
var refusals = regexp.MustCompile(`(?m)^(.*: something did not authenticate|nothing happens)\n`)

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
	eachStory(t, func(t *testing.T, _, story string) {
		if got := sharetest.Play(t, story, way); got != story {
			t.Errorf("the story goes another way:\n%s", got)
		}
	})
}

// eachStory calls f with each transcript.
func eachStory(t *testing.T, f func(t *testing.T, file, story string)) {
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) < 25 {
		t.Fatalf("%d stories in testdata, want 25 or more; %v", len(files), err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			b, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			f(t, file, string(b))
		})
	}
}
