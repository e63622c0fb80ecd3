package relay

import (
	"fmt"
	"io"
	"net/http"

	"github.com/sparekey/sparekey/noise/frame"
	"github.com/sparekey/sparekey/relay/wire"
)

// readJSON returns a request's body, of at most wire.MaxJSON bytes.
func (h *Handler) readJSON(x *exchange) ([]byte, error) {
	b, err := io.ReadAll(http.MaxBytesReader(x.w, x.r.Body, wire.MaxJSON))
	if err != nil {
		return nil, h.unreadable(x, err)
	}
	return b, nil
}

// readFrames returns the frames of a request's body, which are to be written.
// release gives back what they took of the bound for all bodies, and is to be
// called in any case.
func (h *Handler) readFrames(x *exchange) (frames []frame.Frame, release func(), err error) {
	m := &metered{r: http.MaxBytesReader(x.w, x.r.Body, wire.MaxBody), slots: &h.bodies}
	frames, err = frame.NewReader(m).ReadAll(wire.MaxFrames)
	switch {
	case m.refused:
		err = h.unavailable(x, "too much is being sent at once")
	case err != nil:
		err = h.unreadable(x, err)
	default:
		err = h.spend(x, m.free+m.taken)
	}
	h.metrics.framesIn.Add(len(frames))
	return frames, m.release, err
}

// metered counts what it reads against a bound for all. The first MaxJSON bytes
// are free: whatever else is being sent, the small requests pass that end a share.
type metered struct {
	r       io.Reader
	slots   *slots
	free    int64 // of the free bytes, how many are used
	taken   int64
	refused bool
}

func (m *metered) Read(p []byte) (int, error) {
	n, err := m.r.Read(p)
	free := min(int64(n), wire.MaxJSON-m.free)
	m.free += free
	paid := int64(n) - free
	if paid > 0 && !m.slots.enter(paid) {
		m.refused = true
		return 0, fmt.Errorf("the bound for all bodies is reached")
	}
	m.taken += paid
	return n, err
}

func (m *metered) release() {
	m.slots.leave(m.taken)
	m.taken = 0
}

// fit checks that frames belong where the path says: this lane, this side, from
// seq first on without a gap.
func fit(frames []frame.Frame, lane frame.Candidate, side Side, first uint64) error {
	if len(frames) == 0 {
		return misfit("the body holds no frame")
	}
	for i, f := range frames {
		want := frame.Data
		if side == ReceiverSide && f.Seq() == 0 {
			want = frame.Handshake
		}
		switch {
		case f.Kind() != want:
			return misfit("this frame's kind doesn't belong at its seq")
		case f.Candidate() != lane:
			return misfit("a frame is of another candidate than the path's lane")
		case f.Seq() != first+uint64(i) || f.Seq() > wire.MaxNumber:
			return misfit("the frames' seqs don't run from the path's on")
		}
	}
	return nil
}

// one checks that a body is a single frame of this kind, candidate and seq.
func one(frames []frame.Frame, k frame.Kind, c frame.Candidate, seq uint64) error {
	if len(frames) != 1 || frames[0].Kind() != k || frames[0].Candidate() != c || frames[0].Seq() != seq {
		return misfit("the body isn't the one frame that the path asks for")
	}
	return nil
}

func misfit(why string) error { return wire.NewProblem(wire.Malformed, why) }
