package mailbox

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
	"unicode"

	"github.com/sparekey/sparekey/fault"
	"github.com/sparekey/sparekey/noise/frame"
	"github.com/sparekey/sparekey/relay/roots"
	"github.com/sparekey/sparekey/relay/wire"
)

// A Config says how relays are reached. The zero Config is for devices. It is
// not modified, and may be shared.
type Config struct {
	TLS    *tls.Config                                                       // roots of one's own; nil: the system's. Sessions are never resumed
	Dial   func(ctx context.Context, network, addr string) (net.Conn, error) // nil: a net.Dialer's, 5 s
	Jitter func() float64                                                    // in [0,1), to spread retries; nil: math/rand
}

// A call is one request.
type call struct {
	method string
	path   wire.Path
	query  wire.Query
	token  [32]byte  // zero: none is shown
	claim  *[32]byte // the device claim beside the link capability
	body   []byte
	frames []frame.Frame       // in the place of a body: each goes out by itself
	left   func(time.Duration) // told the mailbox's time left when the answer begins; may be nil
}

// A transport makes calls to one relay. It is what stands between this package
// and net/http, which a browser does without.
type transport interface {
	host() string
	do(context.Context, call) error
	frames(context.Context, call) ([]frame.Frame, error)
	stream(context.Context, call) (stream, error)
	garbage(error) error
	close()
}

type stream interface {
	read() (frame.Frame, error) // errEnd where it ends in order
	close()
}

var errEnd = errors.New("the stream has ended")

// A Fault says what is the matter with a relay.
type Fault byte

// The faults of a relay.
const (
	Unreachable Fault = iota + 1 // no connection, or it broke
	Refused                      // it answers, with a reason why not
	Trouble                      // it answers that it can't at the moment
	Garbage                      // what answers is no relay, or a broken one
)

// A RelayError says what is the matter with a relay, for people.
type RelayError struct {
	Fault Fault
	Host  string
	What  string
	wait  time.Duration // for which the relay asks to be left alone
	err   error
}

func (e *RelayError) Error() string { return fmt.Sprintf("the relay %s %s", e.Host, e.What) }
func (e *RelayError) Unwrap() error { return e.err }

type httpTransport struct {
	base   string
	name   string
	client *http.Client
	dial   func(ctx context.Context, network, addr string) (net.Conn, error)

	mu     sync.Mutex
	closed bool
	conns  map[net.Conn]bool
	pause  time.Time // not to be asked before
	why    error
}

// Bounds on what an answer may make a device hold or wait for. Our own headers
// have a few hundred bytes.
const (
	maxHeader = 16 << 10
	maxWindow = 1 << 20 // of a stream that isn't being read
	maxPause  = time.Minute
)

func newTransport(c Config, base string) (*httpTransport, error) {
	u, err := url.Parse(base)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return nil, &RelayError{Fault: Refused, Host: base, What: "has an address that can't be asked; it starts with https://"}
	}
	t := &httpTransport{base: strings.TrimSuffix(base, "/"), name: u.Host, conns: map[net.Conn]bool{}, dial: c.Dial}
	if t.dial == nil {
		t.dial = (&net.Dialer{Timeout: 5 * time.Second}).DialContext
	}
	pool := &http.Transport{
		DialContext: t.connect, TLSHandshakeTimeout: 10 * time.Second, MaxResponseHeaderBytes: maxHeader, DisableCompression: true,
		Protocols: new(http.Protocols), IdleConnTimeout: time.Minute,
		HTTP2: &http.HTTP2Config{MaxReceiveBufferPerStream: maxWindow, SendPingTimeout: silence / 2, PingTimeout: 10 * time.Second},
	}
	if u.Scheme == "http" {
		if !loopback(u.Hostname()) {
			return nil, &RelayError{Fault: Refused, Host: u.Host, What: "is asked for over plain http, which is for this very machine; use https://"}
		}
		pool.Protocols.SetUnencryptedHTTP2(true)
	} else {
		pool.Protocols.SetHTTP1(true)
		pool.Protocols.SetHTTP2(true)
		pool.TLSClientConfig = c.TLS.Clone()
		if pool.TLSClientConfig == nil {
			pool.TLSClientConfig = roots.Config(u.Hostname())
		}
		pool.TLSClientConfig.MinVersion = tls.VersionTLS13
		pool.TLSClientConfig.ClientSessionCache = nil // a ticket would tell two shares to be one device's
	}
	t.client = &http.Client{
		Transport:     pool,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	return t, nil
}

// Prepare begins to read what a first connection to a relay needs: for https the
// system's roots. It returns at once. Who knows early which relay it will be calls
// it early; a handshake waits for the rest.
func Prepare(relay string) {
	if strings.HasPrefix(relay, "https:") {
		roots.Load()
	}
}

func loopback(host string) bool {
	ip, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && ip.IsLoopback()
}

// connect dials, and keeps the connection at hand: net/http closes idle ones
// only, and one on which a request was just given up isn't idle yet.
func (t *httpTransport) connect(ctx context.Context, network, addr string) (net.Conn, error) {
	c, err := t.dial(ctx, network, addr)
	if err != nil {
		return nil, err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed {
		c.Close()
		return nil, net.ErrClosed
	}
	k := &kept{Conn: c, t: t}
	t.conns[k] = true
	return k, nil
}

// A kept connection leaves the transport's list when it is closed.
type kept struct {
	net.Conn
	t *httpTransport
}

func (k *kept) Close() error {
	k.t.mu.Lock()
	delete(k.t.conns, k)
	k.t.mu.Unlock()
	return k.Conn.Close()
}

func (t *httpTransport) close() {
	t.client.CloseIdleConnections()
	t.mu.Lock()
	t.closed = true
	open := slices.Collect(maps.Keys(t.conns))
	t.mu.Unlock()
	for _, c := range open {
		c.Close()
	}
}

func (t *httpTransport) host() string { return t.name }

// paused returns the error of a relay that asked to be left alone, for as long.
func (t *httpTransport) paused() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if time.Now().Before(t.pause) {
		return t.why
	}
	return nil
}

// begin makes a request and returns its answer if it is a 2xx.
func (t *httpTransport) begin(ctx context.Context, c call) (*http.Response, error) {
	if err := t.paused(); err != nil {
		return nil, err
	}
	req, err := http.NewRequestWithContext(ctx, c.method, t.base+c.path.String()+c.query.String(), bytes.NewReader(c.body))
	if err == nil && c.frames != nil {
		carry(req, c.frames)
	}
	if err != nil {
		return nil, &RelayError{Fault: Refused, Host: t.name, What: "has a name that can't be asked", err: err}
	}
	req.Header["User-Agent"] = nil // says nothing of who asks
	if c.token != ([32]byte{}) {
		req.Header.Set("Authorization", wire.Bearer(c.token))
	}
	if c.claim != nil {
		req.Header.Set(wire.HeaderClaim, wire.Text(c.claim[:]))
	}
	fault.Point("mailbox.request", "begin")
	res, err := t.client.Do(req)
	if err != nil {
		return nil, t.unreachable(err)
	}
	fault.Point("mailbox.request", "answered")
	if res.StatusCode/100 == 2 {
		if c.left != nil {
			c.left(left(res.Header))
		}
		return res, nil
	}
	defer res.Body.Close()
	return nil, t.refused(res)
}

// carry gives a request frames for a body. HTTP/2 sends what a body gives at once in
// frames of its own, which a relay reads whole: so that it has a frame of ours as soon
// as it can, each is given by itself.
func carry(req *http.Request, frames []frame.Frame) {
	req.ContentLength = 0
	for _, f := range frames {
		req.ContentLength += int64(4 + len(f))
	}
	req.GetBody = func() (io.ReadCloser, error) {
		parts := make([]io.Reader, len(frames))
		for i, f := range frames {
			parts[i] = bytes.NewReader(frame.Append(nil, f))
		}
		return io.NopCloser(io.MultiReader(parts...)), nil
	}
	req.Body, _ = req.GetBody()
}

// rounding is how much longer than it says a mailbox may live: it tells whole seconds,
// and its end may be a whole second too, both rounded down.
const rounding = 2 * time.Second

// left is how long a mailbox has at the most; 0: it doesn't say. Taken to the second,
// its word would end a share that lives for seconds before its time.
func left(h http.Header) time.Duration {
	s := seconds(h.Get(wire.HeaderExpires))
	if s == 0 {
		return 0
	}
	return s + rounding
}

func seconds(s string) time.Duration {
	n, err := strconv.ParseInt(s, 10, 32)
	if err != nil || n < 0 {
		return 0
	}
	return time.Duration(n) * time.Second
}

// refused reads what a relay has to say to a request that failed. What isn't a
// problem of ours has none of our types.
func (t *httpTransport) refused(res *http.Response) error {
	e := &RelayError{Fault: Garbage, Host: t.name, What: fmt.Sprintf("gave an answer that isn't a sparekey relay's (status %d)", res.StatusCode)}
	b, err := io.ReadAll(io.LimitReader(res.Body, wire.MaxProblem+1))
	if err == nil {
		if p, err := wire.ParseProblem(b); err == nil && p.Status == res.StatusCode {
			e.Fault, e.What, e.err = Refused, "answered: "+printable(p.Error()), p
		}
	}
	if res.StatusCode >= 500 {
		e.Fault = Trouble
	}
	if res.StatusCode >= 500 || res.StatusCode == http.StatusTooManyRequests {
		t.leave(e, seconds(res.Header.Get("Retry-After")))
	}
	return e
}

// printable keeps a relay's words from steering a terminal.
func printable(s string) string {
	s = strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return '?'
		}
		return r
	}, strings.ToValidUTF8(s, "?"))
	if r := []rune(s); len(r) > maxWords {
		return string(r[:maxWords]) + "…"
	}
	return s
}

const maxWords = 300

// leave leaves the relay alone for as long as it asked, within reason.
func (t *httpTransport) leave(e *RelayError, wait time.Duration) {
	e.wait = min(wait, maxPause)
	t.mu.Lock()
	defer t.mu.Unlock()
	if until := time.Now().Add(e.wait); until.After(t.pause) {
		t.pause, t.why = until, e
	}
}

func (t *httpTransport) unreachable(err error) error {
	e := &RelayError{Fault: Unreachable, Host: t.name, What: "broke the connection off", err: err}
	var invalid x509.CertificateInvalidError
	var unknown x509.UnknownAuthorityError
	var name x509.HostnameError
	var dial *net.OpError
	switch {
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		e.What = "has a certificate that isn't valid now; this device's clock may be wrong"
	case errors.As(err, &unknown), errors.As(err, &invalid), errors.As(err, &name):
		e.What = "can't show that it is the one it should be"
	case errors.As(err, &dial) && dial.Op == "dial":
		e.What = "can't be reached"
	case errors.Is(err, context.DeadlineExceeded):
		e.What = "did not answer in time"
	}
	return e
}

func (t *httpTransport) do(ctx context.Context, c call) error {
	res, err := t.begin(ctx, c)
	if err != nil {
		return err
	}
	_, err = io.Copy(io.Discard, io.LimitReader(res.Body, 1<<10)) // so that the connection serves again
	fault.Point("mailbox.request", "end")
	return errors.Join(err, res.Body.Close())
}

// frames reads an answer of at most one frame, an offer's size.
func (t *httpTransport) frames(ctx context.Context, c call) ([]frame.Frame, error) {
	res, err := t.begin(ctx, c)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	frames, err := frame.NewReader(io.LimitReader(res.Body, 4+wire.MaxOffer+4)).ReadAll(1)
	if err != nil {
		return nil, t.garbage(err)
	}
	return frames, nil
}

func (t *httpTransport) garbage(err error) error {
	return &RelayError{Fault: Garbage, Host: t.name, What: "sent what is no frame of ours", err: err}
}

// A bodyStream reads an answer that goes on. Silence breaks it.
type bodyStream struct {
	t      *httpTransport
	res    *http.Response
	r      *frame.Reader
	silent *time.Timer
	cancel context.CancelFunc
	beats  int       // heartbeats since the last frame
	since  time.Time // when the last frame came
}

// maxBeats is how many heartbeats may come without anything between them before
// they may come only every second: a relay sends one every 20 s.
const maxBeats = 16

var errBeats = errors.New("nothing but heartbeats")

func (t *httpTransport) stream(ctx context.Context, c call) (stream, error) {
	ctx, cancel := context.WithCancel(ctx)
	silent := time.AfterFunc(silence, cancel)
	res, err := t.begin(ctx, c)
	if err != nil {
		silent.Stop()
		cancel()
		return nil, err
	}
	return &bodyStream{t: t, res: res, r: frame.NewReader(res.Body), silent: silent, cancel: cancel, since: time.Now()}, nil
}

func (s *bodyStream) read() (frame.Frame, error) {
	s.silent.Reset(silence)
	f, err := s.r.Read()
	fault.Point("mailbox.frame", "came")
	s.silent.Stop() // who takes its time with a frame doesn't make the relay silent
	switch {
	case err == nil:
		s.beats, s.since = 0, time.Now()
		return f, nil
	case errors.Is(err, frame.ErrHeartbeat):
		if s.beats++; s.beats > maxBeats && time.Since(s.since) < time.Duration(s.beats)*time.Second {
			return nil, s.t.garbage(errBeats)
		}
		return nil, err
	case errors.Is(err, io.EOF):
		return nil, errEnd
	case errors.Is(err, frame.ErrMalformed):
		return nil, s.t.garbage(err)
	}
	return nil, s.t.unreachable(err)
}

func (s *bodyStream) close() {
	s.silent.Stop()
	s.cancel()
	s.res.Body.Close()
}
