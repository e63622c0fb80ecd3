package relay

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync"

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

// An intake gives the frames of a request's body as they come.
type intake struct {
	h     *Handler
	x     *exchange
	m     *metered
	buf   *bufio.Reader
	count int          // of frames so far
	pay   func() error // counts all of the body, once
}

// takeIn begins to read a body's frames. release is to be called at its end.
func (h *Handler) takeIn(x *exchange) *intake {
	m := &metered{r: http.MaxBytesReader(x.w, x.r.Body, wire.MaxBody), slots: &h.bodies}
	buf := intakes.Get().(*bufio.Reader)
	buf.Reset(m)
	in := &intake{h: h, x: x, m: m, buf: buf}
	in.pay = sync.OnceValue(in.charge)
	return in
}

// intakes are buffers that hold any frame, so that more can tell whether one is there.
var intakes = sync.Pool{New: func() any { return bufio.NewReaderSize(nil, 64<<10) }}

func (in *intake) release() {
	in.m.release()
	in.buf.Reset(nil)
	intakes.Put(in.buf)
}

// next waits for a frame, and returns it with those that have come with it. The
// error is why nothing follows these: io.EOF at the body's end.
func (in *intake) next() (frames []frame.Frame, err error) {
	for len(frames) == 0 || in.more() || !in.sooner() {
		f, err := in.read()
		switch {
		case errors.Is(err, frame.ErrHeartbeat):
			continue
		case err != nil:
			return frames, err
		}
		frames = append(frames, f)
	}
	return frames, nil
}

// charge counts a body against its network's bound, all of it before the first frame
// is stored: a request that is refused can be taken later as a whole, however small
// the bound is.
func (in *intake) charge() error {
	return in.h.spend(in.x, max(in.m.free+in.m.taken, in.x.r.ContentLength))
}

func (in *intake) read() (frame.Frame, error) {
	f, err := frame.NewReader(in.buf).Read()
	switch {
	case err == nil && in.count == wire.MaxFrames:
		err = fmt.Errorf("%w: more than %d frames in one request", frame.ErrMalformed, wire.MaxFrames)
	case err == nil:
		in.count++
		in.h.metrics.framesIn.Inc()
		return f, nil
	case errors.Is(err, frame.ErrHeartbeat), errors.Is(err, io.EOF) && !in.m.refused:
		return nil, err
	case in.m.refused:
		return nil, in.h.unavailable(in.x, "too much is being sent at once")
	}
	return nil, in.h.unreadable(in.x, err)
}

// more reports whether all of the next frame has come already.
func (in *intake) more() bool {
	size, err := in.buf.Peek(min(4, in.buf.Buffered()))
	return err == nil && len(size) == 4 && uint64(in.buf.Buffered()) >= 4+uint64(binary.BigEndian.Uint32(size))
}

// sooner reports whether what has come is to be stored before the rest is there. That
// is one write more, which counts: where the network's bound has no room for it, and
// where nobody has said how long the body is, the rest is waited for.
func (in *intake) sooner() bool {
	rest := in.x.r.ContentLength - in.m.free - in.m.taken
	return rest > 0 && in.pay() == nil && in.h.limiter.write(in.h.cfg.ClientAddr(in.x.r), writeCost, in.h.cfg.Now()) == 0
}

// rest waits for the rest of a body that is of no use: an answer that came before
// would break the connection of a client that is still sending.
func (in *intake) rest() { io.Copy(io.Discard, in.buf) }

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
// seq first on without a gap. It returns how many of them do, before the first that
// doesn't.
func fit(frames []frame.Frame, lane frame.Candidate, side Side, first uint64) (int, error) {
	if len(frames) == 0 {
		return 0, misfit("the body holds no frame")
	}
	for i, f := range frames {
		want := frame.Data
		if side == ReceiverSide && f.Seq() == 0 {
			want = frame.Handshake
		}
		switch {
		case f.Kind() != want:
			return i, misfit("this frame's kind doesn't belong at its seq")
		case f.Candidate() != lane:
			return i, misfit("a frame is of another candidate than the path's lane")
		case f.Seq() != first+uint64(i) || f.Seq() > wire.MaxNumber:
			return i, misfit("the frames' seqs don't run from the path's on")
		}
	}
	return len(frames), nil
}

// one checks that a body is a single frame of this kind, candidate and seq.
func one(frames []frame.Frame, k frame.Kind, c frame.Candidate, seq uint64) error {
	if len(frames) != 1 || frames[0].Kind() != k || frames[0].Candidate() != c || frames[0].Seq() != seq {
		return misfit("the body isn't the one frame that the path asks for")
	}
	return nil
}

func misfit(why string) error { return wire.NewProblem(wire.Malformed, why) }
