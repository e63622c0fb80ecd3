package interop

import (
	"context"
	"errors"
	"fmt"
	"net/http"
)

// A sender is one device that shares something.
type sender struct {
	log
	link    invitation
	keys    linkKeys
	seed    seedKeys
	made    commitment
	preview []byte
	epoch   uint64
	offer   frame
	ttl     uint64
	claim   []byte // the pinned candidate's, hashed
	label   string
	box     mailbox
	claims  *stream
	came    []frame // all frames of the claims stream that have been read
}

// newSender makes a share and its link. Nobody has heard of it yet.
func newSender(client *http.Client, relay string, p preview) *sender {
	s := &sender{seed: keysOfSeed(random(32)), preview: p.encode(), ttl: p.life + p.grace}
	s.made = commit(s.seed.static.PublicKey().Bytes(), s.seed.kem.EncapsulationKey().Bytes(), s.preview, hash(s.seed.over))
	s.link = invitation{relay: relay, id: [16]byte(s.made.id), secret: [16]byte(random(16))}
	s.keys = keysOfLink(s.link.id, s.link.secret)
	_, s.offer = s.seed.makeOffer(s.keys, 0, s.preview, nil)
	s.box = newMailbox(client, relay, s.link.id, s.seed.capability, nil)
	return s
}

// create makes the mailbox and follows its claims.
func (s *sender) create(ctx context.Context) (err error) {
	if err = s.box.create(ctx, s.made.c, s.offer, s.keys, s.seed.capability, s.ttl); err == nil {
		s.claims, err = s.box.claims(ctx, 0)
	}
	return err
}

// heard returns the next frame that any receiver has written.
func (s *sender) heard() (frame, error) {
	f, err := s.claims.next()
	s.came = append(s.came, f)
	return f, err
}

// pin waits for a claim and pins its candidate.
func (s *sender) pin(ctx context.Context) error {
	for s.claim == nil {
		f, err := s.heard()
		if err != nil {
			return err
		}
		switch f.kind() {
		case kindHandshake:
			found, err := s.seed.accept(s.keys, s.epoch, f)
			if err != nil {
				if err := s.box.closeLane(ctx, newFrame(kindTaken, f.candidate(), 0, nil)); err != nil {
					return err
				}
				continue
			}
			s.log = log{session: found, side: "sender", got: 1}
		case kindData:
			if err := s.first(ctx, f); err != nil {
				return err
			}
		}
	}
	return s.box.confirm(ctx, s.epoch, s.candidate, s.claim)
}

func (s *sender) first(ctx context.Context, f frame) error {
	if f.candidate() != s.candidate {
		return nil // its handshake didn't open
	}
	b, fresh, err := s.read(f)
	if err != nil || !fresh || b.word != wordClaim {
		return errors.Join(fmt.Errorf("word %d, and no claim", b.word), err)
	}
	s.claim, s.label = b.claim, b.label
	return nil
}

// hear returns the pinned receiver's next body; others are told that it is taken.
func (s *sender) hear(ctx context.Context) (body, error) {
	for {
		f, err := s.heard()
		if err != nil {
			return body{}, err
		}
		switch {
		case f.kind() == kindHandshake:
			if other, err := s.seed.accept(s.keys, s.epoch, f); err == nil && other.candidate != s.candidate {
				if err := s.box.closeLane(ctx, other.taken()); err != nil {
					return body{}, err
				}
			}
		case f.kind() == kindData && f.candidate() == s.candidate:
			if b, fresh, err := s.read(f); fresh || err != nil {
				return b, err
			}
		}
	}
}

// say seals bodies and writes them in one request.
func (s *sender) say(ctx context.Context, bodies ...body) error {
	var frames []frame
	for _, b := range bodies {
		frames = append(frames, s.seal(b))
	}
	return s.box.append(ctx, s.side, frames...)
}

// end says the last word, and leaves the mailbox to the receiver unless it has answered.
func (s *sender) end(ctx context.Context, word uint64, reason string, answered bool) error {
	if err := s.say(ctx, body{word: word, reason: reason, h: s.made.h, over: s.seed.over}); err != nil || !answered {
		return err
	}
	return s.box.delete(ctx, s.made.h, s.seed.over)
}

// reoffer opens the next epoch: nobody is pinned, and older claims open no more.
func (s *sender) reoffer(ctx context.Context) error {
	s.epoch++
	_, s.offer = s.seed.makeOffer(s.keys, s.epoch, s.preview, nil)
	s.log, s.claim = log{}, nil
	return s.box.publish(ctx, s.offer)
}
