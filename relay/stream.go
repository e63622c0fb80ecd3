package relay

import (
	"context"
	"encoding/binary"
	"errors"
	"net/http"
	"time"

	"github.com/sparekey/sparekey/fault"
	"github.com/sparekey/sparekey/noise/frame"
	"github.com/sparekey/sparekey/relay/wire"
)

// A source returns the frames of a stream from number from on: all there are, or
// a first piece. With an error it may return the stream's last frames.
type source func(ctx context.Context, from uint64) ([]frame.Frame, error)

// stream writes a source's frames as they come until the source fails, the
// client leaves or the handler drains. Errors that come before the first byte
// are returned to become problems; after it the stream just ends, and whoever
// still needs it asks again and learns why.
//
// What a stream holds for a slow reader is a piece of its log, and for no longer
// than the reader has for a frame. It is one goroutine, the request's own, and asleep it holds a timer, a
// channel and the store's watch.
func (h *Handler) stream(x *exchange, from uint64, read source) error {
	ctx := x.r.Context()
	changed, stop := h.store.Watch(x.id())
	defer stop()
	frames, err := read(ctx, from)
	if err != nil {
		return err
	}
	s := newStream(h, x)
	beat := time.NewTimer(h.cfg.Heartbeat)
	defer beat.Stop()
	for due := true; ; frames, err = read(ctx, from) {
		if s.frames(frames) != nil || err != nil {
			return s.end(err)
		}
		if from += uint64(len(frames)); len(frames) > 0 {
			due = true
			continue
		}
		if due { // the client has caught up, or the stream was silent for long
			if s.heartbeat() != nil {
				return nil
			}
			beat.Reset(h.cfg.Heartbeat)
		}
		select {
		case <-changed:
			due = false
		case <-beat.C:
			due = true // and read, so that a mailbox whose time is up is seen to be
		case <-h.draining:
			return nil
		case <-ctx.Done():
			return nil
		}
	}
}

// A streamWriter writes a stream's frames with a deadline each.
type streamWriter struct {
	h  *Handler
	x  *exchange
	rc *http.ResponseController
}

// newStream begins the answer that is a stream.
func newStream(h *Handler, x *exchange) *streamWriter {
	x.lift()
	x.w.Header().Set("Content-Type", wire.TypeFrames)
	// A proxy that collects what it passes on would hold frames back.
	x.w.Header().Set("X-Accel-Buffering", "no")
	x.begin(http.StatusOK)
	return &streamWriter{h, x, http.NewResponseController(x.w)}
}

// frames writes frames.
func (s *streamWriter) frames(frames []frame.Frame) error {
	for _, f := range frames {
		s.rc.SetWriteDeadline(time.Now().Add(s.h.cfg.WriteTime))
		var size [4]byte
		binary.BigEndian.PutUint32(size[:], uint32(len(f)))
		if _, err := s.x.w.Write(size[:]); err != nil {
			return err
		}
		fault.Point("relay.frame", "begin")
		if _, err := s.x.w.Write(f); err != nil {
			return err
		}
		fault.Point("relay.frame", "end")
		s.h.metrics.framesOut.Inc()
	}
	return nil
}

// heartbeat writes a heartbeat and flushes. The deadline goes with it: HTTP/2
// would reset a stream that is only silent.
func (s *streamWriter) heartbeat() error {
	s.rc.SetWriteDeadline(time.Now().Add(s.h.cfg.WriteTime))
	if _, err := s.x.w.Write(frame.Heartbeat()); err != nil {
		return err
	}
	err := s.rc.Flush()
	fault.Point("relay.stream", "flushed")
	s.rc.SetWriteDeadline(time.Time{})
	return err
}

// end ends a stream whose source has failed, or whose client takes nothing.
func (s *streamWriter) end(err error) error {
	var closed *ClosedError
	var gone *GoneError
	if err != nil && !errors.As(err, &closed) && !errors.As(err, &gone) && !errors.Is(err, ErrAbsent) {
		s.h.trouble(s.x, err)
	}
	return nil
}
