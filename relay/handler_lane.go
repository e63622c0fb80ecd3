package relay

import (
	"bytes"
	"context"
	"io"
	"strconv"

	"github.com/sparekey/sparekey/fault"
	"github.com/sparekey/sparekey/noise/frame"
	"github.com/sparekey/sparekey/relay/wire"
)

// claim opens a lane, appends the receiver's first frames and streams the
// sender's log: one request from the gesture to the grant.
func (h *Handler) claim(x *exchange) error {
	st, _, err := h.enter(x, isLink)
	if err != nil {
		return err
	}
	b := shown(x.r.Header)
	if !b.hasDevice {
		return misfit("a claim needs " + wire.HeaderClaim + ", 32 bytes in base64url")
	}
	// Before anything is stored: a claim that can't be answered isn't one.
	leave, err := h.occupy(x, &h.streams, "too many streams")
	if err != nil {
		return err
	}
	defer leave()
	if err := h.open(x, b.device); err != nil {
		return err
	}
	fault.Point("claim", "stored")
	st.Lanes[x.lane()] = b.device
	return h.streamLog(x, st, SenderSide)
}

func (h *Handler) open(x *exchange, claim [32]byte) error {
	frames, release, err := h.readFrames(x)
	defer release()
	if err != nil {
		return err
	}
	if _, err := fit(frames, x.lane(), ReceiverSide, 0); err != nil {
		return err
	}
	return h.store.Open(x.r.Context(), x.id(), x.lane(), claim, frames)
}

// append adds frames to the log of who asks, as they come: the log's reader has the
// first before the last is here.
func (h *Handler) append(x *exchange) error {
	side, may := Side(x.path.Side), isSender
	if side == ReceiverSide {
		may = isHolder
	}
	st, r, err := h.enter(x, may)
	if err != nil {
		return err
	}
	if side == ReceiverSide && r.heir {
		return &ClosedError{closing(st, x.lane())}
	}
	in := h.takeIn(x)
	defer in.release()
	for seq := x.path.Seq; ; {
		frames, end := in.next()
		if len(frames) > 0 || end == io.EOF && seq == x.path.Seq {
			if err := h.put(in, side, seq, frames); err != nil {
				in.rest()
				return err
			}
			seq += uint64(len(frames))
		}
		switch {
		case end == io.EOF:
			return h.done(x, nil)
		case end != nil:
			return end
		}
	}
}

// put stores frames of an append that have come together, up to the first that
// doesn't belong there.
func (h *Handler) put(in *intake, side Side, seq uint64, frames []frame.Frame) error {
	x := in.x
	n, wrong := fit(frames, x.lane(), side, seq)
	if n == 0 {
		return wrong
	}
	if err := in.pay(); err != nil {
		return err
	}
	if err := h.store.Append(x.r.Context(), x.id(), x.lane(), side, frames[:n]); err != nil {
		return err
	}
	if side == SenderSide {
		fault.Point("append", "stored-of-sender")
	} else {
		fault.Point("append", "stored-of-receiver")
	}
	return wrong
}

// log streams one side's log of a lane.
func (h *Handler) log(x *exchange) error {
	st, r, err := h.enter(x, isParty)
	if err != nil {
		return err
	}
	if r.heir {
		return &ClosedError{closing(st, x.lane())}
	}
	leave, err := h.occupy(x, &h.streams, "too many streams")
	if err != nil {
		return err
	}
	defer leave()
	return h.streamLog(x, st, Side(x.path.Side))
}

// close closes a lane.
func (h *Handler) close(x *exchange) error {
	st, r, err := h.enter(x, isParty)
	if err != nil {
		return err
	}
	frames, release, err := h.readFrames(x)
	defer release()
	if err != nil {
		return err
	}
	if len(frames) == 0 {
		frames = []frame.Frame{frame.Shut(x.lane())}
	}
	if err := one(frames, frame.Taken, x.lane(), 0); err != nil {
		return err
	}
	if len(frames[0]) > wire.MaxClosing {
		return wire.NewProblem(wire.TooLarge, "a closing frame has at most "+strconv.Itoa(wire.MaxClosing)+" bytes")
	}
	if r.heir {
		return h.closeAgain(x, closing(st, x.lane()), frames[0])
	}
	return h.done(x, h.store.Close(x.r.Context(), x.id(), frames[0]))
}

// closeAgain answers a receiver whose lane isn't open any more. It changes
// nothing: else the link alone could push genuine closings out.
func (h *Handler) closeAgain(x *exchange, kept, wanted frame.Frame) error {
	if len(wanted.Sealed()) > 0 && !bytes.Equal(kept, wanted) {
		return &ClosedError{kept}
	}
	return h.done(x, nil)
}

// claims streams what receivers append, on all lanes.
func (h *Handler) claims(x *exchange) error {
	if _, _, err := h.enter(x, isSender); err != nil {
		return err
	}
	leave, err := h.occupy(x, &h.streams, "too many streams")
	if err != nil {
		return err
	}
	defer leave()
	after := orZero(x.query.After)
	if after > 0 {
		last, err := h.store.Claims(x.r.Context(), x.id(), after-1)
		if err != nil {
			return err
		}
		if len(last) == 0 {
			return wire.NewProblem(wire.Ahead, "this relay has lost what you have seen; begin again at 0")
		}
	}
	return h.stream(x, after, func(ctx context.Context, from uint64) ([]frame.Frame, error) {
		return h.store.Claims(ctx, x.id(), from)
	})
}

// streamLog streams a lane's log, as long as the lane is the one of st: opened by
// the same claim in the same epoch.
func (h *Handler) streamLog(x *exchange, st Status, side Side) error {
	lane := x.lane()
	return h.stream(x, orZero(x.query.From), func(ctx context.Context, from uint64) ([]frame.Frame, error) {
		frames, err := h.store.Read(ctx, x.id(), lane, side, from)
		if len(frames) > 0 {
			// Read before View: what was erased and written anew in between is caught.
			now, err := h.store.View(ctx, x.id())
			if err != nil {
				return nil, err
			}
			if now.Epoch != st.Epoch || same(now.Lanes[lane], st.Lanes[lane]) == 0 {
				return nil, &ClosedError{}
			}
		}
		closed, is := err.(*ClosedError)
		if is && side == SenderSide && x.status != 0 && closed.Closing != nil {
			return []frame.Frame{closed.Closing}, err
		}
		return frames, err
	})
}

func orZero(n *uint64) uint64 {
	if n == nil {
		return 0
	}
	return *n
}
