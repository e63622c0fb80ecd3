package fallback

import (
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/sparekey/sparekey/discovery/pathtest"
)

// TestWhateverPathsDoEachFrameComesAndSendingComesToRest: cables come, go, are pulled,
// lose and repeat, the mailbox goes down and up, and both sides talk meanwhile. Once
// the mailbox works again all that was said is heard within two minutes; what it cost
// is bounded, and an hour later nobody sends anything more.
func TestWhateverPathsDoEachFrameComesAndSendingComesToRest(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		plan := rapid.SliceOfN(rapid.Custom(anAct), 1, 40).Draw(rt, "plan")
		wrong := ""
		synctest.Test(t, func(t *testing.T) {
			w := &weather{pair: newPair(t, 30*time.Millisecond)}
			defer w.stop()
			for _, a := range plan {
				w.do(a)
			}
			wrong = w.clears()
		})
		if wrong != "" {
			rt.Fatal(wrong)
		}
	})
}

// An act is something that happens to two devices.
type act struct {
	What string
	N    int
	Wait time.Duration // before the next
}

func anAct(t *rapid.T) act {
	return act{
		rapid.SampledFrom([]string{"cable", "bad cable", "pull", "break", "down", "up", "a says", "b says", "a says", "b says"}).Draw(t, "what"),
		rapid.IntRange(0, 5).Draw(t, "n"),
		rapid.SampledFrom([]time.Duration{0, time.Millisecond, 100 * time.Millisecond, time.Second, 10 * time.Second}).Draw(t, "wait"),
	}
}

// weather is what two devices live through.
type weather struct {
	*pair
	cables []*pathtest.Cable
	said   [2]int
}

var delays = []time.Duration{0, time.Millisecond, 20 * time.Millisecond, 80 * time.Millisecond, 200 * time.Millisecond, time.Second}

func (w *weather) do(a act) {
	switch a.What {
	case "cable":
		w.cables = append(w.cables, w.cable(fmt.Sprint(a.N%3), delays[a.N]))
	case "bad cable":
		w.badCable(fmt.Sprint("bad ", a.N%3), delays[a.N])
	case "pull", "break":
		if len(w.cables) > 0 {
			if c := w.cables[a.N%len(w.cables)]; a.What == "pull" {
				c.Pull()
			} else {
				c.Break()
			}
		}
	case "down", "up":
		w.box.Down(a.What == "down")
	case "a says":
		w.a.say(a.N)
		w.said[0] += a.N
	case "b says":
		w.b.say(a.N)
		w.said[1] += a.N
	}
	time.Sleep(a.Wait)
}

// badCable lays one that loses a piece of four, and brings another one twice.
func (w *weather) badCable(name string, delay time.Duration) {
	c := pathtest.NewCable(name, delay)
	var n atomic.Int64
	c.Fate = func() pathtest.Fate {
		return []pathtest.Fate{pathtest.Comes, pathtest.Twice, pathtest.Comes, pathtest.Lost}[n.Add(1)%4]
	}
	a, b := c.Ends()
	w.a.c.Add(a)
	w.b.c.Add(b)
	w.cables = append(w.cables, c)
}

func (w *weather) sent() int64 {
	n := w.box.Sent.Load()
	for _, c := range w.cables {
		n += c.Sent.Load()
	}
	return n
}

// clears brings the mailbox up and returns what is wrong then.
func (w *weather) clears() string {
	w.box.Down(false)
	time.Sleep(2 * time.Minute)
	var wrong []string
	for i, d := range []*device{w.b, w.a} {
		for seq := range uint64(w.said[i]) {
			if times, _ := d.heard(seq); times == 0 {
				wrong = append(wrong, fmt.Sprintf("frame %d of side %d was never heard", seq, i))
			}
		}
	}
	frames, paths := int64(w.said[0]+w.said[1]), int64(len(w.cables)+1)
	if n := w.sent(); n > 40*(frames+1)*paths {
		wrong = append(wrong, fmt.Sprintf("%d frames were sent for %d over %d paths", n, frames, paths))
	}
	time.Sleep(time.Hour)
	before := w.sent()
	if time.Sleep(time.Hour); w.sent() != before {
		wrong = append(wrong, fmt.Sprintf("hours later %d frames were sent", w.sent()-before))
	}
	return strings.Join(wrong, "; ")
}
