package relay

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/sparekey/sparekey/noise/frame"
	"github.com/sparekey/sparekey/relay/wire"
)

// create makes a mailbox for whoever knows the id's preimage.
func (h *Handler) create(x *exchange) error {
	if wait := h.limiter.create(h.cfg.ClientAddr(x.r), h.cfg.Now()); wait > 0 {
		return x.limited(wait)
	}
	b, err := h.readJSON(x)
	if err != nil {
		return err
	}
	c, err := wire.ParseCreate(b)
	if err != nil {
		return h.unreadable(x, err)
	}
	if frame.ID(c.Preimage) != x.id() {
		return wire.NewProblem(wire.Unproven, "the preimage doesn't make the id in the path")
	}
	offer, err := frame.Parse(c.Offer)
	if err != nil || one([]frame.Frame{offer}, frame.Offer, frame.Candidate{}, 0) != nil {
		return misfit("offer: not an offer's frame of epoch 0")
	}
	m := Mailbox{
		Offer: offer, View: c.View, Sender: c.Sender, Lanes: c.Lanes, Public: c.Public,
		TTL: c.TTL, Expires: h.cfg.Now().Add(c.TTL),
	}
	if err := h.spend(x, int64(len(b))); err != nil {
		return err
	}
	ctx := x.r.Context()
	if err := h.store.Create(ctx, x.id(), m); err != nil {
		return err
	}
	// Not m: a create that came again doesn't prolong the mailbox.
	st, err := h.store.View(ctx, x.id())
	if errors.Is(err, ErrAbsent) {
		return h.unavailable(x, "the mailbox's time was up before its create could be answered")
	}
	if err != nil {
		return err
	}
	x.living(st)
	x.answer(http.StatusCreated, "", nil)
	return nil
}

// view shows the offer, at once or held.
func (h *Handler) view(x *exchange) error {
	if x.query.Wait == nil || *x.query.Wait == 0 {
		st, _, err := h.enter(x, isLink)
		return h.show(x, st, err)
	}
	return h.hold(x, time.Duration(*x.query.Wait)*time.Second)
}

// show answers a view with what was seen.
func (h *Handler) show(x *exchange, st Status, err error) error {
	switch {
	case err != nil:
		return err
	case x.stale(st):
		x.answer(http.StatusNoContent, "", nil)
	default:
		x.answer(http.StatusOK, wire.TypeFrames, frame.Append(nil, st.Offer))
		h.metrics.framesOut.Inc()
	}
	return nil
}

// stale reports that the client knows this offer.
func (x *exchange) stale(st Status) bool {
	return x.query.Known != nil && st.Epoch <= *x.query.Known
}

// hold shows the offer once it is there and new to the client, or when the time
// is up. A mailbox that the client has no right to is waited for like one that
// doesn't exist.
func (h *Handler) hold(x *exchange, wait time.Duration) error {
	leave, err := h.occupy(x, &h.waiters, "too many views are held; ask without wait")
	if err != nil {
		return err
	}
	defer leave()
	changed, stop := h.store.Watch(x.id())
	defer stop()
	end := time.NewTimer(wait)
	defer end.Stop()
	lifted := false
	for {
		st, _, err := h.look(x, isLink)
		if err == nil && !x.stale(st) || err != nil && !errors.Is(err, ErrAbsent) {
			return h.show(x, st, err)
		}
		if !lifted {
			if err != nil {
				if err := h.refuse(x); !errors.Is(err, ErrAbsent) {
					return err
				}
			}
			x.lift()
			lifted = true
		}
		select {
		case <-changed:
		case <-end.C:
			return h.show(x, st, err)
		case <-h.draining:
			return h.drainingProblem(x)
		case <-x.r.Context().Done():
			return context.Cause(x.r.Context())
		}
	}
}

// offer publishes the next epoch's offer.
func (h *Handler) offer(x *exchange) error {
	if _, _, err := h.enter(x, isSender); err != nil {
		return err
	}
	frames, release, err := h.readFrames(x)
	defer release()
	if err != nil {
		return err
	}
	if err := one(frames, frame.Offer, frame.Candidate{}, x.path.Seq); err != nil {
		return err
	}
	if len(frames[0]) > wire.MaxOffer {
		return wire.NewProblem(wire.TooLarge, "an offer's frame has at most 4096 bytes")
	}
	return h.done(x, h.store.Offer(x.r.Context(), x.id(), frames[0]))
}

// confirm binds the mailbox to the pinned device claim.
func (h *Handler) confirm(x *exchange) error {
	if _, _, err := h.enter(x, isSender); err != nil {
		return err
	}
	b, err := h.readJSON(x)
	if err != nil {
		return err
	}
	c, err := wire.ParseBinding(b)
	if err != nil {
		return h.unreadable(x, err)
	}
	if err := h.spend(x, int64(len(b))); err != nil {
		return err
	}
	return h.done(x, h.store.Confirm(x.r.Context(), x.id(), c.Epoch, frame.Candidate(c.Lane), c.Claim))
}

// delete erases the mailbox for whoever shows that the share has ended.
func (h *Handler) delete(x *exchange) error {
	b, err := h.readJSON(x)
	if err != nil {
		return err
	}
	p, err := wire.ParseProof(b)
	if err != nil {
		return h.unreadable(x, err)
	}
	proof := frame.Proof{H: p.H, Over: p.Over}
	if !proof.Proves(x.id()) {
		return wire.NewProblem(wire.Unproven, "h and over don't make the id in the path")
	}
	return h.done(x, h.store.Delete(x.r.Context(), x.id(), proof))
}

// done answers a write: with nothing, or with what went wrong.
func (h *Handler) done(x *exchange, err error) error {
	if err == nil {
		x.answer(http.StatusNoContent, "", nil)
	}
	return err
}

// health says that the process answers.
func (h *Handler) health(x *exchange) error {
	x.answer(http.StatusOK, "text/plain; charset=utf-8", []byte("ok\n"))
	return nil
}

// ready says whether new work is welcome: not while draining, nor with a store that fails
// or has no room for another mailbox.
func (h *Handler) ready(x *exchange) error {
	if h.isDraining() {
		return h.drainingProblem(x)
	}
	if _, err := h.store.View(x.r.Context(), frame.ShareID{}); err != nil && !errors.Is(err, ErrAbsent) {
		return err
	}
	switch err := h.store.Room(); {
	case errors.Is(err, ErrStorage): // of the relay as a whole: a 507 is about what a request brings
		return h.unavailable(x, "there is no room for new mailboxes; those that are there can be read and ended")
	case err != nil:
		return err
	}
	return h.health(x)
}
