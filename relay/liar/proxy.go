package liar

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"

	"github.com/sparekey/sparekey/relay/wire"
)

// A Proxy is a running liar.
type Proxy struct {
	srv    *http.Server
	client *http.Client
	addr   string
	served chan struct{}
	ended  context.Context // when the proxy is closed
	end    context.CancelFunc

	mu    sync.Mutex
	rnd   *rand.Rand
	relay string
	rules []*told
	gates map[string]chan struct{}
	calls []Call
	wire  bytes.Buffer
	conns map[*tapped]bool
	busy  int           // calls that go on
	heard chan struct{} // closed and renewed with every call, and when one or a connection ends
}

// maxBody is more than a relay takes.
const maxBody = wire.MaxBody + 1<<16

// Start starts a proxy on loopback in front of the relay at that URL.
func Start(relay string, seed uint64, rules ...Rule) (*Proxy, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("the liar can't listen: %w", err)
	}
	var h2 http.Protocols
	h2.SetUnencryptedHTTP2(true)
	p := &Proxy{
		client: &http.Client{
			Transport:     &http.Transport{Protocols: &h2, DisableCompression: true},
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
		addr: l.Addr().String(), served: make(chan struct{}), relay: relay, heard: make(chan struct{}),
		rnd: rand.New(rand.NewPCG(seed, 1)), gates: map[string]chan struct{}{}, conns: map[*tapped]bool{},
	}
	p.ended, p.end = context.WithCancel(context.Background())
	p.Tell(rules...)
	both := h2
	both.SetHTTP1(true)
	p.srv = &http.Server{Handler: p, Protocols: &both, MaxHeaderBytes: 1 << 20}
	go func() {
		defer close(p.served)
		p.srv.Serve(&listener{l, p})
	}()
	return p, nil
}

// URL is where devices reach the liar.
func (p *Proxy) URL() string { return "http://" + p.addr }

// Tell replaces the rules.
func (p *Proxy) Tell(rules ...Rule) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.rules = nil
	for _, r := range rules {
		p.rules = append(p.rules, &told{Rule: r})
	}
}

// Aim sends all that comes from now on to another relay. Break makes devices notice.
func (p *Proxy) Aim(relay string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.relay = relay
}

// Open lets go what waits at a gate, and what will come to it.
func (p *Proxy) Open(gate string) {
	c := p.gate(gate)
	p.mu.Lock()
	defer p.mu.Unlock()
	select {
	case <-c:
	default:
		close(c)
	}
}

func (p *Proxy) gate(name string) chan struct{} {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.gates[name] == nil {
		p.gates[name] = make(chan struct{})
	}
	return p.gates[name]
}

// wait waits at a gate; false: the device or the proxy has gone first.
func (p *Proxy) wait(ctx context.Context, gate string) bool {
	select {
	case <-p.gate(gate):
		return true
	case <-ctx.Done():
	case <-p.ended.Done():
	}
	return false
}

// Break cuts every connection of the devices, as a relay does that is started again.
func (p *Proxy) Break() {
	p.mu.Lock()
	open := slices.Collect(maps.Keys(p.conns))
	p.mu.Unlock()
	for _, c := range open {
		c.Close()
	}
}

// Close ends the proxy and everything that goes through it.
func (p *Proxy) Close() {
	p.end()
	p.srv.Close()
	p.Break() // net/http closes connections of HTTP/2 late
	<-p.served
	p.client.CloseIdleConnections()
}

// pick returns the rule for a call, if one is to be followed.
func (p *Proxy) pick(match func(Rule) bool) (Rule, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, t := range p.rules {
		if match(t.Rule) && t.turn() {
			return t.Rule, true
		}
	}
	return Rule{}, false
}

// ServeHTTP lies about a call, or passes it on.
func (p *Proxy) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	p.count(1)
	defer p.count(-1)
	ctx, cancel := context.WithCancel(req.Context())
	defer cancel()
	defer context.AfterFunc(p.ended, cancel)()
	body, err := io.ReadAll(io.LimitReader(req.Body, maxBody))
	if err != nil {
		return
	}
	over := make(chan struct{})
	defer close(over)
	c := Call{Method: req.Method, Path: req.URL.RequestURI(), Header: req.Header.Clone(), Body: body, Over: over}
	p.note(c)
	place := c.Place()
	rule, lies := p.pick(func(r Rule) bool { return !r.Do.ofFrames() && r.fits(c.Method, place) })
	if lies && rule.Do != Wait && rule.Do != Late {
		p.answer(ctx, w, rule)
		return
	}
	if rule.Do == Wait && !p.wait(ctx, rule.Gate) {
		return
	}
	if c.Body, err = p.lieUp(ctx, c, place); err == nil {
		p.pass(ctx, w, c, place, func() bool { return rule.Do != Late || p.wait(ctx, rule.Gate) })
	}
}

// pass asks the relay, waits for leave, and gives the answer with lies about the
// frames in it.
func (p *Proxy) pass(ctx context.Context, w http.ResponseWriter, c Call, place wire.Place, leave func() bool) {
	p.mu.Lock()
	base := p.relay
	p.mu.Unlock()
	res, err := p.send(ctx, base, c)
	if err != nil {
		w.WriteHeader(http.StatusBadGateway)
		return
	}
	defer res.Body.Close()
	if !leave() {
		return
	}
	for name, values := range res.Header {
		w.Header()[name] = values
	}
	w.WriteHeader(res.StatusCode)
	flush := http.NewResponseController(w).Flush
	if flush() != nil {
		return
	}
	if strings.HasPrefix(res.Header.Get("Content-Type"), wire.TypeFrames) {
		p.lieDown(ctx, w, flush, res.Body, c, place)
		return
	}
	io.Copy(w, res.Body)
}

func (p *Proxy) send(ctx context.Context, base string, c Call) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, c.Method, base+c.Path, bytes.NewReader(c.Body))
	if err != nil {
		return nil, err
	}
	req.Header = c.Header.Clone()
	return p.client.Do(req)
}
