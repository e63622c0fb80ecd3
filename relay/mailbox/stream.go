package mailbox

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/sparekey/sparekey/discovery"
	"github.com/sparekey/sparekey/noise/frame"
	"github.com/sparekey/sparekey/relay/wire"
)

// claims follows what receivers append, until the path ends. A mailbox that is
// gone or shorter than it was ends the path: on the next one all is sent again.
func (p *path) claims() {
	after := uint64(0)
	for p.ctx.Err() == nil {
		n := after
		err := p.follow(call{method: "GET", path: p.at(wire.Claims), query: wire.Query{After: &n}, token: p.m.Token, left: p.living}, func(f frame.Frame) { after++ })
		if err != nil {
			p.failed(err)
		} else {
			sleep(p.ctx, lastAnswer)
		}
		p.cancel()
	}
}

// lastAnswer is how long a path outlives the orderly end of its stream: the
// delete that ended it may still be waiting for its answer.
const lastAnswer = 500 * time.Millisecond

// claim opens a lane and follows its answer. It returns when the relay has taken
// the frames.
func (p *path) claim(ctx context.Context, group []frame.Frame) error {
	c := group[0].Candidate()
	p.mu.Lock()
	running := p.subs[c]
	p.mu.Unlock()
	if running { // a handshake that is sent again with more behind it
		if len(group) == 1 {
			return nil
		}
		return p.send(ctx, group[1:])
	}
	taken := make(chan error, 1)
	p.subscribe(c, func() { p.follower(c, group, taken) })
	select {
	case err := <-taken:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// follower opens a lane and follows the sender's log there. A stream that ends
// in order is opened again, ever more slowly: a lane that was closed may be
// confirmed later. One that breaks ends the path.
func (p *path) follower(c frame.Candidate, group []frame.Frame, taken chan<- error) {
	defer func() {
		p.mu.Lock()
		delete(p.subs, c)
		p.mu.Unlock()
	}()
	from := uint64(0)
	for wait := firstRetry; p.ctx.Err() == nil; wait = min(2*wait, lastRetry) {
		n, opened := from, false
		err := p.follow(call{
			method: "PUT", path: p.lane(wire.Lane, c), query: wire.Query{From: &n}, token: p.m.View, claim: &p.m.Token, body: frame.Append(nil, group...),
			left: func(d time.Duration) {
				p.living(d)
				if opened = true; taken != nil {
					taken <- nil
					taken = nil
				}
			},
		}, func(f frame.Frame) {
			if f.Kind() == frame.Data {
				from = f.Seq() + 1
			}
		})
		problem := (*wire.Problem)(nil)
		switch {
		case taken != nil: // never opened: the carrier tries again
			taken <- err
			return
		case errors.As(err, &problem):
			p.failed(err)
		case err != nil:
			p.report(discovery.Report{State: discovery.Failing, Err: err})
			p.cancel()
			return
		}
		if opened {
			wait = firstRetry
		}
		sleep(p.ctx, wait)
	}
}

// view brings the offer, and then each later one.
func (p *path) view() {
	var known *uint64
	for wait := firstRetry; p.ctx.Err() == nil; {
		held := uint64(viewWait)
		ctx, cancel := context.WithTimeout(p.ctx, (viewWait+10)*time.Second)
		offers, err := p.t.frames(ctx, call{method: "GET", path: p.at(wire.Mailbox), query: wire.Query{Known: known, Wait: &held}, token: p.m.View, left: p.living})
		cancel()
		problem := (*wire.Problem)(nil)
		switch {
		case err == nil:
			wait = firstRetry
			for _, f := range offers {
				epoch := f.Seq()
				known = &epoch
			}
			p.deliver(offers)
			continue
		case is(err, wire.Absent):
			p.failed(err)
			wait = firstRetry // it was held for as long as the relay would
		case is(err, wire.Gone):
			if p.failed(err); p.ctx.Err() == nil {
				sleep(p.ctx, lastRetry)
			}
			continue
		case errors.As(err, &problem):
			p.failed(err)
		default:
			if p.ctx.Err() == nil {
				p.failed(err)
			}
			p.cancel()
			return
		}
		sleep(p.ctx, wait)
		wait = min(2*wait, lastRetry)
	}
}

// follow reads a stream to its end and delivers what comes: what was there in
// one piece up to the first heartbeat in one piece. It returns nil for an end in
// order.
func (p *path) follow(c call, seen func(frame.Frame)) error {
	s, err := p.t.stream(p.ctx, c)
	if err != nil {
		return err
	}
	defer s.close()
	var piece []frame.Frame
	for {
		f, err := s.read()
		switch {
		case err == nil:
			seen(f)
			if !(f.Kind() == frame.Taken && len(f.Sealed()) == 0) {
				piece = append(piece, f)
			}
			if len(piece) < maxPiece {
				continue
			}
		case errors.Is(err, errEnd):
			p.deliver(piece)
			return nil
		case !errors.Is(err, frame.ErrHeartbeat):
			p.deliver(piece)
			return err
		}
		p.deliver(slices.Clone(piece))
		piece = piece[:0]
	}
}

// maxPiece bounds what a relay can make a device hold.
const maxPiece = 256
