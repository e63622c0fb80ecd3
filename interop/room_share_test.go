package interop

import (
	"context"
	"crypto/ecdh"
	"crypto/mlkem"
	"crypto/rand"
	"fmt"
	"slices"
	"sync"
)

// node/share/PROTOCOL.md, section 2, by direct paths: both sides of a share in a room.
// Each is a sender or a receiver of this package, and in the room besides its mailbox
// or without one.

// A direct is a candidate's log that goes by direct paths.
type direct struct {
	*device
	lock   sync.Mutex
	log    *log             // guarded by lock, as is early
	early  map[uint64]frame // the other side's frames that came before their turn
	bodies chan body        // what the other side has said
	failed chan error       // why it says no more

	answer frame         // what this device answers by, once it has ended; guarded by lock
	over   chan struct{} // closed when the other side has sent its last ack
}

func newDirect(d *device, l *log) direct {
	return direct{device: d, log: l, early: map[uint64]frame{}, bodies: make(chan body, 256), failed: make(chan error, 1), over: make(chan struct{})}
}

func anyPath(*path) bool       { return true }
func genuinePath(p *path) bool { return p.genuine }

// data takes a frame of the candidate, and returns what can be read in its turn.
func (d *direct) data(p *path, f frame) (bodies []body, opened bool) {
	if _, _, err := d.log.open(f); err != nil { // of another candidate, for example
		return nil, false
	}
	d.change(func() { p.genuine = true })
	switch {
	case f.kind() == kindAck:
		if f.seq() == 1<<64-1 && d.answer != nil {
			d.isOver()
		}
		return nil, true // and this device repeats nothing that was taken
	case d.answer != nil:
		d.work.Go(func() { d.send(d.ctx, genuinePath, d.answer) })
		return nil, true
	}
	if ahead := d.log.got + 64; f.seq() >= d.log.got && f.seq() < ahead {
		d.early[f.seq()] = f
	}
	for {
		next, there := d.early[d.log.got]
		if !there {
			return bodies, true
		}
		delete(d.early, next.seq())
		b, counted, err := d.log.read(next)
		if !counted {
			return bodies, false
		}
		if err == nil { // else it has no effect
			bodies = append(bodies, b)
		}
	}
}

// acknowledge says by a frame of its own how far the log was read.
func (d *direct) acknowledge() {
	d.lock.Lock()
	f := d.log.ack()
	d.lock.Unlock()
	d.send(d.ctx, genuinePath, f)
}

// ack seals an ack frame. It stands in no log.
func (l *log) ack() frame {
	return sealFrame(l.mine(), kindAck, l.candidate, l.got, random(16), u64(l.got))
}

// hear returns the other side's next body.
func (d *direct) hear(ctx context.Context) (body, error) {
	select {
	case b := <-d.bodies:
		return b, nil
	case err := <-d.failed:
		return body{}, err
	case <-ctx.Done():
		return body{}, fmt.Errorf("nothing was said: %w", ctx.Err())
	}
}

// say seals bodies and returns when the other side has taken them.
func (d *direct) say(ctx context.Context, bodies ...body) error {
	d.lock.Lock()
	var frames []frame
	for _, b := range bodies {
		frames = append(frames, d.log.seal(b))
	}
	d.lock.Unlock()
	return d.send(ctx, genuinePath, frames...)
}

// isOver notes that the other side needs nothing more. The lock is held.
func (d *direct) isOver() {
	select {
	case <-d.over:
	default:
		close(d.over)
	}
}

// A roomSender is a sender in a room.
type roomSender struct {
	s *sender
	direct
	pinned chan struct{} // closed when s has a claim
}

// enters brings a sender into a room.
func (s *sender) enters(in func(func() error) error) (*roomSender, error) {
	r := &roomSender{s: s, pinned: make(chan struct{})}
	r.direct = newDirect(&device{keys: s.keys, role: theSender, take: r.take}, &s.log)
	r.device.first = func() []frame { return []frame{s.offer} }
	return r, r.enter(in)
}

// take takes what a path has brought.
func (r *roomSender) take(p *path, frames []frame) (opened bool) {
	r.lock.Lock()
	defer r.lock.Unlock()
	opened = true
	for _, f := range frames {
		if f.kind() == kindHandshake {
			opened = r.handshake(f) && opened
			continue
		}
		bodies, ok := r.data(p, f)
		opened = opened && ok
		for _, b := range bodies {
			r.body(b)
		}
		if len(bodies) > 0 {
			r.work.Go(r.acknowledge)
		}
	}
	return opened
}

// handshake takes a candidate, or tells another one that it is too late.
func (r *roomSender) handshake(f frame) bool {
	found, err := r.s.seed.accept(r.keys, r.s.epoch, f)
	switch {
	case err != nil:
		return false
	case r.s.claim == nil:
		r.s.log = log{session: found, side: "sender", got: 1}
	case found.candidate != r.s.candidate:
		r.work.Go(func() { r.send(r.ctx, anyPath, found.taken()) })
	}
	return true
}

func (r *roomSender) body(b body) {
	if r.s.claim != nil || b.word != wordClaim {
		r.bodies <- b
		return
	}
	r.s.claim, r.s.label = b.claim, b.label
	close(r.pinned)
}

// pin waits for a claim.
func (r *roomSender) pin(ctx context.Context) error {
	select {
	case <-r.pinned:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("nobody has claimed: %w", ctx.Err())
	}
}

// end says the last word, and again to whatever comes then, and waits for the
// receiver's last ack.
func (r *roomSender) end(ctx context.Context, word uint64, reason string) error {
	r.lock.Lock()
	r.answer = r.log.seal(body{word: word, reason: reason, h: r.s.made.h, over: r.s.seed.over})
	r.lock.Unlock()
	if err := r.send(ctx, genuinePath, r.answer); err != nil {
		return err
	}
	select {
	case <-r.over:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("the receiver didn't say that it needs no more: %w", ctx.Err())
	}
}

// A roomReceiver is a receiver in a room.
type roomReceiver struct {
	r *receiver
	direct
	offered chan struct{} // closed when r has an offer
}

// enters brings a receiver into a room.
func (r *receiver) enters(in func(func() error) error) (*roomReceiver, error) {
	d := &roomReceiver{r: r, offered: make(chan struct{})}
	d.direct = newDirect(&device{keys: r.keys, role: theReceiver, take: d.take}, &r.log)
	d.device.first = func() []frame { return slices.Clone(r.wrote[:min(2, len(r.wrote))]) }
	return d, d.enter(in)
}

func (d *roomReceiver) take(p *path, frames []frame) (opened bool) {
	d.lock.Lock()
	defer d.lock.Unlock()
	opened = true
	for _, f := range frames {
		switch f.kind() {
		case kindOffer:
			opened = d.offer(f) && opened
		case kindTaken:
			if !d.r.isTaken(f) {
				opened = false
				continue
			}
			select {
			case d.failed <- &takenError{}:
			default: // it has been told
			}
		default:
			bodies, ok := d.data(p, f)
			opened = opened && ok
			for _, b := range bodies {
				d.bodies <- b
			}
			if len(bodies) > 0 {
				d.work.Go(d.acknowledge)
			}
		}
	}
	return opened
}

// offer takes the first offer that opens.
func (d *roomReceiver) offer(f frame) bool {
	o, err := openOffer(d.keys, f)
	if err != nil {
		return false
	}
	shown, err := decodePreview(o.preview)
	if err == nil && d.r.offer.kem == nil {
		d.r.offer, d.r.shown = o, shown
		close(d.offered)
	}
	return err == nil
}

// view waits for the offer.
func (d *roomReceiver) view(ctx context.Context) error {
	select {
	case <-d.offered:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("no offer came: %w", ctx.Err())
	}
}

// candidate makes a candidate, with its handshake and its claim.
func (d *roomReceiver) candidate(label string) error {
	d.lock.Lock()
	defer d.lock.Unlock()
	s, hello, err := d.r.offer.claim(d.keys, must(ecdh.X25519().GenerateKey(rand.Reader)), (*mlkem.EncapsulationKey768).Encapsulate)
	if err == nil {
		d.r.log = log{session: s, side: "receiver", next: 1}
		d.r.wrote = []frame{hello, d.r.seal(body{word: wordClaim, claim: hash(d.r.claim), label: label})}
	}
	return err
}

// accept makes a candidate and claims: both frames go in one piece, by any path.
func (d *roomReceiver) accept(ctx context.Context, label string) error {
	if err := d.candidate(label); err != nil {
		return err
	}
	return d.send(ctx, anyPath, d.r.wrote...)
}

// message returns the next whole message of the format's dialogue.
func (d *roomReceiver) message(ctx context.Context) ([]byte, bool, error) {
	return wholeMessage(func() (body, error) { return d.hear(ctx) })
}

// end waits for the sender's last word and for its proof. It answers by its last ack, also
// what is repeated, until nothing has come for a second.
func (d *roomReceiver) end(ctx context.Context) (body, error) {
	b, err := d.hear(ctx)
	if err == nil && (b.word < wordDone || b.h == nil || !proves(d.r.link.id[:], b.h, b.over)) {
		err = fmt.Errorf("word %d is no end with a proof", b.word)
	}
	if err != nil {
		return b, err
	}
	d.lock.Lock()
	d.answer = lastAck(d.log.mine(), d.log.candidate)
	d.lock.Unlock()
	err = d.send(ctx, genuinePath, d.answer)
	d.quiet()
	return b, err
}
