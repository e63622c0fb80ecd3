package fallback

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sparekey/sparekey/discovery"
	"github.com/sparekey/sparekey/discovery/pathtest"
	"github.com/sparekey/sparekey/noise/frame"
)

// TestEndedShareIsSettledOnceAllIsDoneThatCanBe says when, in which room.
func TestEndedShareIsSettledOnceAllIsDoneThatCanBe(t *testing.T) {
	last := word(discovery.Sender, 0, 0)
	ended := Load{Frames: []frame.Frame{last}, Everywhere: []frame.Frame{last}, Decision: discovery.Decision{Over: &frame.Proof{}}}
	stays := Load{Frames: []frame.Frame{last}, Everywhere: []frame.Frame{last}, Stay: true}
	quiet := Load{Decision: discovery.Decision{Over: &frame.Proof{}}, Stay: true}
	lan := Config{NoMailbox: true}
	const way = time.Millisecond
	for _, c := range []struct {
		promise string
		config  Config
		box     func(*pathtest.Mailbox) discovery.Path // nil: there is none
		peer    func(*device)                          // what it does; nil: there is none
		load    Load
		want    time.Duration
	}{
		{"where the other device has taken it and there is no mailbox, at once", lan, nil, met, ended, 2 * way},
		{"where a mailbox may still be found, when it should have been", Config{}, nil, met, ended, boxPatience - time.Second},
		{"where one works, when it has taken it", Config{}, slowly, met, ended, 300 * time.Millisecond},
		{"where it fails, when it has failed", Config{}, down, met, ended, 100 * time.Millisecond},
		{"where it doesn't answer, when its time is up", Config{}, hanging, met, ended, boxPatience},
		{"not where it fails and nobody has taken it", Config{}, down, nil, ended, never},
		{"not where it fails and there is nothing else to say it to", Config{}, down, nil, Load{Decision: discovery.Decision{Over: &frame.Proof{}}}, never},
		{"not where nobody is there", lan, nil, nil, ended, never},
		{"not by who hasn't shown that it is the other device", lan, nil, func(*device) {}, ended, never},
		{"not by another receiver, that takes whatever comes", lan, nil, func(d *device) { d.c.Carry(Load{Frames: []frame.Frame{other}}) }, ended, never},
		{"not before the share has ended", lan, nil, met, Load{Frames: []frame.Frame{last}}, never},
		{"where nothing was ever told to anybody, at once", lan, nil, nil, Load{Decision: discovery.Decision{Over: &frame.Proof{}}}, 0},
		{"who hasn't the last word stays until it is quiet", lan, nil, met, stays, linger + 2*way},
		{"or until the other side has gone", lan, nil, leaves, stays, 500 * time.Millisecond},
		{"who has heard it, too", lan, nil, met, quiet, 0},
	} {
		t.Run(c.promise, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d := newDevice(t, discovery.Sender, c.config)
				defer d.stop()
				if c.peer != nil {
					peer := newDevice(t, discovery.Receiver, lan)
					peer.mutely = true // who has ended has no keys to acknowledge with
					defer peer.stop()
					a, b := pathtest.NewCable("room", way).Ends()
					d.c.Add(a)
					peer.c.Add(b)
					c.peer(peer)
				}
				if c.box != nil {
					d.c.Add(c.box(pathtest.NewMailbox(100 * time.Millisecond)))
				}
				time.Sleep(time.Second) // the path is known for what it is
				began := time.Now()
				v := d.carry(c.load)
				got := never
				select {
				case s := <-d.c.Settled():
					if got = time.Since(began); s != v {
						t.Errorf("load %d is settled, want %d", s, v)
					}
				case <-time.After(time.Hour):
				}
				if got < c.want || got > c.want+10*time.Millisecond || (got == never) != (c.want == never) {
					t.Errorf("settled after %v, want %v", got, c.want)
				}
			})
		})
	}
}

// met is a peer that shows itself.
func met(d *device) { d.say(1) }

// leaves is one that goes away a while after.
func leaves(d *device) {
	d.say(1)
	time.AfterFunc(1500*time.Millisecond, d.stop)
}

func slowly(m *pathtest.Mailbox) discovery.Path { return m.Path(discovery.Sender, nil) }

func down(m *pathtest.Mailbox) discovery.Path {
	m.Down(true)
	return m.Path(discovery.Sender, nil)
}

func hanging(*pathtest.Mailbox) discovery.Path {
	return pathtest.NewMailbox(time.Hour).Path(discovery.Sender, nil)
}

// TestEachPieceIsAnsweredOnceWhenItIsJudged: what nobody has judged isn't answered, so
// whoever sent it doesn't rely on it.
func TestEachPieceIsAnsweredOnceWhenItIsJudged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDevice(t, discovery.Sender, Config{})
		defer d.stop()
		c := New(Config{})
		go c.Run(d.ctx)
		mine, others := pathtest.NewCable("room", 0).Ends()
		d.c.Add(others)
		c.Add(mine)
		d.carry(Load{Frames: []frame.Frame{offer, handshake, word(discovery.Sender, 5, 0)}})
		for n := range 3 {
			a := <-c.Arrivals()
			synctest.Wait()
			if got := pathtest.Unanswered(mine); got != 1 {
				t.Errorf("%d pieces wait for an answer, want the one that isn't judged", got)
			}
			if len(c.Arrivals()) > 0 {
				t.Error("the next piece has come before the answer")
			}
			c.Judge(a.From, Verdict{OK: n > 0})
			synctest.Wait()
		}
		if got := pathtest.Unanswered(mine); got > 1 {
			t.Errorf("%d pieces are unanswered", got)
		}
	})
}

// TestWhatWasJudgedBeforeTheEndIsAnswered: a device that has all it wants leaves at
// once, and the other side waits for nothing but this answer.
func TestWhatWasJudgedBeforeTheEndIsAnswered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDevice(t, discovery.Sender, Config{})
		defer d.stop()
		ctx, leave := context.WithCancel(t.Context())
		c := New(Config{})
		gone := make(chan struct{})
		go func() { defer close(gone); c.Run(ctx) }()
		mine, others := pathtest.NewCable("room", 0).Ends()
		d.c.Add(others)
		c.Add(mine)
		d.carry(Load{Frames: []frame.Frame{offer}})
		a := <-c.Arrivals()
		synctest.Wait()
		leave()
		c.Judge(a.From, Verdict{OK: true})
		<-gone
		if n := pathtest.Unanswered(mine); n > 0 {
			t.Errorf("%d pieces were judged and not answered", n)
		}
	})
}
