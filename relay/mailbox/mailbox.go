// Package mailbox is the relay's client: a discovery.Finder that gives a share's
// mailbox as a path. What a relay says is believed in nothing but the proof
// (h, over): everything else is shown, and tried again.
//
// A path lives as long as its connection. When that breaks, the path ends and a
// new one takes its place, on which all that is unacknowledged is sent again: a
// relay that was restored from an older state is mended by that.
package mailbox

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sparekey/sparekey/discovery"
	"github.com/sparekey/sparekey/noise/frame"
	"github.com/sparekey/sparekey/relay/wire"
)

// Times of a client. A stream that is silent for longer than silence is dead: a
// relay's heartbeat comes every 20 s.
const (
	callTime   = 20 * time.Second
	viewWait   = 100 // seconds that a view is held
	silence    = 50 * time.Second
	firstRetry = 100 * time.Millisecond
	lastRetry  = 5 * time.Second

	// What didn't open comes again at once where it was damaged on the way.
	// What a stranger has put into a lane never opens, however often it is read.
	lastAgain = time.Minute

	// What holds other bytes in our place has rarely changed its mind; the
	// next path asks whether it has.
	retiredWait = 30 * time.Second
)

// A Finder finds the mailbox of a share at the relay that the link names.
type Finder struct{ config Config }

// New returns a Finder.
func New(c Config) *Finder {
	if c.Jitter == nil {
		c.Jitter = rand.Float64
	}
	return &Finder{c}
}

// Find implements discovery.Finder. Each path has a connection of its own, and
// no two shares have anything in common. It fails at once where the relay's
// address can't be asked.
func (f *Finder) Find(ctx context.Context, m discovery.Meeting, found func(discovery.Path)) error {
	if m.Relay == "" {
		<-ctx.Done()
		return nil
	}
	wait := firstRetry
	for ctx.Err() == nil {
		t, err := newTransport(f.config, m.Relay)
		if err != nil {
			return err
		}
		began := time.Now()
		p := newPath(ctx, m, t, f.config.Jitter)
		found(p)
		<-p.ctx.Done()
		p.Close()
		if time.Since(began) > silence {
			wait = firstRetry
		}
		pause := wait
		if p.retired.Load() {
			pause = retiredWait
		}
		sleep(ctx, p.spread(pause))
		wait = min(2*wait, lastRetry)
	}
	return nil
}

func sleep(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}

// A path is one connection to a mailbox.
type path struct {
	m      discovery.Meeting
	id     frame.ShareID
	t      transport
	ctx    context.Context
	cancel context.CancelFunc
	work   sync.WaitGroup
	pieces chan []frame.Frame

	jitter  func() float64
	retired atomic.Bool

	mu     sync.Mutex
	claims bool                         // the claims stream runs, or has run
	lanes  map[frame.Candidate]*lane    // those that are followed
	next   map[frame.Candidate]uint64   // behind what this path has written to a lane
	closed map[frame.Candidate][32]byte // lanes that are closed, and the hash of the frame that closed them
	filled map[frame.Candidate]int      // how often a lane's handshake has come, for those it has come for
	offer  uint64                       // the latest epoch of which this path has sent the offer, or is about to
	delete bool                         // the mailbox is being deleted, and its streams end by that

	round context.Context // ends when everything is to be asked for again
	renew context.CancelFunc
	asked bool          // Again has been called in this round
	again time.Duration // how long the last round was put off
	begun time.Time     // when this round began
}

func newPath(ctx context.Context, m discovery.Meeting, t transport, jitter func() float64) *path {
	ctx, cancel := context.WithCancel(ctx)
	p := &path{
		m: m, id: m.ID, t: t, ctx: ctx, cancel: cancel, pieces: make(chan []frame.Frame), jitter: jitter,
		lanes: map[frame.Candidate]*lane{}, next: map[frame.Candidate]uint64{}, closed: map[frame.Candidate][32]byte{}, filled: map[frame.Candidate]int{},
	}
	p.round, p.renew = context.WithCancel(ctx)
	if m.Role == discovery.Receiver {
		p.work.Go(p.view)
	}
	return p
}

// Again implements discovery.Mailbox.
func (p *path) Again() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.asked || p.ctx.Err() != nil {
		return
	}
	p.asked = true
	p.again = min(2*p.again, lastAgain)
	if p.again == 0 || time.Since(p.begun) > 2*p.again {
		p.again = firstRetry
	}
	wait := p.spread(p.again)
	p.work.Go(func() {
		sleep(p.ctx, wait)
		p.mu.Lock()
		defer p.mu.Unlock()
		p.renew()
		p.asked, p.begun = false, time.Now()
		p.round, p.renew = context.WithCancel(p.ctx)
	})
}

// inRound returns a context for one request of this round.
func (p *path) inRound(ctx context.Context) (context.Context, context.CancelFunc) {
	p.mu.Lock()
	round := p.round
	p.mu.Unlock()
	ctx, cancel := context.WithCancel(ctx)
	stop := context.AfterFunc(round, cancel)
	return ctx, func() { stop(); cancel() }
}

// spread returns a time from the half of d to d.
func (p *path) spread(d time.Duration) time.Duration {
	return d/2 + time.Duration(p.jitter()*float64(d/2))
}

// String implements discovery.Path.
func (p *path) String() string { return "relay " + p.t.host() }

// Close implements discovery.Path.
func (p *path) Close() error {
	p.mu.Lock() // nothing is started after this
	p.cancel()
	p.mu.Unlock()
	p.work.Wait()
	p.t.close()
	return nil
}

// Receive implements discovery.Path.
func (p *path) Receive(ctx context.Context) ([]frame.Frame, error) {
	select {
	case f := <-p.pieces:
		return f, nil
	case <-p.ctx.Done():
		return nil, errClosed
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

var errClosed = errors.New("the path is closed")

func (p *path) deliver(frames []frame.Frame) {
	if len(frames) == 0 {
		return
	}
	select {
	case p.pieces <- frames:
	case <-p.ctx.Done():
	}
}

func (p *path) report(r discovery.Report) {
	r.Path = p.String()
	if p.m.Report != nil {
		p.m.Report(r)
	}
}

func (p *path) at(place wire.Place) wire.Path { return wire.Path{Place: place, ID: p.id} }

func (p *path) lane(place wire.Place, c frame.Candidate) wire.Path {
	return wire.Path{Place: place, ID: p.id, Lane: c}
}

// Send implements discovery.Path. Acks and taken are for direct paths: a
// mailbox is told by Settle.
func (p *path) Send(ctx context.Context, frames ...frame.Frame) error {
	ctx, cancel := p.within(ctx)
	defer cancel()
	for _, group := range groups(frames) {
		if err := p.send(ctx, group); err != nil {
			return p.failed(err)
		}
	}
	return nil
}

// within bounds a call by the path's own life.
func (p *path) within(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithTimeout(ctx, callTime)
	stop := context.AfterFunc(p.ctx, cancel)
	return ctx, func() { stop(); cancel() }
}

// groups splits frames into requests: one offer; a handshake with the data
// behind it; data without a gap.
func groups(frames []frame.Frame) (out [][]frame.Frame) {
	size := 0
	for _, f := range frames {
		if f.Kind() == frame.Ack || f.Kind() == frame.Taken {
			continue
		}
		if n := len(out); n > 0 && f.Kind() == frame.Data && size+len(f)+4 <= wire.MaxBody && len(out[n-1]) < wire.MaxFrames {
			last := out[n-1][len(out[n-1])-1]
			if last.Kind() != frame.Offer && last.Candidate() == f.Candidate() && last.Seq()+1 == f.Seq() {
				out[n-1] = append(out[n-1], f)
				size += len(f) + 4
				continue
			}
		}
		out, size = append(out, []frame.Frame{f}), len(f)+4
	}
	return out
}

func (p *path) send(ctx context.Context, group []frame.Frame) error {
	switch f := group[0]; f.Kind() {
	case frame.Offer:
		if f.Seq() == 0 {
			return p.create(ctx, f)
		}
		p.offering(f.Seq())
		at := p.at(wire.Offer)
		at.Seq = f.Seq()
		err := p.t.do(ctx, call{method: "PUT", path: at, token: p.m.Token, body: frame.Append(nil, f)})
		if is(err, wire.Conflict) {
			return nil // the relay is at a later one, whose turn comes; a false one shows in its claims
		}
		return err
	case frame.Handshake:
		return p.claim(ctx, group)
	default:
		return p.append(ctx, group)
	}
}

// offering notes that the offer of an epoch is sent.
func (p *path) offering(epoch uint64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.offer = max(p.offer, epoch)
}

// overtaken reports whether an epoch's offer is followed by another one of this path's.
func (p *path) overtaken(epoch uint64) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return epoch < p.offer
}

// append adds to this side's log of a lane. Where the relay sees a gap before a frame
// that doesn't follow what this path has written, it is bridged.
func (p *path) append(ctx context.Context, group []frame.Frame) error {
	err := p.put(ctx, group)
	if first := group[0]; is(err, wire.Conflict) && !p.follows(first) {
		if err := p.bridge(ctx, first); err != nil {
			return err
		}
		err = p.put(ctx, group)
	}
	if err == nil {
		p.wrote(group)
	}
	return err
}

// put is one request that appends.
func (p *path) put(ctx context.Context, group []frame.Frame) error {
	c := p.entry(wire.Entry, group[0])
	c.method, c.frames, c.left = "PUT", group, p.living
	return p.t.do(ctx, c)
}

// entry returns a call about this side's log of a frame's lane. A receiver shows the
// link too, so that it is told by what a lane was closed.
func (p *path) entry(place wire.Place, f frame.Frame) call {
	c := call{path: p.lane(place, f.Candidate()), token: p.m.Token}
	c.path.Side = wire.Sender
	if place == wire.Entry {
		c.path.Seq = f.Seq()
	}
	if p.m.Role == discovery.Receiver {
		c.path.Side, c.token, c.claim = wire.Receiver, p.m.View, &p.m.Token
	}
	return c
}

func (p *path) create(ctx context.Context, offer frame.Frame) error {
	c := p.m.Create
	if c == nil {
		return fmt.Errorf("%w: only the share's sender has an offer to store", discovery.ErrRetired)
	}
	body := wire.Create{
		Preimage: c.Preimage, Offer: offer, View: sha256.Sum256(p.m.View[:]), Sender: sha256.Sum256(p.m.Token[:]), Lanes: c.Lanes, TTL: c.TTL,
	}.Body()
	err := p.t.do(ctx, call{method: "PUT", path: p.at(wire.Mailbox), body: body, left: p.living})
	if err == nil {
		p.subscribe()
	}
	return err
}

// subscribe follows the claims, once.
func (p *path) subscribe() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.claims && p.ctx.Err() == nil {
		p.claims = true
		p.work.Go(p.followClaims)
	}
}

func (p *path) living(left time.Duration) {
	if left == 0 {
		return // it didn't say
	}
	p.report(discovery.Report{State: discovery.Living, Left: left})
}

// failed turns what a relay answered into what a carrier acts on, and tells people.
func (p *path) failed(err error) error {
	problem := (*wire.Problem)(nil)
	switch {
	case p.ctx.Err() != nil:
		return errClosed
	case !errors.As(err, &problem):
		p.report(discovery.Report{State: discovery.Failing, Err: err})
		return err
	}
	switch problem.Type {
	case wire.Gone:
		if p.over(problem) {
			return fmt.Errorf("the share has ended: %w", err)
		}
	case wire.Busy:
		p.report(discovery.Report{State: discovery.Busy})
		return err
	case wire.Absent:
		p.report(discovery.Report{State: discovery.Missing})
		return err
	case wire.Closed:
		if f, perr := frame.Parse(problem.Closing); perr == nil {
			p.deliver([]frame.Frame{f})
		}
		return err
	case wire.Conflict:
		p.retired.Store(true)
		err = fmt.Errorf("%w: the relay holds other bytes where ours belong: %w", discovery.ErrRetired, err)
	}
	p.report(discovery.Report{State: discovery.Failing, Err: err})
	return err
}

// over reports a proof that the share has ended, if it is one.
func (p *path) over(problem *wire.Problem) bool {
	if problem.Over == nil {
		return false
	}
	proof := frame.Proof{H: problem.Over.H, Over: problem.Over.Over}
	if !proof.Proves(p.id) {
		return false
	}
	p.report(discovery.Report{State: discovery.Ended, Over: &proof})
	return true
}

func is(err error, t wire.Type) bool {
	var problem *wire.Problem
	return errors.As(err, &problem) && problem.Type == t
}

// Settle implements discovery.Mailbox.
func (p *path) Settle(ctx context.Context, d discovery.Decision) error {
	ctx, cancel := p.within(ctx)
	defer cancel()
	if d.Over != nil {
		return p.end(ctx, *d.Over)
	}
	for _, f := range d.Closed {
		if err := p.shut(ctx, f); err != nil {
			return p.failed(err)
		}
	}
	if d.Pinned == (frame.Candidate{}) {
		return nil
	}
	body := wire.Binding{Epoch: d.Epoch, Lane: d.Pinned, Claim: d.Claim}.Body()
	err := p.t.do(ctx, call{method: "PUT", path: p.at(wire.Confirm), token: p.m.Token, body: body})
	if err == nil || is(err, wire.Conflict) && p.overtaken(d.Epoch) {
		return nil // the relay has the next offer by now, and nobody is bound by this
	}
	return p.failed(err)
}

// end deletes the mailbox. The claims stream ends by that, sooner than the delete
// is answered: it must not take the path, and the delete, with it.
func (p *path) end(ctx context.Context, over frame.Proof) error {
	p.mu.Lock()
	p.delete = true
	p.mu.Unlock()
	err := p.t.do(ctx, call{method: "DELETE", path: p.at(wire.Mailbox), body: wire.Proof{H: over.H, Over: over.Over}.Body()})
	if err == nil || is(err, wire.Absent) || is(err, wire.Gone) {
		return nil
	}
	err = p.failed(err)
	p.cancel() // the next path asks again, and has all its streams
	return err
}

// shut closes a lane, once on this path unless it is filled again: a lane that was
// closed for good and confirmed later stays open.
func (p *path) shut(ctx context.Context, f frame.Frame) error {
	c, sum := f.Candidate(), sha256.Sum256(f)
	p.mu.Lock()
	done, filled := p.closed[c] == sum, p.filled[c]
	p.mu.Unlock()
	if done {
		return nil
	}
	var body []byte
	if len(f.Sealed()) > 0 {
		body = frame.Append(nil, f)
	}
	err := p.t.do(ctx, call{method: "DELETE", path: p.lane(wire.Lane, c), token: p.m.Token, body: body})
	if err != nil && !is(err, wire.Conflict) { // a confirmed lane stays
		return err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.filled[c] == filled { // else it may be open again, whatever this answer says
		p.closed[c] = sum
	}
	return nil
}
