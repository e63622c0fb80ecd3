package relay

import (
	"context"
	"errors"
	"math"
	"net/http"
	"os"
	"strconv"
	"syscall"
	"time"

	"github.com/sparekey/sparekey/fault"
	"github.com/sparekey/sparekey/noise/frame"
	"github.com/sparekey/sparekey/relay/wire"
)

// An exchange is one request and its answer.
type exchange struct {
	w      http.ResponseWriter
	r      *http.Request
	path   wire.Path
	query  wire.Query
	call   string // its name in the metrics
	start  time.Time
	now    func() time.Time
	status int // of the answer; 0: none yet
}

func (x *exchange) id() frame.ShareID     { return frame.ShareID(x.path.ID) }
func (x *exchange) lane() frame.Candidate { return frame.Candidate(x.path.Lane) }

// living puts into the answer how long the mailbox has left.
func (x *exchange) living(st Status) {
	left := max(0, st.Expires.Sub(x.now()))
	x.w.Header().Set(wire.HeaderExpires, strconv.FormatInt(int64(left/time.Second), 10))
}

// answer writes a status, and a body if there is one.
func (x *exchange) answer(status int, mediaType string, body []byte) {
	if mediaType != "" {
		x.w.Header().Set("Content-Type", mediaType)
		x.w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	}
	fault.Point("relay.answer", "begin")
	x.begin(status)
	if x.r.Method != http.MethodHead {
		x.w.Write(body)
	}
	fault.Point("relay.answer", "end")
}

func (x *exchange) begin(status int) {
	x.status = status
	x.w.WriteHeader(status)
}

// lift takes the server's time limits off a request that may last.
func (x *exchange) lift() {
	rc := http.NewResponseController(x.w)
	rc.SetReadDeadline(time.Time{}) // or HTTP/1.1 takes the limit's end for the client's
	rc.SetWriteDeadline(time.Time{})
}

// problem answers with a problem.
func (x *exchange) problem(p *wire.Problem) {
	switch p.Type {
	case wire.Absent, wire.Limited:
		x.w.Header().Del(wire.HeaderExpires)
		x.even()
	case wire.Gone:
		x.w.Header().Del(wire.HeaderExpires)
	}
	x.answer(p.Status, wire.TypeProblem, p.Body())
}

// evenStep is what the time to an answer is a multiple of that must not tell
// whether there is a mailbox: "absent", and "limited" in its place.
const evenStep = time.Millisecond

// even waits for the next whole step since the request came. Whatever a store
// does for a mailbox that is there and not for one that isn't takes less than
// a step, and is hidden in it.
func (x *exchange) even() {
	t := time.NewTimer(evenStep - time.Since(x.start)%evenStep)
	defer t.Stop()
	select {
	case <-t.C:
	case <-x.r.Context().Done():
	}
}

// limited is the problem of a client that must wait.
func (x *exchange) limited(wait time.Duration) error {
	s := x.retry(wait)
	return wire.NewProblem(wire.Limited, "try again in "+s+" s; the limit is your network's, not yours alone")
}

// retry sets Retry-After, in whole seconds rounded up.
func (x *exchange) retry(wait time.Duration) string {
	s := strconv.Itoa(int(min(math.Ceil(wait.Seconds()), keyLife.Seconds())))
	x.w.Header().Set("Retry-After", s)
	return s
}

// problemOf returns what an error is answered with.
func (h *Handler) problemOf(x *exchange, err error) *wire.Problem {
	var p *wire.Problem
	var closed *ClosedError
	var gone *GoneError
	switch {
	case errors.As(err, &p):
		return p
	case errors.As(err, &closed):
		p = wire.NewProblem(wire.Closed, "")
		p.Closing = closed.Closing
	case errors.As(err, &gone):
		p = wire.NewProblem(wire.Gone, "")
		p.Over = &wire.Proof{H: gone.Proof.H, Over: gone.Proof.Over}
	case errors.Is(err, ErrAbsent), errors.Is(err, ErrForbidden):
		p = wire.NewProblem(wire.Absent, "")
	case errors.Is(err, ErrConflict):
		p = wire.NewProblem(wire.Conflict, "what was stored before stays")
	case errors.Is(err, ErrBusy):
		p = wire.NewProblem(wire.Busy, "try again later: lanes are freed as the sender refuses candidates")
	case errors.Is(err, ErrFull):
		p = wire.NewProblem(wire.Full, "only the frames that end the share still fit")
	case errors.Is(err, ErrStorage), errors.Is(err, syscall.ENOSPC):
		p = wire.NewProblem(wire.NoSpace, "try again later, or use another relay")
	default:
		p = h.trouble(x, err)
	}
	return p
}

// trouble is for errors that aren't the client's doing.
func (h *Handler) trouble(x *exchange, err error) *wire.Problem {
	if x.r.Context().Err() == nil && !errors.Is(err, context.Canceled) {
		h.metrics.storeErrors.Inc()
		h.cfg.Logger.Error("the store failed", "call", x.call, "err", err)
	}
	return h.unavailable(x, "the store doesn't work at the moment")
}

func (h *Handler) unavailable(x *exchange, why string) *wire.Problem {
	x.retry(time.Second)
	return wire.NewProblem(wire.Unavailable, why)
}

func (h *Handler) drainingProblem(x *exchange) *wire.Problem {
	x.retry(5 * time.Second)
	return wire.NewProblem(wire.Draining, "")
}

// unreadable is the problem of an error from reading a request.
func (h *Handler) unreadable(x *exchange, err error) error {
	var p *wire.Problem
	var size *http.MaxBytesError
	switch {
	case errors.As(err, &p):
		return p
	case errors.As(err, &size):
		return wire.NewProblem(wire.TooLarge, "it has at most "+strconv.FormatInt(size.Limit, 10)+" bytes")
	case errors.Is(err, wire.ErrOutOfRange):
		return wire.NewProblem(wire.OutOfRange, err.Error())
	case errors.Is(err, wire.ErrMalformed), errors.Is(err, frame.ErrMalformed):
		return wire.NewProblem(wire.Malformed, err.Error())
	case errors.Is(err, os.ErrDeadlineExceeded):
		return wire.NewProblem(wire.Malformed, "the body didn't come in time")
	}
	return wire.NewProblem(wire.Malformed, "the body ends too early")
}
