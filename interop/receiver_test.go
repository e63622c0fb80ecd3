package interop

import (
	"context"
	"crypto/ecdh"
	"crypto/mlkem"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net/http"
)

// A log is one candidate's two logs, as a device of ours keeps them: what it
// has to send next, and how far it has read.
type log struct {
	session
	side string // this device's, at the relay
	next uint64 // seq of the next frame of this side
	got  uint64 // frames of the other side that have been read
}

// seal seals a body as this side's next frame.
func (l *log) seal(b body) frame { return l.sealBytes(b.encode()) }

func (l *log) sealBytes(b []byte) frame {
	f := l.session.seal(l.next, l.got, b)
	l.next++
	return f
}

// read takes the other side's next frame. One that was read before has no effect.
func (l *log) read(f frame) (b body, fresh bool, err error) {
	ack, raw, err := l.open(f)
	switch {
	case err != nil:
		return body{}, false, err
	case ack > l.next:
		return body{}, false, errors.New("an ack of frames that I never wrote")
	case f.seq() > l.got:
		return body{}, false, fmt.Errorf("frame %d, and %d is the next", f.seq(), l.got)
	case f.seq() < l.got:
		return body{}, false, nil
	}
	l.got++
	b, err = decodeBody(raw)
	return b, true, err
}

// random returns n fresh bytes.
func random(n int) []byte {
	b := make([]byte, n)
	rand.Read(b)
	return b
}

// A receiver is one device that was given a link.
type receiver struct {
	log
	link   invitation
	keys   linkKeys
	claim  []byte // the device claim
	box    mailbox
	offer  offer
	shown  preview
	stream *stream
	wrote  []frame // all frames of the last candidate
}

// An overError says that the sender has ended the share; h and over prove it.
type overError struct{ h, over []byte }

func (*overError) Error() string { return "the sender has ended the share" }

// A takenError says that this candidate was refused, by a frame that only the sender can make.
type takenError struct{}

func (*takenError) Error() string { return "taken" }

func newReceiver(client *http.Client, text string) (*receiver, error) {
	l, err := readLink(text)
	if err != nil {
		return nil, err
	}
	r := &receiver{link: l, keys: keysOfLink(l.id, l.secret), claim: random(32)}
	r.box = newMailbox(client, l.relay, l.id, r.keys.view, r.claim)
	return r, nil
}

// judge gives an answer of the relay the one meaning that ends anything: a pair
// that makes the id.
func (r *receiver) judge(err error) error {
	var p *problem
	if !errors.As(err, &p) {
		return err
	}
	if p.is("gone") {
		if h, over := unb64(p.H), unb64(p.Over); proves(r.link.id[:], h, over) {
			return &overError{h, over}
		}
	}
	if p.is("closed") && p.Closing != "" && r.isTaken(frame(unb64(p.Closing))) {
		return &takenError{}
	}
	return err
}

// view waits for the offer and opens it; nobody hears of it.
func (r *receiver) view(ctx context.Context, query string) error {
	f, err := r.box.view(ctx, query)
	if err != nil {
		return r.judge(err)
	}
	if r.offer, err = openOffer(r.keys, f); err != nil {
		return err
	}
	r.shown, err = decodePreview(r.offer.preview)
	return err
}

// accept makes a candidate and opens its lane with the claim and what else is to be said at once.
func (r *receiver) accept(ctx context.Context, label string, more ...body) error {
	e := must(ecdh.X25519().GenerateKey(rand.Reader))
	s, hello, err := r.offer.claim(r.keys, e, (*mlkem.EncapsulationKey768).Encapsulate)
	if err != nil {
		return err
	}
	r.log = log{session: s, side: "receiver", next: 1}
	first := []frame{hello, r.seal(body{word: wordClaim, claim: hash(r.claim), label: label})}
	for _, b := range more {
		first = append(first, r.seal(b))
	}
	r.wrote = first
	r.stream, err = r.box.open(ctx, first...)
	return r.judge(err)
}

// hear returns the sender's next body. Where the stream ends it asks again, and so learns why.
func (r *receiver) hear(ctx context.Context) (body, error) {
	for {
		f, err := r.stream.next()
		if err != nil {
			if err = r.again(ctx, err); err != nil {
				return body{}, err
			}
			continue
		}
		if f.kind() == kindTaken {
			if r.isTaken(f) {
				return body{}, &takenError{}
			}
			continue // a shut, or another's: it says nothing
		}
		if b, fresh, err := r.read(f); fresh || err != nil {
			return b, err
		}
	}
}

func (r *receiver) again(ctx context.Context, end error) (err error) {
	r.stream.close()
	if !errors.Is(end, io.EOF) && !errors.Is(end, io.ErrUnexpectedEOF) {
		return end
	}
	r.stream, err = r.box.log(ctx, r.candidate, "sender", r.got)
	return r.judge(err)
}

// message returns the next whole message of the format's dialogue.
func (r *receiver) message(ctx context.Context) (msg []byte, grants bool, err error) {
	return wholeMessage(func() (body, error) { return r.hear(ctx) })
}

// wholeMessage puts the pieces of a message together.
func wholeMessage(hear func() (body, error)) (msg []byte, grants bool, err error) {
	for {
		b, err := hear()
		if err != nil {
			return nil, false, err
		}
		if b.word != wordMessage {
			return nil, false, fmt.Errorf("word %d where a message was to come", b.word)
		}
		if msg = append(msg, b.piece...); !b.more {
			return msg, b.grants, nil
		}
	}
}

func (r *receiver) say(ctx context.Context, b body) error {
	f := r.seal(b)
	r.wrote = append(r.wrote, f)
	return r.judge(r.box.append(ctx, r.side, f))
}

// end waits for the sender's last word, holds its proof to the id and deletes the mailbox with it.
func (r *receiver) end(ctx context.Context) (body, error) {
	b, err := r.hear(ctx)
	var over *overError
	switch {
	case errors.As(err, &over):
		return body{h: over.h, over: over.over}, nil // the sender was faster, and has deleted it
	case err != nil:
		return body{}, err
	case b.word < wordDone || b.h == nil || !proves(r.link.id[:], b.h, b.over):
		return body{}, fmt.Errorf("word %d is no end with a proof", b.word)
	}
	return b, r.box.delete(ctx, b.h, b.over)
}
