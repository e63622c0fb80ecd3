package share

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"
)

// later is a moment after t by the boot-time clock and by the wall clock.
func later(t Time, up, wall time.Duration) Time {
	t.Up, t.Wall = t.Up+up, t.Wall+wall
	return t
}

// rebooted is a moment a minute into a new boot, so much later by the wall clock.
func rebooted(t Time, wall time.Duration) Time {
	t.Boot[5]++
	t.Up, t.Wall = time.Minute, t.Wall+wall
	return t
}

const (
	offerTime = time.Hour // the walks' shares: so long an offer,
	graceTime = time.Hour // and so long a claimed one after that
	year      = 365 * 24 * time.Hour
)

// started is a share whose offer has just been made and, if so, claimed by the first
// receiver and pinned.
func started(pinned bool) *walk {
	w := newWalk(rand.New(rand.NewPCG(2, 2)).IntN, bend{})
	w.look(0)
	if pinned {
		w.look(0)
		w.stepSender(Arrived{w.receivers[0].is.Outbox()})
	}
	return w
}

// TestCLK02WallClockAndSleepNeitherProlongNorCut: within a boot a share lives exactly
// its time, whatever the wall clock says, whether it is stepped on the way or sleeps.
func TestCLK02WallClockAndSleepNeitherProlongNorCut(t *testing.T) {
	for name, wall := range map[string]time.Duration{"right": 0, "a day back": -24 * time.Hour, "five years on": 5 * year, "five years back": -5 * year} {
		for _, steps := range []int{1, 7} {
			t.Run(fmt.Sprintf("%s, in %d steps", name, steps), func(t *testing.T) {
				for pinned, c := range map[bool]struct {
					life time.Duration
					end  State
				}{false: {offerTime, Expired}, true: {offerTime + graceTime, Expired}} {
					w := started(pinned)
					s, r, now := w.sender.is, w.receivers[0].is, w.now
					for i := range steps {
						at := later(now, c.life/time.Duration(steps)*time.Duration(i+1)-time.Second, wall)
						if s, _ = s.Step(at, w.rnd, Woken{}); s.State.Ended() {
							t.Fatalf("pinned %v: it ended %v before its time", pinned, c.life-(at.Up-now.Up))
						}
						r, _ = r.Step(at, w.rnd, Woken{})
					}
					if left := s.Left(later(now, c.life-time.Second, wall)); left != time.Second {
						t.Errorf("pinned %v: %v is left, want a second", pinned, left)
					}
					s, eff := s.Step(later(now, c.life, wall), w.rnd, Woken{})
					if s.State != c.end || !eff.Save {
						t.Errorf("pinned %v: at the end of its time it is %s", pinned, s.State)
					}
					if r, _ = r.Step(later(now, offerTime+graceTime, wall), w.rnd, Woken{}); r.State != Expired {
						t.Errorf("pinned %v: at the end of its time the receiver is %s", pinned, r.State)
					}
				}
			})
		}
	}
}

// TestCLK03RebootBringsNothingBackAndLosesNothing: across a reboot the wall clock's
// advance since the last save counts, at least 0. One that is set back gives as much
// again as was used since that save, and no more.
func TestCLK03RebootBringsNothingBackAndLosesNothing(t *testing.T) {
	for name, c := range map[string]struct {
		used, wall time.Duration // before the reboot, unsaved; by the wall clock from the save to the start
		left       time.Duration // of the offer, after it
	}{
		"right clock":           {10 * time.Minute, 20 * time.Minute, 40 * time.Minute},
		"right clock, too late": {0, offerTime, 0},
		"set back a day":        {10 * time.Minute, -24 * time.Hour, offerTime},
		"stands still":          {50 * time.Minute, 0, offerTime},
		"set right by years":    {0, 5 * year, 0},
	} {
		t.Run(name, func(t *testing.T) {
			w := started(false)
			s, r := must(UnmarshalSender(w.sender.saved)), must(UnmarshalReceiver(w.receivers[0].saved))
			s.Step(later(w.now, c.used, c.used), w.rnd, Woken{}) // and the device dies
			at := rebooted(w.now, c.wall)
			if left := s.Left(at); left != c.left {
				t.Errorf("the sender has %v left, want %v", left, c.left)
			}
			if left := r.Left(at); left != c.left {
				t.Errorf("the receiver has %v left, want %v", left, c.left)
			}
			if s, _ = s.Step(at, w.rnd, Woken{}); s.State.Ended() != (c.left == 0) {
				t.Errorf("with %v left it is %s", c.left, s.State)
			}
		})
	}
	t.Run("what has expired stays so", func(t *testing.T) {
		w := started(true)
		s, _ := w.sender.is.Step(later(w.now, offerTime+graceTime, 0), w.rnd, Woken{})
		saved := must(UnmarshalSender(s.Marshal()))
		for _, wall := range []time.Duration{0, -5 * year, time.Hour} {
			again, _ := saved.Step(rebooted(w.now, wall), w.rnd, Arrived{w.toOne[0]})
			if again.State != Expired || again.Left(rebooted(w.now, wall)) != 0 {
				t.Errorf("with the wall clock %v on it is %s", wall, again.State)
			}
		}
	})
}

// TestLeftCountsTheGraceOnceClaimed: until then it is the time in which it can be.
func TestLeftCountsTheGraceOnceClaimed(t *testing.T) {
	for pinned, want := range map[bool]time.Duration{false: 50 * time.Minute, true: 110 * time.Minute} {
		w := started(pinned)
		at := later(w.now, 10*time.Minute, -year)
		if left := w.sender.is.Left(at); left != want {
			t.Errorf("pinned %v: the sender has %v left, want %v", pinned, left, want)
		}
		if left := w.receivers[0].is.Left(at); left != want {
			t.Errorf("pinned %v: the receiver has %v left, want %v", pinned, left, want)
		}
		if left := w.sender.is.Left(later(at, 100*year, 0)); left != 0 {
			t.Errorf("pinned %v: long after its end it has %v left", pinned, left)
		}
	}
}

// TestMailboxShortensAndNeverProlongs, whatever it says.
func TestMailboxShortensAndNeverProlongs(t *testing.T) {
	for said, want := range map[time.Duration]time.Duration{0: 0, -time.Hour: 0, time.Minute: time.Minute, 90 * time.Minute: 90 * time.Minute, 3 * time.Hour: 2 * time.Hour, 100 * year: 2 * time.Hour} {
		w := started(true)
		s, _ := w.sender.is.Step(w.now, w.rnd, Remaining{said})
		r, _ := w.receivers[0].is.Step(w.now, w.rnd, Remaining{said})
		if s.Left(w.now) != want || r.Left(w.now) != want {
			t.Errorf("a mailbox says %v: the sender has %v left, the receiver %v, want %v", said, s.Left(w.now), r.Left(w.now), want)
		}
	}
}
