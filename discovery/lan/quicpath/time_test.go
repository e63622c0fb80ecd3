package quicpath

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sparekey/sparekey/discovery"
	"github.com/sparekey/sparekey/noise/frame"
)

// In these tests time is a bubble's: a delay is exact, and computing takes none.

func TestTheFirstFrameIsThereAfterOneRoundTrip(t *testing.T) {
	for _, size := range []int{100, maxFirst - 4 - frame.HeaderSize} {
		synctest.Test(t, func(t *testing.T) {
			const delay = 50 * time.Millisecond
			n := newNetwork(delay)
			sender, receiver := pair("first frame")
			sender.First = func() []frame.Frame { return frames(size) }
			_, b, found := room(t, n, sender)
			start := time.Now()
			p := dial(t, b, receiver)
			if got, err := p.Receive(t.Context()); err != nil || !same(got, frames(size)) {
				t.Fatalf("%d frames came: %v", len(got), err)
			}
			if took := time.Since(start); took != 2*delay {
				t.Errorf("%d bytes came after %.2f round trips, not one", size, took.Seconds()/(2*delay).Seconds())
			}
			<-found
			if took := time.Since(start); took != 3*delay {
				t.Errorf("the listener has its path after %.2f round trips, not one and a half", took.Seconds()/(2*delay).Seconds())
			}
		})
	}
}

func TestAPieceIsAnsweredAfterOneRoundTrip(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const delay = 50 * time.Millisecond
		sender, receiver := pair("answer")
		listens, dials := meet(t, newNetwork(delay), sender, receiver)
		for _, way := range []struct{ from, to discovery.Direct }{{dials, listens}, {listens, dials}} {
			synctest.Wait()
			start := time.Now()
			if err := give(t, way.from, way.to); err != nil {
				t.Fatal(err)
			}
			if took := time.Since(start); took != 2*delay {
				t.Errorf("Send took %.2f round trips, not one", took.Seconds()/(2*delay).Seconds())
			}
		}
	})
}

func TestAPathThatWaitsCostsTwelvePacketsAMinute(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork(time.Millisecond)
		sender, receiver := pair("idle")
		listens, dials := meet(t, n, sender, receiver)
		time.Sleep(time.Minute) // what a connection does at its start: the largest packet is found out
		start := time.Now()
		const minutes = 30
		time.Sleep(minutes * time.Minute)
		of := map[string]int{}
		for _, p := range n.since(start) {
			of[p.from.String()]++
		}
		t.Logf("in %d minutes the listener sent %d packets and the dialler %d", minutes, of[alice], of[bob])
		if all := of[alice] + of[bob]; all > 13*minutes || all < 11*minutes {
			t.Errorf("%d packets in %d minutes are not 12 a minute", all, minutes)
		}
		if err := give(t, dials, listens); err != nil {
			t.Errorf("and the path works still: %v", err)
		}
	})
}

func TestAPathToADeviceThatIsGoneFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork(time.Millisecond)
		sender, receiver := pair("gone")
		listens, dials := meet(t, n, sender, receiver)
		time.Sleep(time.Minute)
		n.setCut(true)
		start := time.Now()
		failed := make(chan time.Duration)
		for _, p := range []discovery.Direct{listens, dials} {
			go func() {
				if _, err := p.Receive(t.Context()); err == nil {
					t.Error("nothing comes from a device that is gone")
				}
				failed <- time.Since(start)
			}()
		}
		for range 2 {
			if after := <-failed; after > silence+keepAlive {
				t.Errorf("it was noticed after %v, not %v at most", after, silence+keepAlive)
			}
		}
	})
}

func TestWhoSendsToADeviceThatIsGoneNoticesSooner(t *testing.T) {
	for _, end := range []string{"listener", "dialler"} {
		synctest.Test(t, func(t *testing.T) {
			n := newNetwork(time.Millisecond)
			sender, receiver := pair("sooner")
			p, dials := meet(t, n, sender, receiver)
			if end == "dialler" {
				p = dials
			}
			time.Sleep(time.Minute)
			n.setCut(true)
			start := time.Now()
			err := p.Send(t.Context(), frames(100)...)
			if took := time.Since(start); err == nil || took > 2*mute {
				t.Errorf("it took the %s %v, not %v at most: %v", end, took, 2*mute, err)
			}
			if _, err := p.Receive(t.Context()); err == nil {
				t.Error("the whole path has failed")
			}
		})
	}
}

func TestADeviceMayTakeItsTimeForAnAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sender, receiver := pair("slow")
		listens, dials := meet(t, newNetwork(time.Millisecond), sender, receiver)
		for _, way := range []struct{ from, to discovery.Direct }{{dials, listens}, {listens, dials}} {
			go func() {
				way.to.Receive(t.Context())
				time.Sleep(10 * time.Minute)
				way.to.Taken(true)
			}()
			if err := way.from.Send(t.Context(), frames(100)...); err != nil {
				t.Error(err)
			}
		}
	})
}

func TestAPathOutlivesASilenceThatIsShort(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork(time.Millisecond)
		sender, receiver := pair("short")
		listens, dials := meet(t, n, sender, receiver)
		time.Sleep(time.Minute)
		for range 10 {
			n.setCut(true)
			time.Sleep(3 * time.Second)
			n.setCut(false)
			time.Sleep(30 * time.Second)
		}
		if err := give(t, listens, dials); err != nil {
			t.Error(err)
		}
	})
}

func TestAnAnswerArrivesThoughThePathIsClosedAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const delay = 100 * time.Millisecond
		n := newNetwork(delay)
		sender, receiver := pair("last answer")
		listens, dials := meet(t, n, sender, receiver)
		for _, way := range []struct{ from, to discovery.Direct }{{dials, listens}, {listens, dials}} {
			answer := make(chan error, 1)
			go func() { answer <- way.from.Send(t.Context(), frames(100)...) }()
			take(t, way.to, true)
			if way.to == dials {
				start := time.Now()
				way.to.Close()
				if took := time.Since(start); took != 2*delay {
					t.Errorf("Close takes the round trip that the answer takes, not %v", took)
				}
			}
			if err := <-answer; err != nil {
				t.Fatalf("what was taken is known to be taken: %v", err)
			}
		}
	})
}

func TestCloseWaitsForADeviceThatIsGoneNoLongerThanASecond(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork(time.Millisecond)
		sender, receiver := pair("linger")
		listens, dials := meet(t, n, sender, receiver)
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		go dials.Send(ctx, frames(100)...)
		if _, err := listens.Receive(ctx); err != nil {
			t.Fatal(err)
		}
		n.setCut(true)
		listens.Taken(true)
		start := time.Now()
		listens.Close()
		if took := time.Since(start); took != lingerFor {
			t.Errorf("Close took %v; the answer never arrived, and it waits %v for it", took, lingerFor)
		}
		start = time.Now()
		dials.Close()
		if took := time.Since(start); took != 0 {
			t.Errorf("Close took %v with nothing to wait for", took)
		}
	})
}

func TestDialGivesUpOnSilence(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork(time.Millisecond)
		b := n.on(t, bob)
		_, receiver := pair("silence")
		start := time.Now()
		if _, err := b.Dial(t.Context(), aliceAt, receiver); err == nil {
			t.Error("nobody is there")
		}
		if took := time.Since(start); took > proveWithin {
			t.Errorf("Dial took %v, not %v at most", took, proveWithin)
		}
	})
}
