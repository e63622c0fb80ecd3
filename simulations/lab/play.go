//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"syscall"
	"time"

	"github.com/sparekey/sparekey/simulations/programs"
	"github.com/sparekey/sparekey/simulations/wire"
)

// A step is a part of a play.
type step func() error

// steps takes steps until one fails.
func steps(all ...step) error {
	for _, s := range all {
		if err := s(); err != nil {
			return err
		}
	}
	return nil
}

// handOver is a share in which nothing happens.
func handOver(r *room) error {
	h := r.share(sender, receiver)
	return steps(h.offer, h.look, h.viewed, h.yes, h.finish)
}

// asked returns a play in which something happens while the receiver's person is asked.
func asked(meanwhile func(*room, *handover) error) func(*room) error {
	return func(r *room) error {
		h := r.share(sender, receiver)
		return steps(h.offer, h.look, h.viewed, func() error { return meanwhile(r, h) }, h.yes, h.finish)
	}
}

// atOnce makes two shares at the same time; back: the second goes the other way.
func atOnce(back bool) func(*room) error {
	return func(r *room) error {
		one := r.share(sender, receiver)
		two := r.share(sender, receiver)
		if back {
			two.from, two.to = two.to, two.from
		}
		for _, step := range []func(*handover) error{(*handover).offer, (*handover).look, (*handover).viewed, (*handover).yes, (*handover).finish} {
			if err := errors.Join(step(one), step(two)); err != nil {
				return err
			}
		}
		return nil
	}
}

// pause lets time pass in which nothing happens.
func (r *room) pause(d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-r.ctx.Done():
		return context.Cause(r.ctx)
	}
}

// late: the receiver comes when the sender has waited for long, in silence.
func late(r *room) error {
	h := r.share(sender, receiver)
	record := r.inside.Record()
	silent := func() error {
		defer record.Stop()
		if err := r.pause(25 * time.Second); err != nil {
			return err
		}
		for _, f := range record.Frames() {
			if d, ok := f.UDP(); ok {
				return fmt.Errorf("a sender that waits has sent %q from %v to %v", d.Payload, d.From, d.To)
			}
		}
		return nil
	}
	return steps(h.offer, silent, h.look, h.viewed, h.yes, h.finish)
}

// relayAppears: both devices have met a relay that isn't there, and then it is.
func relayAppears(r *room) error {
	h := r.share(sender, receiver)
	return steps(h.offer, func() error { return h.troubled(h.giver) }, h.look, func() error { return h.troubled(h.taker) },
		r.startRelay, h.viewed, h.yes, h.finish)
}

// plugsAppear: neither device has an interface when its program starts.
func plugsAppear(r *room) error {
	h := r.share(sender, receiver)
	plug := func() error { return errors.Join(r.plug(r.devices[sender]), r.plug(r.devices[receiver])) }
	return steps(h.offer, h.look, plug, h.viewed, h.yes, h.finish)
}

// readdress gives devices other addresses.
func readdress(which ...int) func(*room, *handover) error {
	return func(r *room, _ *handover) error {
		for _, i := range which {
			d := r.devices[i]
			d.host += 100
			if err := errors.Join(d.IP("addr flush dev "+r.plan.interfaceOf()+" scope global"), r.address(d)); err != nil {
				return err
			}
		}
		return nil
	}
}

// readdressAtClaim gives the receiver another address when the sender has just
// seen its claim: what it answers goes to the old one.
func readdressAtClaim(r *room) error {
	h := r.share(sender, receiver)
	return steps(h.offer, h.look, h.viewed, h.yes, func() error { return h.claimed(h.giver) },
		func() error { return readdress(receiver)(r, h) }, h.finish)
}

// downAndUp: the receiver's interface is down when it claims, and comes back.
func downAndUp(r *room) error {
	h := r.share(sender, receiver)
	d := r.devices[receiver]
	link := func(how string) step {
		return func() error { return d.IP(fmt.Sprintf("link set %s %s", r.plan.interfaceOf(), how)) }
	}
	again := func() error {
		return errors.Join(d.IP("addr flush dev "+r.plan.interfaceOf()+" scope global"), r.address(d))
	}
	return steps(h.offer, h.look, h.viewed, link("down"), h.yes, func() error { return h.claimed(h.taker) }, link("up"), again, h.finish)
}

// moves takes the receiver's interface away and gives it another one.
func moves(r *room, _ *handover) (err error) {
	d := r.devices[receiver]
	if err := d.port.Unplug(); err != nil {
		return err
	}
	d.host += 100
	if d.port, err = r.inside.Plug(d.Station, "dock0"); err != nil {
		return err
	}
	return r.route(d, "dock0", d.host)
}

// pulled: the receiver has seen the offer in the room, for there was no relay yet.
// Then its cable is pulled there.
func pulled(r *room) error {
	h := r.share(sender, receiver)
	return steps(h.offer, h.look, h.viewed, r.startRelay, r.pull, h.yes, h.finish)
}

// pulledAtClaim: the cable is pulled when the sender has just seen the claim. What
// it has answered in the room is on the way, and gets lost.
func pulledAtClaim(r *room) error {
	h := r.share(sender, receiver)
	slow := func() error { r.devices[sender].port.Set(wire.Link{Delay: runTime}); return nil }
	return steps(h.offer, h.look, h.viewed, r.startRelay, slow, h.yes, func() error { return h.claimed(h.giver) }, r.pull, h.finish)
}

// What is promised of the other way when one is cut for good (NSW-02), and how often it is
// tried: one try shows that a device goes on in time, and a machine that has much else
// to do may be late itself. A device that waits for too long does so each time.
const (
	carriesOn = 2 * time.Second
	cuts      = 5
)

// pulledBesideRelay: the claim comes in the room, the relay is further away, and what the
// sender answers in the room is lost. So the grant comes by the relay, in time.
func pulledBesideRelay(r *room) error {
	r.switches[1].Set(wire.Link{Delay: 30 * time.Millisecond})
	var tries []string
	for range cuts {
		h := r.share(sender, receiver)
		cut := func() error { r.devices[sender].port.Set(wire.Link{Delay: runTime}); return nil }
		if err := steps(h.offer, h.look, h.viewed, cut, h.yes, h.finish); err != nil {
			return err
		}
		r.devices[sender].port.Set(wire.Link{})
		way, gap, err := h.wentOn()
		if err != nil {
			return err
		}
		if way == "lan relay" && gap <= carriesOn {
			r.gap = gap
			return nil
		}
		tries = append(tries, fmt.Sprintf("%s after %v", way, gap.Round(time.Millisecond)))
	}
	return fmt.Errorf("claim and grant came by %v; want that once they come by lan and relay within %v", tries, carriesOn)
}

// wentOn returns by which ways a share's claim and its grant came, and how long after
// the claim the grant did.
func (h *handover) wentOn() (ways string, gap time.Duration, err error) {
	claimed, err := h.giver.Said(h.r.ctx, "share.claimed")
	if err != nil {
		return "", 0, err
	}
	granted, err := h.taker.Said(h.r.ctx, "share.provisioning")
	if err != nil {
		return "", 0, err
	}
	there, _, _ := strings.Cut(claimed.Path, " ")
	back, _, _ := strings.Cut(granted.Path, " ")
	return there + " " + back, granted.When.Sub(claimed.When), nil
}

// pull pulls the receiver's cable in the room.
func (r *room) pull() error {
	r.devices[receiver].port.Cut()
	return nil
}

// flap is how long a path that flaps is away, and there.
const flap = 2 * time.Second

// flapping shares while the receiver's cable is out and in by turns.
func flapping(r *room) error { return r.flapping(func() error { return handOver(r) }) }

// flappingMidShare: it begins while the receiver's person is asked.
func flappingMidShare(r *room) error {
	h := r.share(sender, receiver)
	return steps(h.offer, h.look, h.viewed, func() error { return r.flapping(func() error { return steps(h.yes, h.finish) }) })
}

func (r *room) flapping(meanwhile step) error {
	ctx, stop := context.WithCancel(r.ctx)
	over := make(chan struct{})
	go func() {
		defer close(over)
		flaps(ctx, r.devices[receiver].port)
	}()
	defer func() { stop(); <-over }()
	return meanwhile()
}

func flaps(ctx context.Context, p *wire.Port) {
	turn := time.NewTicker(flap)
	defer turn.Stop()
	for out := true; ; out = !out {
		if out {
			p.Cut()
		} else {
			p.Mend()
		}
		select {
		case <-turn.C:
		case <-ctx.Done():
			return
		}
	}
}

// killed: the sender is killed while the receiver's person is asked.
func killed(_ *room, h *handover) error { return h.again() }

// killedAtClaim: the sender is killed when it has just seen the claim.
func killedAtClaim(r *room) error {
	h := r.share(sender, receiver)
	return steps(h.offer, h.look, h.viewed, h.yes, func() error { return h.claimed(h.giver) }, h.again, h.finish)
}

// again kills the sender, and starts it again.
func (h *handover) again() (err error) {
	h.giver.Kill()
	h.giver, err = h.r.start(h.from, nil, "resume")
	return err
}

// receiverKilled: the receiver is killed before its person has said yes, and
// looks again.
func receiverKilled(_ *room, h *handover) error {
	h.taker.Kill()
	return steps(h.look, h.viewed)
}

// killedBeforeItAnswers: the receiver is killed when it has just heard that the sender
// knows, and what it answers is lost. When it is back the sender asks again and is
// answered: it isn't left without, as one is that has given up.
func killedBeforeItAnswers(r *room) error {
	h, port := r.share(sender, receiver), r.devices[sender].port // where the answer arrives
	heard := func() error {
		_, err := h.taker.Said(r.ctx, "share.done")
		port.Cut()
		h.taker.Kill()
		h.earlier = h.taker.Events()
		return err
	}
	back := func() error {
		err := r.pause(2 * slow.Delay) // until what was under way has got lost
		port.Mend()
		return errors.Join(err, h.look())
	}
	return steps(h.offer, h.look, h.viewed, h.yes, heard, back, h.finish, h.answered)
}

// answered wants the sender to have heard that the receiver knows.
func (h *handover) answered() error {
	p, err := h.r.start(h.from, nil, "list", "--all")
	if err != nil {
		return err
	}
	defer p.Kill()
	stands, err := p.Said(h.r.ctx, "share")
	if err == nil && !stands.Known {
		err = errors.New("the sender has gone without the receiver's answer")
	}
	return err
}

// sleeps: the sender's device sleeps while the receiver claims.
func sleeps(r *room) error {
	h := r.share(sender, receiver)
	signal := func(s syscall.Signal) step { return func() error { return h.giver.Signal(s) } }
	return steps(h.offer, h.look, h.viewed, signal(syscall.SIGSTOP), h.yes, func() error { return h.claimed(h.taker) },
		func() error { return r.pause(5 * time.Second) }, signal(syscall.SIGCONT), h.finish)
}

// troubled waits until a program has told that a path doesn't do.
func (h *handover) troubled(p *programs.Process) error {
	_, err := p.Said(h.r.ctx, "path.trouble")
	return err
}
