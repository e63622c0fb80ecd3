// Package fallback carries one share over many paths as if they were one. It
// reads no frame but its header, and decides nothing about the share.
//
// A Carrier is told what is wanted now (a Load: a state, not a queue) and sees
// to it that the other side gets it: by every path at once, or by the best one and
// the others where that one is late; mailboxes are made to agree with the Decision.
// What a path lacks is sent again until the path takes it. A frame that leaves the
// load was acknowledged end to end. What comes from any path comes out of Arrivals.
// The rules of when to use which path stand in policy.go.
package fallback

import (
	"context"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/sparekey/sparekey/discovery"
	"github.com/sparekey/sparekey/noise/frame"
)

// A Load is what is wanted now.
type Load struct {
	Frames     []frame.Frame      // what the other side has not acknowledged, in order
	Everywhere []frame.Frame      // of these, what every path must have too, whichever is better: what ends the share
	Decision   discovery.Decision // what mailboxes are to agree with
	Told       bool               // the share has ended, and the other device has shown that it needs nothing more
	Stay       bool               // the other side has the last word: be there for what it repeats
	Answers    bool               // and it may wait, on a direct path, for the answer
}

// over reports whether the share has ended.
func (l Load) over() bool {
	return len(l.Everywhere) > 0 || l.Decision.Over != nil || l.Told || l.Stay
}

// An Arrival is what came in one piece by a path.
type Arrival struct {
	Frames []frame.Frame
	From   discovery.Path
}

// A Config says how a Carrier goes about it. The zero Config is for devices.
type Config struct {
	Jitter    func() float64 // in [0,1), to spread retries; nil: math/rand
	NoMailbox bool           // no mailbox will ever be found
}

// A Carrier carries one share. Only Run's goroutine touches its state; the other
// methods may be called from any, and don't block.
type Carrier struct {
	config   Config
	arrivals chan Arrival
	settled  chan uint64
	wake     chan struct{}

	mu      sync.Mutex // guards what callers leave for Run
	added   []discovery.Path
	load    Load
	version uint64
	judged  []judgement
	replies []reply
}

type judgement struct {
	path discovery.Path
	Verdict
}

// A Verdict is what an arrival was worth. What follows from it is saved, and carried
// already.
type Verdict struct {
	OK  bool // all of it authenticated
	New bool // some of it the other device alone can have said, and it was new
}

type reply struct {
	path   discovery.Path
	frames []frame.Frame
}

// New returns a Carrier with nothing to carry. It works while Run does.
func New(c Config) *Carrier {
	if c.Jitter == nil {
		c.Jitter = rand.Float64
	}
	return &Carrier{config: c, arrivals: make(chan Arrival), settled: make(chan uint64, 1), wake: make(chan struct{}, 1)}
}

// Add gives the carrier a path, which it closes when it is of no more use.
func (c *Carrier) Add(p discovery.Path) { c.leave(func() { c.added = append(c.added, p) }) }

// Carry says what is wanted from now on, and returns the load's version.
func (c *Carrier) Carry(l Load) (version uint64) {
	c.leave(func() {
		c.load = l
		c.version++
		version = c.version
	})
	return version
}

// Reply sends frames on one path, once, if it can.
func (c *Carrier) Reply(p discovery.Path, frames ...frame.Frame) {
	if len(frames) > 0 {
		c.leave(func() { c.replies = append(c.replies, reply{p, frames}) })
	}
}

// Judge tells what each arrival was worth, in the order in which a path brought them.
// The other end of a direct path is told whether it was OK.
func (c *Carrier) Judge(p discovery.Path, v Verdict) {
	c.leave(func() { c.judged = append(c.judged, judgement{p, v}) })
}

// Arrivals is where frames come out. Whoever reads it must go on reading.
func (c *Carrier) Arrivals() <-chan Arrival { return c.arrivals }

// Settled gives the version of a load when nothing is left to do for it: a
// mailbox has all of it and agrees with its decision; it is empty; or the share has
// ended, no mailbox works, and the other device needs nothing more. Of several,
// only the newest may be given.
func (c *Carrier) Settled() <-chan uint64 { return c.settled }

func (c *Carrier) leave(f func()) {
	c.mu.Lock()
	f()
	c.mu.Unlock()
	select {
	case c.wake <- struct{}{}:
	default:
	}
}

// Run carries until ctx ends, and then closes all paths and leaves nothing running.
func (c *Carrier) Run(ctx context.Context) {
	ctx, cancel := context.WithCancel(ctx)
	r := &run{c: c, ctx: ctx, results: make(chan result), began: time.Now(), routes: routes{}, given: map[sum]given{}}
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for ctx.Err() == nil {
		r.collect()
		timer.Reset(r.work())
		select {
		case <-c.wake:
		case res := <-r.results:
			r.take(res)
		case <-timer.C:
		case <-ctx.Done():
		}
	}
	r.collect() // what was judged last is answered still: the other side may wait for nothing else
	cancel()
	for _, t := range r.tracks {
		r.close(t)
	}
	r.running.Wait()
}

// A run is the state of Run.
type run struct {
	c       *Carrier
	ctx     context.Context
	began   time.Time
	tracks  []*track
	routes  routes
	load    Load
	items   []item // of the load
	version uint64
	told    uint64 // the version last given by Settled
	results chan result
	running sync.WaitGroup

	given    map[sum]given // the items of the load that a path was given
	mailbox  bool          // there has been one
	free     time.Time     // since when nothing but an answer may be owed; zero: more is
	answered bool          // a direct path has taken the last ack that this side gives
}

// collect takes what callers have left. What is judged has led to the load that is
// carried by then.
func (r *run) collect() {
	c := r.c
	c.mu.Lock()
	added, judged, replies := c.added, c.judged, c.replies
	c.added, c.judged, c.replies = nil, nil, nil
	if c.version != r.version {
		r.renew(c.load, c.version, time.Now())
	}
	c.mu.Unlock()
	for _, p := range added {
		r.add(p)
	}
	for _, j := range judged {
		if t := r.find(j.path); t != nil {
			r.judge(t, j.Verdict)
		}
	}
	for _, rep := range replies {
		if t := r.find(rep.path); t != nil {
			t.reply(rep.frames)
		}
	}
}

// work starts what is to be done on each path, and returns when to look again
// if nothing happens.
func (r *run) work() time.Duration {
	next := time.Hour
	now := time.Now()
	for _, t := range r.tracks {
		r.respond(t)
		next = min(next, r.serve(t, now), r.decide(t, now))
	}
	return min(next, r.settle(now))
}

// serve starts the next piece that is due on a path: one request with frames at a
// time, and one for the decision. Frames don't wait for the answer to a decision: the
// grant, or the next offer, would stand a round trip behind the confirm. They may overtake
// each other, for a confirm names the epoch that it is for. serve returns how long it
// is until more is due.
func (r *run) serve(t *track, now time.Time) time.Duration {
	switch {
	case t.silent(now):
		return time.Hour
	case t.sending:
		return t.overdue() - now.Sub(t.begun) // other paths are looked at then
	}
	pieces, wait := r.due(t, now)
	for _, piece := range pieces {
		e := errand{candidate: piece[0].Candidate()}
		if left := t.failed[e].until.Sub(now); left > 0 {
			wait = min(wait, left)
			continue
		}
		r.send(t, e, piece, now)
		return t.overdue()
	}
	return wait
}

func (r *run) send(t *track, e errand, piece []item, now time.Time) {
	t.sending, t.begun = true, now
	frames := make([]frame.Frame, len(piece))
	for i, it := range piece {
		frames[i] = it.Frame
		r.give(t, it, now)
	}
	r.running.Go(func() { r.bring(result{track: t, errand: e, sent: piece, err: t.path.Send(r.ctx, frames...)}) })
}

// decide has a mailbox agree with the decision, once no frames are under way there.
// It doesn't wait for frames that fail: a lane may have to be confirmed first, or the
// share is over.
func (r *run) decide(t *track, now time.Time) time.Duration {
	d := r.load.Decision
	if t.box == nil || t.sending || t.settling || t.agreed(d) {
		return time.Hour
	}
	if left := t.failed[errand{decide: true}].until.Sub(now); left > 0 {
		return left
	}
	t.settling, t.stale, t.asked = true, false, now
	r.running.Go(func() {
		r.bring(result{track: t, errand: errand{decide: true}, decided: &d, err: t.box.Settle(r.ctx, d)})
	})
	return time.Hour
}
