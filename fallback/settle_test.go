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
	last, over := word(discovery.Sender, 0, 0), discovery.Decision{Over: &frame.Proof{}}
	ended := Load{Frames: []frame.Frame{last}, Everywhere: []frame.Frame{last}, Decision: over}
	told := Load{Decision: over, Told: true}
	stays := Load{Decision: over, Told: true, Stay: true}
	answers := Load{Told: true, Answers: true}
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
		{"where the other device needs no more and there is no mailbox, at once", lan, nil, met, told, 0},
		{"where a mailbox may still be found, when it should have been", Config{}, nil, met, told, boxPatience - time.Second},
		{"where one works, when it has taken it", Config{}, slowly, met, ended, 300 * time.Millisecond},
		{"where it fails, when it has failed", Config{}, down, met, told, 100 * time.Millisecond},
		{"where it doesn't answer, when its time is up", Config{}, hanging, met, told, boxPatience},
		{"not where it fails and nobody was told", Config{}, down, nil, ended, never},
		{"not where it fails and there is nothing else to say it to", Config{}, down, nil, Load{Decision: over}, never},
		{"nor where somebody is there who hasn't shown that it needs no more", Config{}, down, met, Load{Decision: over}, never},
		{"not where nobody is there", lan, nil, nil, ended, never},
		{"not where a path has taken it: anybody can be at its end", lan, nil, met, ended, never},
		{"not where a path has taken it and a mailbox fails", Config{}, down, met, ended, never},
		{"not before the share has ended", lan, nil, met, Load{Frames: []frame.Frame{last}}, never},
		{"where nothing was ever told to anybody, at once", lan, nil, nil, Load{Decision: over}, 0},
		{"who hasn't the last word stays until it is quiet", lan, nil, repeats, stays, linger - 100*time.Millisecond + way},
		{"but not for as long as anybody at a path's end likes", lan, nil, talks, stays, answerFor},
		{"or until the other side has gone", lan, nil, leaves, stays, 500*time.Millisecond + way},
		{"where it has long been quiet, not at all", lan, nil, met, stays, 0},
		{"who owes an answer stays until a path has taken it", lan, nil, asks, answers, 200*time.Millisecond + 3*way},
		{"and where nobody comes for it, for a while", lan, nil, nil, answers, answerFor},
	} {
		t.Run(c.promise, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d := newDevice(t, discovery.Sender, c.config)
				d.ended = c.load.Answers
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

// repeats is one that says the same again after a while.
func repeats(d *device) {
	d.say(1)
	time.AfterFunc(900*time.Millisecond, func() { d.say(1) })
}

// talks is one that says the same again and again.
func talks(d *device) {
	d.say(1)
	time.AfterFunc(500*time.Millisecond, func() { talks(d) })
}

// leaves is one that does, and then goes away.
func leaves(d *device) {
	repeats(d)
	time.AfterFunc(1500*time.Millisecond, d.stop)
}

// asks is one that has its last word answered when the share has ended.
func asks(d *device) { time.AfterFunc(1200*time.Millisecond, func() { d.say(1) }) }

func slowly(m *pathtest.Mailbox) discovery.Path { return m.Path(discovery.Sender, nil) }

func down(m *pathtest.Mailbox) discovery.Path {
	m.Down(true)
	return m.Path(discovery.Sender, nil)
}

func hanging(*pathtest.Mailbox) discovery.Path {
	return pathtest.NewMailbox(time.Hour).Path(discovery.Sender, nil)
}

// TestWhoAnswersStaysUntilTheAnswerIsTaken: a device that needs no more and leaves at once
// would take its own last word with it.
func TestWhoAnswersStaysUntilTheAnswerIsTaken(t *testing.T) {
	for taken, want := range map[time.Duration]time.Duration{3 * time.Second: 3 * time.Second, time.Hour: answerFor} {
		synctest.Test(t, func(t *testing.T) {
			d := newDevice(t, discovery.Sender, Config{NoMailbox: true})
			defer d.stop()
			mine, theirs := pathtest.NewCable("room", 0).Ends()
			d.c.Add(mine)
			synctest.Wait()
			began := time.Now()
			d.c.Reply(mine, lastAck)
			d.c.Carry(Load{Decision: discovery.Decision{Over: &frame.Proof{}}, Told: true})
			if _, err := theirs.Receive(t.Context()); err != nil {
				t.Fatal(err)
			}
			time.AfterFunc(taken, func() { theirs.Taken(true) })
			<-d.c.Settled()
			if took := time.Since(began); took < want || took > want+10*time.Millisecond {
				t.Errorf("its answer is taken after %v; it is settled after %v, want %v", taken, took, want)
			}
		})
	}
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
		c.Judge(a.From, Verdict{OK: true})
		leave()
		<-gone
		if n := pathtest.Unanswered(mine); n > 0 {
			t.Errorf("%d pieces were judged and not answered", n)
		}
	})
}
