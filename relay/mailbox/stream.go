package mailbox

import (
	"cmp"
	"context"
	"errors"
	"time"

	"github.com/sparekey/sparekey/noise/frame"
	"github.com/sparekey/sparekey/relay/wire"
)

// followClaims follows what receivers append, until the stream ends, and the
// path with it: on the next one all is sent again, to a mailbox that is made
// again if it was lost.
func (p *path) followClaims() {
	for {
		ctx, cancel := p.inRound(p.ctx)
		err := p.claimsOnce(ctx)
		renewed := ctx.Err() != nil
		cancel()
		if renewed && p.ctx.Err() == nil {
			continue
		}
		p.mu.Lock()
		deleting := p.delete
		p.mu.Unlock()
		if deleting {
			return
		}
		if err != nil && p.ctx.Err() == nil {
			p.failed(err)
		}
		p.cancel()
		return
	}
}

// claimsOnce is one request of followClaims. A mailbox gives a lane's handshake
// before what follows it: where there is none, something was lost on the way.
func (p *path) claimsOnce(ctx context.Context) error {
	begun := map[frame.Candidate]bool{}
	orphans := false
	return p.follow(ctx, call{method: "GET", path: p.at(wire.Claims), token: p.m.Token, left: p.living}, func(f frame.Frame) bool {
		switch c := f.Candidate(); f.Kind() {
		case frame.Handshake:
			begun[c] = true
			p.reopened(c)
			return true
		case frame.Data:
			orphans = orphans || !begun[c]
			return true
		}
		return shut(f)
	}, func() {
		if orphans {
			p.Again()
		}
	})
}

// reopened notes that a lane is filled again: if it was closed, it isn't any more.
func (p *path) reopened(c frame.Candidate) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.closed, c)
	p.filled[c]++
}

func shut(f frame.Frame) bool { return f.Kind() == frame.Taken && len(f.Sealed()) == 0 }

// A lane is one that this receiver has opened, or is opening.
type lane struct {
	c      frame.Candidate
	first  []frame.Frame // handshake and what went with it: they open the lane again
	cancel context.CancelFunc
	opened chan struct{} // closed when the relay has taken the first frames
	ended  chan struct{} // closed when the lane is no longer followed
	err    error         // why; read after ended
}

// claim opens a lane and follows its answer. It returns when the relay has taken
// the frames.
func (p *path) claim(ctx context.Context, group []frame.Frame) error {
	c := group[0].Candidate()
	p.mu.Lock()
	l, running := p.lanes[c]
	if !running {
		if p.ctx.Err() != nil {
			p.mu.Unlock()
			return errClosed
		}
		l = &lane{c: c, first: group, opened: make(chan struct{}), ended: make(chan struct{})}
		p.lanes[c] = l
		var life context.Context
		life, l.cancel = context.WithCancel(p.ctx)
		p.work.Go(func() { p.followLane(life, l) })
	}
	p.mu.Unlock()
	select {
	case <-l.opened:
		if running && len(group) > 1 { // a handshake that is sent again with more behind it
			return p.append(ctx, group[1:])
		}
		return nil
	case <-l.ended:
		return l.err
	case <-ctx.Done():
		l.cancel() // the next try is another request
		<-l.ended
		return ctx.Err()
	}
}

// followLane opens a lane and follows the sender's log there. A stream that ends
// in order is opened again, ever more slowly: a lane that was closed may be
// confirmed later. One that breaks, and a mailbox that is lost, end the path.
func (p *path) followLane(ctx context.Context, l *lane) {
	defer func() {
		l.cancel()
		p.mu.Lock()
		delete(p.lanes, l.c)
		p.mu.Unlock()
		close(l.ended)
	}()
	from, opened := uint64(0), false
	for wait := firstRetry; ctx.Err() == nil; wait = min(2*wait, lastRetry) {
		before := from
		round, cancel := p.inRound(ctx)
		err := p.followOnce(round, l, &from, &opened)
		renewed := round.Err() != nil
		cancel()
		problem := (*wire.Problem)(nil)
		switch {
		case renewed && ctx.Err() == nil:
			from = 0
			continue
		case !opened: // the carrier tries again
			l.err = cmp.Or(err, ctx.Err(), errClosed)
			return
		case err != nil && ctx.Err() == nil:
			p.failed(err)
			if !errors.As(err, &problem) || problem.Type == wire.Absent {
				p.cancel()
				return
			}
			if problem.Type == wire.Closed {
				from = 0 // if it opens again, it is empty
			}
		}
		if from > before {
			wait = firstRetry
		}
		sleep(ctx, p.spread(wait))
	}
}

// followOnce is one request of followLane: it goes on at the first seq that is lacking.
func (p *path) followOnce(ctx context.Context, l *lane, from *uint64, opened *bool) error {
	n := *from
	return p.follow(ctx, call{
		method: "PUT", path: p.lane(wire.Lane, l.c), query: wire.Query{From: &n},
		token: p.m.View, claim: &p.m.Token, body: frame.Append(nil, l.first...),
		left: func(d time.Duration) {
			p.living(d)
			if !*opened {
				*opened = true
				close(l.opened)
			}
		},
	}, func(f frame.Frame) bool {
		if f.Kind() == frame.Data && f.Candidate() == l.c && f.Seq() == *from {
			*from++
		}
		return f.Candidate() == l.c && (f.Kind() == frame.Data || f.Kind() == frame.Taken)
	}, func() {})
}

// view brings the offer, and then each later one.
func (p *path) view() {
	var known *uint64
	for wait := firstRetry; p.ctx.Err() == nil; wait = min(2*wait, lastRetry) {
		began := time.Now()
		ctx, cancel := p.inRound(p.ctx)
		offer, err := p.look(ctx, known)
		renewed := ctx.Err() != nil
		cancel()
		problem := (*wire.Problem)(nil)
		switch {
		case p.ctx.Err() != nil:
			return
		case renewed:
			known = nil
			continue
		case err != nil:
			if p.failed(err); !errors.As(err, &problem) {
				p.cancel()
				return
			}
		case offer != nil:
			epoch := offer.Seq()
			known, wait = &epoch, firstRetry
			p.deliver([]frame.Frame{offer})
			continue
		}
		if time.Since(began) > lastRetry { // it was held, as we asked
			wait = firstRetry
		}
		sleep(p.ctx, p.spread(wait))
	}
}

// look views the mailbox once, held until there is an offer later than known.
// It returns nil if none came in time.
func (p *path) look(ctx context.Context, known *uint64) (frame.Frame, error) {
	held := uint64(viewWait)
	ctx, cancel := context.WithTimeout(ctx, (viewWait+10)*time.Second)
	defer cancel()
	offers, err := p.t.frames(ctx, call{method: "GET", path: p.at(wire.Mailbox), query: wire.Query{Known: known, Wait: &held}, token: p.m.View, left: p.living})
	switch {
	case err != nil || len(offers) == 0:
		return nil, err
	case offers[0].Kind() != frame.Offer, known != nil && offers[0].Seq() <= *known:
		return nil, p.t.garbage(errUnasked)
	}
	return offers[0], nil
}

var errUnasked = errors.New("a frame that was not asked for")

// follow reads a stream to its end and delivers what comes: what was there in
// one piece, up to the heartbeat, in one piece. fits says whether a frame belongs
// there; whole is called after each piece. It returns nil for an end in order.
func (p *path) follow(ctx context.Context, c call, fits func(frame.Frame) bool, whole func()) error {
	s, err := p.t.stream(ctx, c)
	if err != nil {
		return err
	}
	defer s.close()
	var piece []frame.Frame
	size := 0
	for {
		f, err := s.read()
		switch {
		case err == nil && !fits(f):
			p.deliver(piece)
			return p.t.garbage(errUnasked)
		case err == nil:
			if !shut(f) { // of these there is nothing to judge
				piece, size = append(piece, f), size+len(f)
			}
			if size < maxPiece {
				continue
			}
		case errors.Is(err, errEnd):
			p.deliver(piece)
			return nil
		case !errors.Is(err, frame.ErrHeartbeat):
			p.deliver(piece)
			return err
		}
		p.deliver(piece)
		piece, size = nil, 0
		whole()
	}
}

// maxPiece bounds, in bytes, what a relay can make a device hold. The logs of
// four honest lanes fit.
const maxPiece = 16 << 20
