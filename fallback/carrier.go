// Package fallback carries one share over many paths as if they were one. It
// reads no frame but its header, and decides nothing about the share.
//
// A Carrier is told what is wanted now (a Load: a state, not a queue) and sees
// to it that every path has it: what a path lacks is sent, and sent again until
// the path takes it; mailboxes are made to agree with the Decision. A frame that
// leaves the load was acknowledged end to end. What comes from any path comes out
// of Arrivals. The rules of when to use which path stand in policy.go.
package fallback

import (
	"context"
	"crypto/sha256"
	"errors"
	"maps"
	"math/rand/v2"
	"reflect"
	"slices"
	"sync"
	"time"

	"github.com/sparekey/sparekey/discovery"
	"github.com/sparekey/sparekey/noise/frame"
)

// A Load is what is wanted now.
type Load struct {
	Frames     []frame.Frame      // what the other side has not acknowledged, in order
	Everywhere []frame.Frame      // of these, what every mailbox must have too, whichever path is better
	Decision   discovery.Decision // what mailboxes are to agree with
}

// An Arrival is what came in one piece by a path.
type Arrival struct {
	Frames []frame.Frame
	From   discovery.Path
}

// A Config says how a Carrier goes about it. The zero Config is for devices.
type Config struct {
	Jitter func() float64 // in [0,1), to spread retries; nil: math/rand
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
	ok   bool
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

// Judge tells whether what came by a path authenticated.
func (c *Carrier) Judge(p discovery.Path, ok bool) {
	c.leave(func() { c.judged = append(c.judged, judgement{p, ok}) })
}

// Arrivals is where frames come out. Whoever reads it must go on reading.
func (c *Carrier) Arrivals() <-chan Arrival { return c.arrivals }

// Settled gives the version of a load when nothing is left to do for it: a
// mailbox has all of it and agrees with its decision, or it is empty. Of
// several, only the newest may be given.
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
	r := &run{c: c, ctx: ctx, results: make(chan result)}
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
	cancel()
	for _, t := range r.tracks {
		t.path.Close()
	}
	r.running.Wait()
}

// A run is the state of Run.
type run struct {
	c       *Carrier
	ctx     context.Context
	tracks  []*track
	load    Load
	version uint64
	told    uint64 // the version last given by Settled
	results chan result
	running sync.WaitGroup
}

// A track is one path and what it has.
type track struct {
	path    discovery.Path
	has     map[[32]byte]bool // frames it has taken
	agrees  *discovery.Decision
	stale   bool               // what it agreed to has to be asked of it once more
	sending bool               // frames are under way
	settles bool               // the decision is under way
	failed  map[errand]backoff // what failed last time, and when to try again
	blame   int
	replies chan []frame.Frame
}

// An errand is what fails and is tried again by itself: the frames of one
// candidate, or the decision. A lane that is closed or busy must not hold up
// the others.
type errand struct {
	decide    bool
	candidate frame.Candidate
}

// A result is what became of a piece of work on a track.
type result struct {
	track   *track
	errand  errand
	sent    []frame.Frame
	decided *discovery.Decision
	broken  bool // its receiving end has failed
	err     error
}

// collect takes what callers have left.
func (r *run) collect() {
	c := r.c
	c.mu.Lock()
	added, judged, replies := c.added, c.judged, c.replies
	c.added, c.judged, c.replies = nil, nil, nil
	if c.version != r.version {
		r.renew(c.load, c.version)
	}
	c.mu.Unlock()
	for _, p := range added {
		r.add(p)
	}
	for _, j := range judged {
		if t := r.find(j.path); t != nil {
			r.judge(t, j.ok)
		}
	}
	for _, rep := range replies {
		if t := r.find(rep.path); t != nil {
			select {
			case t.replies <- rep.frames:
			default: // the other side asks again
			}
		}
	}
}

// renew takes a newer load. A decision that is new is tried at once.
func (r *run) renew(l Load, version uint64) {
	if !reflect.DeepEqual(l.Decision, r.load.Decision) {
		for _, t := range r.tracks {
			delete(t.failed, errand{decide: true})
		}
	}
	r.load, r.version = l, version
}

func (r *run) find(p discovery.Path) *track {
	for _, t := range r.tracks {
		if t.path == p {
			return t
		}
	}
	return nil
}

func (r *run) add(p discovery.Path) {
	t := &track{path: p, has: map[[32]byte]bool{}, failed: map[errand]backoff{}, replies: make(chan []frame.Frame, maxReplies)}
	r.tracks = append(r.tracks, t)
	r.running.Go(func() { r.receive(t) })
	r.running.Go(func() { r.reply(t) })
}

// judge takes what was said of what came by a path. Strangers may write to a
// mailbox, so it isn't to blame for what doesn't open: it is asked once more, and
// made to agree once more, for a lane that had been closed may have been filled again.
func (r *run) judge(t *track, ok bool) {
	if ok {
		t.blame = 0
		return
	}
	if box, stores := t.path.(discovery.Mailbox); stores {
		box.Again()
		t.stale = true
		return
	}
	if t.blame++; t.blame >= maxBlame {
		r.drop(t)
	}
}

func (r *run) drop(t *track) {
	t.path.Close()
	close(t.replies)
	r.tracks = slices.DeleteFunc(r.tracks, func(o *track) bool { return o == t })
}

// receive hands on what comes by a path, no faster than handshakes may come.
func (r *run) receive(t *track) {
	pace := newPace(handshakesPerSecond)
	for {
		frames, err := t.path.Receive(r.ctx)
		if err != nil {
			r.bring(result{track: t, broken: true, err: err})
			return
		}
		for _, f := range frames {
			if f.Kind() == frame.Handshake && !pace.wait(r.ctx) {
				return
			}
		}
		select {
		case r.c.arrivals <- Arrival{frames, t.path}:
		case <-r.ctx.Done():
			return
		}
	}
}

func (r *run) reply(t *track) {
	for {
		select {
		case frames, ok := <-t.replies:
			if !ok {
				return
			}
			t.path.Send(r.ctx, frames...) // lost replies are asked for again
		case <-r.ctx.Done():
			return
		}
	}
}

func (r *run) bring(res result) {
	select {
	case r.results <- res:
	case <-r.ctx.Done():
	}
}

// work starts what is to be done on each path, and returns when to look again
// if nothing happens.
func (r *run) work() time.Duration {
	next := time.Hour
	now := time.Now()
	for _, t := range r.tracks {
		next = min(next, r.serve(t, now))
	}
	r.settle()
	return next
}

// serve starts the next piece of work that is due on a path, frames before the
// decision: one request with frames at a time, and one for the decision. Frames
// don't wait for the answer to a decision: the grant would stand a round trip
// behind the confirm. An offer does wait: a mailbox refuses a confirm that comes
// behind the next offer, and a refusal here retires the path. The decision
// doesn't wait for frames that fail: a lane may have to be confirmed first, or the
// share is over. serve returns how long it is until more is due.
func (r *run) serve(t *track, now time.Time) (wait time.Duration) {
	wait = time.Hour
	if t.sending {
		return wait
	}
	due := func(e errand) bool {
		left := t.failed[e].until.Sub(now)
		if left > 0 {
			wait = min(wait, left)
		}
		return left <= 0
	}
	for _, frames := range t.lacks(r.load.Frames) {
		if t.settles && frames[0].Kind() == frame.Offer {
			continue
		}
		if e := (errand{candidate: frames[0].Candidate()}); due(e) {
			t.sending = true
			r.running.Go(func() { r.bring(result{track: t, errand: e, sent: frames, err: t.path.Send(r.ctx, frames...)}) })
			return wait
		}
	}
	box, stores := t.path.(discovery.Mailbox)
	d := r.load.Decision
	if e := (errand{decide: true}); stores && !t.settles && !t.agreed(d) && due(e) {
		t.settles, t.stale = true, false
		r.running.Go(func() { r.bring(result{track: t, errand: e, decided: &d, err: box.Settle(r.ctx, d)}) })
	}
	return wait
}

// take notes what became of a piece of work.
func (r *run) take(res result) {
	t := res.track
	if !slices.Contains(r.tracks, t) {
		return
	}
	if res.broken || errors.Is(res.err, discovery.ErrRetired) {
		r.drop(t)
		return
	}
	if res.errand.decide {
		t.settles = false
	} else {
		t.sending = false
	}
	if res.err != nil {
		t.failed[res.errand] = t.failed[res.errand].again(time.Now(), r.c.config.Jitter())
		return
	}
	delete(t.failed, res.errand)
	for _, f := range res.sent {
		t.has[sha256.Sum256(f)] = true
	}
	if res.decided != nil {
		t.agrees = res.decided
		clear(t.failed) // frames may have failed for the lack of it
	}
}

// settle tells when nothing is left to do for the newest load.
func (r *run) settle() {
	if r.told == r.version || r.version == 0 || !r.isSettled() {
		return
	}
	r.told = r.version
	select { // replace what nobody has taken
	case <-r.c.settled:
	default:
	}
	r.c.settled <- r.version
}

func (r *run) isSettled() bool {
	if len(r.load.Frames) == 0 && reflect.DeepEqual(r.load.Decision, discovery.Decision{}) {
		return true
	}
	for _, t := range r.tracks {
		if _, stores := t.path.(discovery.Mailbox); !stores || !t.agreed(r.load.Decision) {
			continue
		}
		if len(t.lacks(r.load.Frames)) == 0 || r.load.Decision.Over != nil {
			return true
		}
	}
	return false
}

// agreed reports whether a mailbox has been made to agree with d.
func (t *track) agreed(d discovery.Decision) bool {
	if t.agrees == nil || t.stale {
		return reflect.DeepEqual(d, discovery.Decision{})
	}
	return reflect.DeepEqual(*t.agrees, d)
}

// lacks returns what the path doesn't have, by candidate and in order, so that a
// handshake and what stands behind it are one request. What left the load is
// forgotten.
func (t *track) lacks(load []frame.Frame) (pieces [][]frame.Frame) {
	wanted := make(map[[32]byte]bool, len(load))
	place := map[frame.Candidate]int{}
	for _, f := range load {
		sum := sha256.Sum256(f)
		wanted[sum] = true
		if t.has[sum] {
			continue
		}
		i, ok := place[f.Candidate()]
		if !ok {
			i = len(pieces)
			place[f.Candidate()] = i
			pieces = append(pieces, nil)
		}
		pieces[i] = append(pieces[i], f)
	}
	maps.DeleteFunc(t.has, func(sum [32]byte, _ bool) bool { return !wanted[sum] })
	return pieces
}
