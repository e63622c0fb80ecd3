package fallback

import (
	"context"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sparekey/sparekey/discovery"
	"github.com/sparekey/sparekey/discovery/pathtest"
	"github.com/sparekey/sparekey/node/share/sharetest"
	"github.com/sparekey/sparekey/noise/frame"
)

// TestStoriesRunOverAPathThatSwitchesAtEachFrame runs all transcripts of the share's
// machines over carriers, a cable and a mailbox: each frame goes by the other one, and
// the one before it is gone. They come to the same words, but for what is said piece by
// piece: a state in between, and that something doesn't open.
func TestStoriesRunOverAPathThatSwitchesAtEachFrame(t *testing.T) {
	switched := 0
	sharetest.Each(t, "../node/share/testdata", func(t *testing.T, _, story string) {
		synctest.Test(t, func(t *testing.T) {
			s := switching{t: t, roads: map[string]*road{}}
			defer s.stop()
			if got := sharetest.Play(t, story, sharetest.Way{Carry: s.carry}); told(got) != told(story) {
				t.Errorf("the story goes another way:\n%s", got)
			}
			for _, r := range s.roads {
				switched += r.n
			}
		})
	})
	if switched < 400 {
		t.Errorf("%d pieces were carried in all", switched)
	}
}

// told returns what a story tells of a whole: states that a side goes through one after
// the other are one change.
func told(story string) string {
	var lines []string
	for line := range strings.Lines(sharetest.WithoutRefusals(story)) {
		if n := len(lines) - 1; n >= 0 {
			side, change, ok := strings.Cut(lines[n], ": ")
			was, is, ok2 := strings.Cut(strings.TrimSpace(change), " → ")
			if rest, follows := strings.CutPrefix(line, side+": "+is+" → "); ok && ok2 && follows {
				lines[n] = side + ": " + was + " → " + rest
				continue
			}
		}
		lines = append(lines, line)
	}
	return strings.Join(lines, "")
}

// switching brings frames from one device to another.
type switching struct {
	t     *testing.T
	roads map[string]*road
	stops []func()
}

// A road is what leads from one device to another, one path at a time.
type road struct {
	from, to *Carrier
	n        int // pieces so far
	leave    func()
}

func (s *switching) stop() {
	for _, stop := range s.stops {
		stop()
	}
}

func (s *switching) run() *Carrier {
	c := New(Config{Jitter: func() float64 { return 0.5 }})
	ctx, cancel := context.WithCancel(s.t.Context())
	var done sync.WaitGroup
	done.Go(func() { c.Run(ctx) })
	s.stops = append(s.stops, func() { cancel(); done.Wait() })
	return c
}

func (s *switching) carry(t testing.TB, from, to string, frames []frame.Frame) (came [][]frame.Frame) {
	r, ok := s.roads[from+" → "+to]
	if !ok {
		r = &road{from: s.run(), to: s.run(), leave: func() {}}
		s.roads[from+" → "+to] = r
	}
	for _, piece := range onePieceEach(frames) {
		came = append(came, r.bring(t, piece)...)
	}
	return came
}

// onePieceEach takes frames apart, but for a handshake and what stands behind it.
func onePieceEach(frames []frame.Frame) (pieces [][]frame.Frame) {
	for _, f := range frames {
		if n := len(pieces); n > 0 && f.Kind() == frame.Data && pieces[n-1][0].Kind() == frame.Handshake && pieces[n-1][0].Candidate() == f.Candidate() {
			pieces[n-1] = append(pieces[n-1], f)
			continue
		}
		pieces = append(pieces, []frame.Frame{f})
	}
	return pieces
}

// bring brings a piece over a new path of the kind that the last one wasn't.
func (r *road) bring(t testing.TB, piece []frame.Frame) (came [][]frame.Frame) {
	r.leave()
	r.lay()
	r.from.Carry(Load{Frames: piece})
	for left := len(piece); left > 0; {
		select {
		case a := <-r.to.Arrivals():
			r.to.Judge(a.From, Verdict{OK: true})
			came = append(came, a.Frames)
			left -= len(a.Frames)
		case <-time.After(time.Minute):
			t.Fatalf("%d of %d frames haven't come", left, len(piece))
		}
	}
	r.from.Carry(Load{}) // all of it is acknowledged
	return came
}

func (r *road) lay() {
	var a, b discovery.Path
	if r.n++; r.n%2 == 0 {
		box := pathtest.NewMailbox(20 * time.Millisecond)
		a, b = box.Path(discovery.Sender, nil), box.Path(discovery.Receiver, nil)
	} else {
		a, b = pathtest.NewCable("room", time.Millisecond).Ends()
	}
	r.from.Add(a)
	r.to.Add(b)
	r.leave = func() { a.Close(); b.Close() }
}
