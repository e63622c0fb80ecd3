package relay

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"net/http"
	"slices"

	"github.com/sparekey/sparekey/noise/frame"
	"github.com/sparekey/sparekey/relay/wire"
)

// A bearer is what a request shows of capabilities, as hashes.
type bearer struct {
	token, device       [32]byte // of Authorization, of Mailbox-Device-Claim
	hasToken, hasDevice bool
}

// shown reads a request's capabilities. What is missing or can't be read is
// hashed as zeros, so that it costs the same.
func shown(h http.Header) bearer {
	var token, device [32]byte
	var b bearer
	if v := h["Authorization"]; len(v) == 1 {
		token, b.hasToken = wire.ParseBearer(v[0])
	}
	if v := h[http.CanonicalHeaderKey(wire.HeaderClaim)]; len(v) == 1 {
		b.hasDevice = wire.ParseText(device[:], v[0])
	}
	b.token, b.device = sha256.Sum256(token[:]), sha256.Sum256(device[:])
	return b
}

// rights is what a request may do with a mailbox, and with the lane that it names.
type rights struct {
	sender, link bool
	holder       bool // of the lane, which is open
	heir         bool // has the link and a device claim, and the lane isn't open
}

func (b bearer) rights(st *Status, lane frame.Candidate) rights {
	claim, open := st.Lanes[lane]
	sender, link := same(b.token, st.Sender), same(b.token, st.View)
	byClaim, byBoth := same(b.token, claim), link&same(b.device, claim)
	return rights{
		sender: b.hasToken && sender == 1,
		link:   b.hasToken && link == 1,
		holder: open && (b.hasToken && byClaim == 1 || b.hasToken && b.hasDevice && byBoth == 1),
		heir:   !open && b.hasToken && b.hasDevice && link == 1,
	}
}

func same(a, b [32]byte) int { return subtle.ConstantTimeCompare(a[:], b[:]) }

// nobody stands for a mailbox that isn't there: its capabilities are found by
// chance only, and comparing with them costs what comparing with real ones does.
func nobody() *Status {
	st := &Status{Lanes: map[frame.Candidate][32]byte{}}
	rand.Read(st.Sender[:])
	rand.Read(st.View[:])
	return st
}

// look views the request's mailbox. It fails with ErrAbsent in the same way for
// a mailbox that isn't there and for one that the request has no right to.
func (h *Handler) look(x *exchange, may func(rights) bool) (Status, rights, error) {
	st, err := h.store.View(x.r.Context(), x.id())
	if err != nil && !errors.Is(err, ErrAbsent) {
		return Status{}, rights{}, err
	}
	known := &st
	if err != nil {
		known = h.nobody
	}
	r := shown(x.r.Header).rights(known, x.path.Lane)
	if !may(r) || err != nil {
		return Status{}, rights{}, ErrAbsent
	}
	x.living(st)
	return st, r, nil
}

// enter is look for calls that don't wait: who has no right is counted.
func (h *Handler) enter(x *exchange, may func(rights) bool) (Status, rights, error) {
	st, r, err := h.look(x, may)
	if errors.Is(err, ErrAbsent) {
		err = h.refuse(x)
	}
	return st, r, err
}

// refuse counts a wrong capability and returns what it is answered with. Who
// shows the right one is never hindered by others' guesses.
func (h *Handler) refuse(x *exchange) error {
	if wait := h.limiter.guess(h.cfg.ClientAddr(x.r), h.cfg.Now()); wait > 0 {
		return x.limited(wait)
	}
	return ErrAbsent
}

// closing returns the frame that closed a lane, nil if none is kept.
func closing(st Status, lane frame.Candidate) frame.Frame {
	i := slices.IndexFunc(st.Closings, func(f frame.Frame) bool { return f.Candidate() == lane })
	if i < 0 {
		return nil
	}
	return st.Closings[i]
}

func isSender(r rights) bool { return r.sender }
func isLink(r rights) bool   { return r.link }
func isParty(r rights) bool  { return r.sender || r.holder || r.heir }
func isHolder(r rights) bool { return r.holder || r.heir }
