package relay

import (
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/sparekey/sparekey/fault"
	"github.com/sparekey/sparekey/relay/wire"
)

// A Handler answers the requests of PROTOCOL.md. Its methods may be called at
// the same time.
type Handler struct {
	cfg     Config
	store   Store
	nobody  *Status
	page    page
	limiter *limiter
	metrics *meters

	streams, waiters, bodies slots

	drain    sync.Once
	draining chan struct{}
}

// NewHandler returns a Handler of c, which needs a Store.
func NewHandler(c Config) *Handler {
	c = c.withDefaults()
	h := &Handler{
		cfg: c, store: c.Store, nobody: nobody(), page: newPage(c.PublicURL), limiter: newLimiter(c.Quotas),
		draining: make(chan struct{}),
	}
	h.streams.size, h.waiters.size, h.bodies.size = int64(c.Quotas.Streams), int64(c.Quotas.Waiters), c.Quotas.BodyBytes
	h.metrics = newMeters(h)
	return h
}

// Drain ends every stream and every wait, and makes the handler refuse what
// isn't a delete. It returns at once and may be called again.
func (h *Handler) Drain() { h.drain.Do(func() { close(h.draining) }) }

func (h *Handler) isDraining() bool {
	select {
	case <-h.draining:
		return true
	default:
		return false
	}
}

// A call is one line of the protocol's table.
type call struct {
	name  string   // in metrics and logs
	query []string // the names that its query may have
	do    func(*Handler, *exchange) error
	late  bool // still served while draining
}

// calls are the calls of each place, by method.
var calls = map[wire.Place]map[string]call{
	wire.Mailbox: {
		http.MethodPut:    {name: "create", do: (*Handler).create},
		http.MethodGet:    {name: "view", do: (*Handler).view, query: []string{wire.Known, wire.Wait}},
		http.MethodDelete: {name: "delete", do: (*Handler).delete, late: true},
	},
	wire.Offer: {http.MethodPut: {name: "offer", do: (*Handler).offer}},
	wire.Lane: {
		http.MethodPut:    {name: "claim", do: (*Handler).claim, query: []string{wire.From}},
		http.MethodDelete: {name: "close", do: (*Handler).close},
	},
	wire.Log:     {http.MethodGet: {name: "log", do: (*Handler).log, query: []string{wire.From}}},
	wire.Entry:   {http.MethodPut: {name: "append", do: (*Handler).append}},
	wire.Claims:  {http.MethodGet: {name: "claims", do: (*Handler).claims, query: []string{wire.After}}},
	wire.Confirm: {http.MethodPut: {name: "confirm", do: (*Handler).confirm}},
	wire.Health:  reading(call{name: "health", do: (*Handler).health, late: true}),
	wire.Ready:   reading(call{name: "ready", do: (*Handler).ready, late: true}),
}

func reading(c call) map[string]call {
	return map[string]call{http.MethodGet: c, http.MethodHead: c}
}

// ServeHTTP implements http.Handler.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	x := &exchange{w: w, r: r, call: "none", start: time.Now(), now: h.cfg.Now}
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	defer h.metrics.count(x)
	defer h.recover(x)
	if err := h.dispatch(x); err != nil && x.status == 0 {
		x.problem(h.problemOf(x, err))
	}
}

// dispatch finds the request's call and does it.
func (h *Handler) dispatch(x *exchange) error {
	// Escapes that a path of ours never needs make a RawPath, others stay escaped.
	if x.r.URL.RawPath == "" {
		x.path = wire.ParsePath(x.r.URL.EscapedPath())
	}
	switch x.path.Place {
	case wire.Nowhere:
		return wire.NewProblem(wire.NoCall, "this relay speaks version 1: /v1/mailboxes/…")
	case wire.Page:
		h.servePage(x)
		return nil
	}
	methods := calls[x.path.Place]
	c, ok := methods[x.r.Method]
	if !ok {
		return notAllowed(x, methods)
	}
	x.call = c.name
	query, err := wire.ParseQuery(x.r.URL.RawQuery, c.query...)
	if err != nil {
		return h.unreadable(x, err)
	}
	x.query = query
	if h.isDraining() && !c.late {
		return h.drainingProblem(x)
	}
	fault.Point(c.name, "begin")
	return c.do(h, x)
}

func notAllowed(x *exchange, methods map[string]call) error {
	var names []string
	for m := range methods {
		names = append(names, m)
	}
	slices.Sort(names)
	x.w.Header().Set("Allow", strings.Join(names, ", "))
	return wire.NewProblem(wire.Method, "")
}
