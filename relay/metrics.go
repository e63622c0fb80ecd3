package relay

import (
	"fmt"
	"net/http"
	"runtime"
	"strconv"

	"github.com/VictoriaMetrics/metrics"

	"github.com/sparekey/sparekey/relay/wire"
)

// meters count what the handler does. No label comes from a request: there is
// no identity in them.
type meters struct {
	set                   *metrics.Set
	framesIn, framesOut   *metrics.Counter
	storeErrors, panics   *metrics.Counter
	swept, serverMessages *metrics.Counter
}

func newMeters(h *Handler) *meters {
	set := metrics.NewSet()
	set.NewGauge("sparekey_relay_streams", func() float64 { return float64(h.streams.used.Load()) })
	set.NewGauge("sparekey_relay_held_views", func() float64 { return float64(h.waiters.used.Load()) })
	set.NewGauge("sparekey_relay_body_bytes", func() float64 { return float64(h.bodies.used.Load()) })
	return &meters{
		set:            set,
		framesIn:       set.NewCounter("sparekey_relay_frames_in_total"),
		framesOut:      set.NewCounter("sparekey_relay_frames_out_total"),
		storeErrors:    set.NewCounter("sparekey_relay_store_errors_total"),
		panics:         set.NewCounter("sparekey_relay_panics_total"),
		swept:          set.NewCounter("sparekey_relay_swept_total"),
		serverMessages: set.NewCounter("sparekey_relay_server_messages_total"),
	}
}

// count counts an answered request.
func (m *meters) count(x *exchange) {
	m.set.GetOrCreateCounter(`sparekey_relay_requests_total{call="` + x.call + `",status="` + strconv.Itoa(x.status) + `"}`).Inc()
}

// Metrics returns a handler that shows the metrics, for a listener of the operator's own.
func (h *Handler) Metrics() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
		h.metrics.set.WritePrometheus(w)
	})
}

// recover answers for a panic. What is logged are the functions it came through:
// a stack as the runtime prints it would hold their arguments, ids among them.
func (h *Handler) recover(x *exchange) {
	v := recover()
	if v == nil {
		return
	}
	if v == http.ErrAbortHandler {
		panic(v)
	}
	h.metrics.panics.Inc()
	h.cfg.Logger.Error("a request panicked", "call", x.call, "what", panicText(v), "stack", stack())
	if x.status != 0 {
		panic(http.ErrAbortHandler) // an answer that was begun must not look whole
	}
	x.problem(wire.NewProblem(wire.Broken, ""))
}

// panicText says what is safe to say of a panic's value.
func panicText(v any) string {
	if err, ok := v.(runtime.Error); ok {
		return err.Error()
	}
	return fmt.Sprintf("%T", v)
}

func stack() []string {
	pcs := make([]uintptr, 32)
	frames := runtime.CallersFrames(pcs[:runtime.Callers(3, pcs)])
	var out []string
	for {
		f, more := frames.Next()
		out = append(out, f.Function+":"+strconv.Itoa(f.Line))
		if !more {
			return out
		}
	}
}
