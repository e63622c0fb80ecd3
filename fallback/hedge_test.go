package fallback

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sparekey/sparekey/discovery"
	"github.com/sparekey/sparekey/discovery/pathtest"
	"github.com/sparekey/sparekey/noise/frame"
)

const never = time.Duration(-1)

// boxed returns how long after now each frame of a load is at the mailbox, up to a
// minute.
func (p *pair) boxed(l Load) []time.Duration {
	began, out := time.Now(), make([]time.Duration, len(l.Frames))
	p.a.carry(l)
	for i := range out {
		out[i] = never
	}
	for time.Since(began) < time.Minute {
		synctest.Wait()
		for i, f := range l.Frames {
			for _, at := range p.box.Frames(discovery.Sender) {
				if string(at) == string(f) && out[i] == never {
					out[i] = time.Since(began)
				}
			}
		}
		time.Sleep(10 * time.Millisecond)
	}
	return out
}

// TestMailboxGetsWhatItMustAtOnceAndElseWhatIsLate goes through policy.go's table.
func TestMailboxGetsWhatItMustAtOnceAndElseWhatIsLate(t *testing.T) {
	frames := func(fs ...frame.Frame) Load { return Load{Frames: fs} }
	end := func(fs ...frame.Frame) Load { return Load{Frames: fs, Everywhere: fs} }
	w0, w1 := word(discovery.Sender, 100, 0), word(discovery.Sender, 101, 0)
	for _, c := range []struct {
		promise string
		before  func(p *pair) // what has happened before the load
		load    Load
		want    []time.Duration
	}{
		{"without a direct path all of it", func(*pair) {}, frames(offer, w0), []time.Duration{0, 0}},
		{"a direct path that has brought nothing carries nothing", func(p *pair) { p.cable("new", 0) }, frames(w0), []time.Duration{0}},
		{"a direct path that works carries alone", func(p *pair) { p.cable("good", time.Millisecond); p.b.say(1) }, frames(w0, w1), []time.Duration{never, never}},
		{"but not an offer, a handshake and its claim", func(p *pair) { p.cable("good", time.Millisecond); p.b.say(1) }, frames(offer, handshake, claim), []time.Duration{0, 0, 0}},
		{"nor what ends the share", func(p *pair) { p.cable("good", time.Millisecond); p.b.say(1) }, end(w0), []time.Duration{0}},
		{"what isn't acknowledged is hedged", func(p *pair) { p.b.mutely = true; p.cable("mute", time.Millisecond); p.b.say(1) }, frames(w0, w1), []time.Duration{minHedge, minHedge}},
		{"so is what goes into a cable that is pulled", func(p *pair) { c := p.cable("good", time.Millisecond); p.b.say(1); time.Sleep(time.Second); c.Pull() }, frames(w0), []time.Duration{minHedge}},
		{"a slow path is given twice its round trip", func(p *pair) {
			c := p.cable("slow", 200*time.Millisecond)
			p.b.say(1)
			time.Sleep(time.Second)
			for range 20 { // until that is what it is known for
				p.a.say(1)
				time.Sleep(time.Second)
			}
			c.Pull()
		}, frames(w0), []time.Duration{800 * time.Millisecond}},
		{"one that is refused goes on at once", func(p *pair) { p.refusing(); p.b.say(1) }, frames(w0), []time.Duration{2 * time.Millisecond}},
		{"a route that flaps carries nothing", func(p *pair) {
			for range 3 {
				c := p.cable("loose", time.Millisecond)
				p.b.say(1)
				time.Sleep(time.Second)
				c.Break()
				time.Sleep(time.Second)
			}
			p.cable("loose", time.Millisecond)
			p.b.say(1)
		}, frames(w0), []time.Duration{0}},
	} {
		t.Run(c.promise, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := newPair(t, 0)
				defer p.stop()
				c.before(p)
				time.Sleep(time.Second)
				got := p.boxed(c.load)
				for i, want := range c.want {
					if near := got[i] >= want && got[i] <= want+20*time.Millisecond; !near || (got[i] == never) != (want == never) {
						t.Errorf("%s %d is at the mailbox after %v, want %v", c.load.Frames[i].Kind(), c.load.Frames[i].Seq(), got[i], want)
					}
				}
			})
		})
	}
}

// refusing lays a cable whose other end takes nothing after the first piece: it is
// another receiver's.
func (p *pair) refusing() {
	c := pathtest.NewCable("another's", time.Millisecond)
	a, b := c.Ends()
	p.a.c.Add(a)
	go b.Send(p.b.ctx, word(discovery.Receiver, 0, 0))
	go func() {
		for {
			if _, err := b.Receive(p.b.ctx); err != nil {
				return
			}
			b.Taken(false)
		}
	}()
}

// TestFastestDirectPathCarries: of two it is the one that is acknowledged sooner, and
// the other once that is gone.
func TestFastestDirectPathCarries(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPair(t, 0)
		defer p.stop()
		slow := p.cable("slow", 30*time.Millisecond)
		p.b.say(1)
		time.Sleep(time.Second)
		p.a.say(1)
		time.Sleep(time.Second)
		fast := p.cable("fast", time.Millisecond)
		p.b.say(1)
		time.Sleep(time.Second)
		for range 3 {
			p.a.say(1)
			time.Sleep(time.Second)
		}
		before := slow.Sent.Load()
		p.a.say(1)
		time.Sleep(time.Second)
		if n := slow.Sent.Load() - before; n != 0 {
			t.Errorf("%d frames went by the slow cable", n)
		}
		fast.Break()
		p.a.say(1)
		began := time.Now()
		time.Sleep(time.Second)
		if times, at := p.b.heard(5); times != 1 || at.Sub(began) > 40*time.Millisecond {
			t.Errorf("once the fast one is broken a frame has come %d times, after %v", times, at.Sub(began))
		}
	})
}

// TestNSW02EitherPathIsCutForGoodAndTheOtherCarriesOn: within two seconds, whichever
// it is and whether anybody is told.
func TestNSW02EitherPathIsCutForGoodAndTheOtherCarriesOn(t *testing.T) {
	for name, cut := range map[string]func(p *pair, c *pathtest.Cable){
		"the cable is pulled, and nobody is told": func(_ *pair, c *pathtest.Cable) { c.Pull() },
		"the direct path breaks":                  func(_ *pair, c *pathtest.Cable) { c.Break() },
		"the mailbox is down":                     func(p *pair, _ *pathtest.Cable) { p.box.Down(true) },
	} {
		for _, under := range []bool{false, true} { // is anything under way when it happens?
			t.Run(fmt.Sprintf("%s, frames under way: %v", name, under), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					p := newPair(t, 30*time.Millisecond)
					defer p.stop()
					c := p.cable("good", 2*time.Millisecond)
					p.b.say(1)
					time.Sleep(time.Second)
					p.a.say(5)
					if !under {
						time.Sleep(time.Second)
					}
					time.Sleep(time.Millisecond)
					cut(p, c)
					began := time.Now()
					p.a.say(5)
					p.b.say(5)
					time.Sleep(2 * time.Second)
					for seq := range uint64(10) {
						if times, at := p.b.heard(seq); times == 0 || at.Sub(began) > 2*time.Second {
							t.Errorf("the sender's frame %d came %d times, after %v", seq, times, at.Sub(began))
						}
					}
					for seq := range uint64(6) {
						if times, _ := p.a.heard(seq); times == 0 {
							t.Errorf("the receiver's frame %d didn't come", seq)
						}
					}
				})
			})
		}
	}
}

// TestNSW03PathThatComesAndGoesIsBackedOff: what is said meanwhile goes by the mailbox
// and comes soon, and the path costs ever less.
func TestNSW03PathThatComesAndGoesIsBackedOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPair(t, 50*time.Millisecond)
		defer p.stop()
		var sent []int64
		for n := range uint64(30) {
			c := p.cable("loose", time.Millisecond)
			p.b.say(1)
			time.Sleep(1900 * time.Millisecond)
			p.a.say(1)
			c.Pull() // and is noticed a while later
			began := time.Now()
			time.Sleep(100 * time.Millisecond)
			c.Break()
			time.Sleep(2 * time.Second)
			if times, at := p.b.heard(n); times == 0 || at.Sub(began) > 2*time.Second || n > 3 && at.Sub(began) > 110*time.Millisecond {
				t.Errorf("the frame of flap %d came %d times, after %v", n, times, at.Sub(began))
			}
			sent = append(sent, c.Sent.Load())
		}
		for n, s := range sent {
			if s > 80 {
				t.Errorf("flap %d cost %d frames", n, s)
			}
		}
	})
}

// early is a path that has carried frames before it was found.
type early struct {
	discovery.Direct
	frames []frame.Frame
}

func (e early) Early() []frame.Frame { return e.frames }

// TestWhatRodeInTheFirstFlightIsNotSentAgainAtOnce: an offer never, what is to be
// acknowledged and isn't after a while.
func TestWhatRodeInTheFirstFlightIsNotSentAgainAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDevice(t, discovery.Sender, Config{})
		defer d.stop()
		grant, later := word(discovery.Sender, 0, 0), word(discovery.Sender, 1, 0)
		c := pathtest.NewCable("room", 0)
		a, b := c.Ends()
		d.c.Add(early{a, []frame.Frame{offer, grant}})
		d.carry(Load{Frames: []frame.Frame{offer, grant, later}})
		got := func(what string, want ...frame.Frame) {
			t.Helper()
			synctest.Wait()
			if n := c.Sent.Swap(0); n != int64(len(want)) {
				t.Fatalf("%s: %d frames are sent, want %d", what, n, len(want))
			}
			if len(want) == 0 {
				return
			}
			frames, err := b.Receive(t.Context())
			if err != nil || fmt.Sprintf("%x", frames) != fmt.Sprintf("%x", want) {
				t.Errorf("%s: %x: %v", what, frames, err)
			}
			b.Taken(true)
		}
		got("at once", later)
		time.Sleep(minHedge - time.Millisecond)
		got("before it is overdue")
		time.Sleep(2 * time.Millisecond)
		got("when it is", grant)
		time.Sleep(repeatAfter / 2)
		got("and then")
	})
}

// TestWhatWasTakenAndDroppedIsSentAgain: now and then, until it is acknowledged.
func TestWhatWasTakenAndDroppedIsSentAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newDevice(t, discovery.Sender, Config{NoMailbox: true})
		b := newDevice(t, discovery.Receiver, Config{NoMailbox: true})
		p := &pair{a: a, b: b}
		defer p.stop()
		p.cable("room", time.Millisecond)
		b.mutely = true // as if it hadn't come
		a.say(1)
		time.Sleep(repeatAfter - time.Second)
		if times, _ := b.heard(0); times != 1 {
			t.Errorf("within %v it has come %d times", repeatAfter, times)
		}
		time.Sleep(2 * repeatAfter)
		b.mu.Lock()
		b.mutely = false
		b.mu.Unlock()
		time.Sleep(time.Hour)
		if times, _ := b.heard(0); times != 4 {
			t.Errorf("it has come %d times, want 3 and the one that was acknowledged", times)
		}
	})
}

// TestTheLastAcknowledgementIsSentHoweverManyWait: it says all that those before said.
func TestTheLastAcknowledgementIsSentHoweverManyWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDevice(t, discovery.Receiver, Config{})
		defer d.stop()
		a, b := pathtest.NewCable("room", time.Second).Ends()
		d.c.Add(a)
		synctest.Wait()
		const acks = 3 * maxReplies
		for n := range uint64(acks) {
			d.c.Reply(a, count(n+1))
			synctest.Wait()
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		frames, last := 0, uint64(0)
		for last < acks {
			got, err := b.Receive(ctx)
			if err != nil {
				t.Fatalf("after %d, up to %d, none comes any more: %v", frames, last, err)
			}
			b.Taken(true)
			frames += len(got)
			last = got[len(got)-1].Seq()
		}
		if frames != 2 {
			t.Errorf("%d acknowledgements were sent for %d, up to %d", frames, acks, last)
		}
	})
}
