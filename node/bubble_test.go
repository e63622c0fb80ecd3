package node_test

import (
	"context"
	"crypto/rand"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sparekey/sparekey/discovery"
	"github.com/sparekey/sparekey/node"
	"github.com/sparekey/sparekey/node/share"
	"github.com/sparekey/sparekey/noise/frame"
)

// wire is one end of a path within the process, with an hour between its ends.
type wire struct {
	out, in chan []frame.Frame
}

func (w *wire) Send(ctx context.Context, frames ...frame.Frame) error {
	time.Sleep(time.Hour) // virtual
	select {
	case w.out <- frames:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (w *wire) Receive(ctx context.Context) ([]frame.Frame, error) {
	select {
	case f := <-w.in:
		return f, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (*wire) Close() error   { return nil }
func (*wire) String() string { return "wire" }

// finder gives one path at once.
type finder struct{ path discovery.Path }

func (f finder) Find(ctx context.Context, _ discovery.Meeting, found func(discovery.Path)) error {
	found(f.path)
	<-ctx.Done()
	return nil
}

// TestShareRunsInABubble: the same devices, in virtual time, over a path with an
// hour's delay each way, in no time at all.
func TestShareRunsInABubble(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := make(chan []frame.Frame), make(chan []frame.Frame)
		alice, bob := newParty(t), newParty(t)
		alice.Finders = []discovery.Finder{finder{&wire{out: a, in: b}}}
		bob.Finders = []discovery.Finder{finder{&wire{out: b, in: a}}}
		began := time.Now()
		offer := alice.offer("", "by slow mail")
		alice.patience, bob.patience = 20*time.Hour, 20*time.Hour
		alice.start(offer)
		bob.claim(offer)
		bob.state(share.Done)
		alice.state(share.Done)
		if took := time.Since(began); bob.note.text != "by slow mail" || took < 5*time.Hour {
			t.Errorf("received %q after %v of virtual time", bob.note.text, took)
		}
		alice.stop()
		bob.stop()
	})
}

// TestCLK02ReportsAndSleepDontMoveTheEnd: an offer ends when its time is up, however
// often a mailbox has something to say, and when the device has slept, within a
// minute of its waking.
func TestCLK02ReportsAndSleepDontMoveTheEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began, slept := time.Now(), atomic.Int64{}
		alice := newParty(t)
		alice.Now = func() share.Time {
			return share.Time{Boot: [16]byte{1}, Up: time.Since(began) + time.Duration(slept.Load())}
		}
		alice.Finders = []discovery.Finder{chatty{}}
		alice.patience = 48 * time.Hour
		offer := alice.offer("", "x")
		alice.start(offer)
		time.Sleep(10 * time.Hour)
		slept.Store(int64(8 * time.Hour)) // Go's clock, and this bubble's, have stood still
		alice.state(share.Expired)
		if took := time.Since(began); took < 16*time.Hour || took > 16*time.Hour+2*time.Minute {
			t.Errorf("with 8 h of sleep, an offer of 24 h ended after %v awake", took)
		}
		alice.stop()
	})
}

// chatty finds nothing and says so, often.
type chatty struct{}

func (chatty) Find(ctx context.Context, m discovery.Meeting, _ func(discovery.Path)) error {
	for ctx.Err() == nil {
		m.Report(discovery.Report{State: discovery.Missing})
		select {
		case <-time.After(30 * time.Second):
		case <-ctx.Done():
		}
	}
	return nil
}

// hasty makes a report and brings the offer, while the share is told of something else.
type hasty struct {
	offer  []frame.Frame
	report discovery.Report
	queued chan struct{}
}

func (h hasty) Find(ctx context.Context, m discovery.Meeting, found func(discovery.Path)) error {
	m.Report(discovery.Report{State: discovery.Missing})
	<-h.queued // the share's goroutine hears of that, and stands still
	m.Report(h.report)
	in := make(chan []frame.Frame, 1)
	in <- h.offer
	found(&wire{out: make(chan []frame.Frame), in: in})
	<-ctx.Done()
	return nil
}

// TestWhatAMailboxReportsIsHeardInTheRightPlace, where a report and the offer both wait
// to be heard: a preview doesn't call a share alive that is over by then, and the proof
// that it has ended comes behind what else is known of it.
func TestWhatAMailboxReportsIsHeardInTheRightPlace(t *testing.T) {
	for name, report := range map[string]func(share.Sender) discovery.Report{
		"how long it keeps it, before": func(share.Sender) discovery.Report {
			return discovery.Report{State: discovery.Living, Left: time.Hour} // less than its grace
		},
		"that it has ended, behind": func(s share.Sender) discovery.Report {
			s, _ = s.Step(share.Time{}, rand.Reader, share.Cancel{})
			return discovery.Report{State: discovery.Ended, Over: s.Decision().Over}
		},
	} {
		t.Run(name, func(t *testing.T) {
			for range 20 { // of two that wait, either might be taken
				synctest.Test(t, func(t *testing.T) { heardInPlace(t, report) })
			}
		})
	}
}

func heardInPlace(t *testing.T, report func(share.Sender) discovery.Report) {
	offer := newParty(t).offer("", "x")
	s, err := share.UnmarshalSender(offer.Machine)
	if err != nil {
		t.Fatal(err)
	}
	h := hasty{s.Outbox(), report(s), make(chan struct{})}
	bob := newParty(t)
	bob.Finders = []discovery.Finder{h}
	r, err := bob.Open(offer.Link())
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	var previews []time.Duration // of each, how long it can be claimed
	live, err := bob.Start(ctx, "id", r, func(u node.Update) {
		switch {
		case u.Report != nil && u.Report.State == discovery.Missing:
			close(h.queued)
			time.Sleep(time.Second) // virtual: both are there by then
		case u.Preview != nil:
			previews = append(previews, u.Left)
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	time.Sleep(time.Minute) // virtual: all has been heard by then
	stop()
	live.Wait()
	ends := h.report.State == discovery.Ended
	if len(previews) == 0 || !ends && previews[0] != 0 {
		t.Errorf("told of a preview with %v left to claim it", previews)
	}
	if state, _, _, err := live.Record().State(); err != nil || (state == share.Taken) != ends {
		t.Errorf("bob stands at %q, %v", state, err)
	}
}
