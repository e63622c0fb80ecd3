package relay_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/sparekey/sparekey/noise/frame"
	"github.com/sparekey/sparekey/relay"
	"github.com/sparekey/sparekey/relay/storetest"
	"github.com/sparekey/sparekey/relay/wire"
)

// A rig is a relay on a loopback socket, and a client of it.
type rig struct {
	t      *testing.T
	base   string
	client *http.Client
	h      *relay.Handler
	store  *faulty
	clock  *storetest.Clock
	stop   func() // drains, and waits until the relay has stopped
	seen   func(answer)
}

// patience is how long anything may take before a test calls it stuck.
const patience = time.Minute

// newRig starts a relay. The client speaks HTTP/2 with prior knowledge, as
// devices do on loopback, unless told otherwise.
func newRig(t *testing.T, change ...func(*relay.Config)) *rig {
	t.Helper()
	leaks := goleak.IgnoreCurrent()
	clock := storetest.NewClock()
	cfg := relay.Config{
		Store: relay.NewMemory(clock.Now, relay.Limits{LogFrames: 40, Claims: 60, Mailboxes: 100}),
		Now:   clock.Now, PublicURL: "https://relay.example",
	}
	for _, f := range change {
		f(&cfg)
	}
	store := newFaulty(cfg.Store)
	cfg.Store = store
	h := relay.NewHandler(cfg)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	served := make(chan error, 1)
	go func() { served <- relay.Serve(ctx, l, nil, h) }()
	r := &rig{t: t, base: "http://" + l.Addr().String(), h: h, store: store, clock: clock, client: client(false)}
	r.stop = func() {
		cancel()
		if err := <-served; err != nil {
			t.Errorf("serve: %v", err)
		}
		served <- nil
	}
	t.Cleanup(func() {
		r.client.CloseIdleConnections()
		r.stop()
		goleak.VerifyNone(t, leaks)
	})
	return r
}

// client returns a client of HTTP/1.1, or of HTTP/2 with prior knowledge.
func client(old bool) *http.Client {
	var p http.Protocols
	p.SetHTTP1(old)
	p.SetUnencryptedHTTP2(!old)
	return &http.Client{
		Transport:     &http.Transport{Protocols: &p, DisableCompression: true},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// overBoth runs a test over HTTP/2 and over HTTP/1.1.
func overBoth(t *testing.T, change func(*relay.Config), f func(*testing.T, *rig)) {
	for _, old := range []bool{false, true} {
		name := map[bool]string{false: "h2c", true: "http1"}[old]
		t.Run(name, func(t *testing.T) {
			r := newRig(t, change)
			r.client = client(old)
			f(t, r)
		})
	}
}

func plain(*relay.Config) {}

// A share is what both devices of one know, as far as the relay is concerned.
type share struct {
	id           frame.ShareID
	preimage     [32]byte
	proof        frame.Proof
	link, sender [32]byte
	offer        frame.Frame
}

func newShare(name string) share {
	word := func(s string) [32]byte { return sha256.Sum256([]byte(name + s)) }
	s := share{link: word("link"), sender: word("sender"), proof: frame.Proof{H: word("h"), Over: word("over")}}
	s.preimage = frame.Preimage(s.proof.H, sha256.Sum256(s.proof.Over[:]))
	s.id = frame.ID(s.preimage)
	s.offer = frame.New(frame.Offer, frame.Candidate{}, 0, bytes.Repeat([]byte(name+"-offer"), 40))
	return s
}

// epoch returns an offer.
func (s share) epoch(n uint64) frame.Frame {
	return frame.New(frame.Offer, frame.Candidate{}, n, bytes.Repeat([]byte{byte(n)}, 600))
}

func (s share) create() []byte {
	return wire.Create{
		Preimage: s.preimage, Offer: s.offer, View: sha256.Sum256(s.link[:]), Sender: sha256.Sum256(s.sender[:]),
		Lanes: 4, TTL: time.Hour,
	}.Body()
}

func (s share) over() []byte { return wire.Proof{H: s.proof.H, Over: s.proof.Over}.Body() }

func (s share) mailbox() wire.Path { return wire.Path{Place: wire.Mailbox, ID: s.id} }
func (s share) at(p wire.Place) wire.Path {
	return wire.Path{Place: p, ID: s.id, Lane: [8]byte{0xff}, Side: wire.Sender, Seq: 1}
}

// A candidate is one receiver's try.
type candidate struct {
	share
	c     frame.Candidate
	claim [32]byte
}

func (s share) candidate(name string) candidate {
	sum := sha256.Sum256([]byte(name))
	return candidate{s, frame.Candidate(sum[:8]), sha256.Sum256(sum[:])}
}

func (c candidate) lane() wire.Path { return wire.Path{Place: wire.Lane, ID: c.id, Lane: c.c} }
func (c candidate) log(side wire.Side) wire.Path {
	return wire.Path{Place: wire.Log, ID: c.id, Lane: c.c, Side: side}
}
func (c candidate) entry(side wire.Side, seq uint64) wire.Path {
	return wire.Path{Place: wire.Entry, ID: c.id, Lane: c.c, Side: side, Seq: seq}
}
func (c candidate) handshake() frame.Frame {
	return frame.New(frame.Handshake, c.c, 0, bytes.Repeat([]byte{7}, 1136))
}
func (c candidate) data(seq uint64) frame.Frame {
	return frame.New(frame.Data, c.c, seq, bytes.Repeat([]byte{byte(seq)}, 288))
}
func (c candidate) taken() frame.Frame {
	return frame.New(frame.Taken, c.c, 0, bytes.Repeat([]byte{9}, 288))
}
func (c candidate) binding() []byte { return c.bindingUnder(0) }
func (c candidate) bindingUnder(epoch uint64) []byte {
	return wire.Binding{Epoch: epoch, Lane: c.c, Claim: sha256.Sum256(c.claim[:])}.Body()
}

// first is the claim: handshake and first data.
func (c candidate) first() []byte { return frame.Append(nil, c.handshake(), c.data(1)) }

// An answer is a whole answer.
type answer struct {
	method string
	path   string
	status int
	header http.Header
	body   []byte
	end    error // of a stream's body
}

func (a answer) problem(t *testing.T) *wire.Problem {
	t.Helper()
	p, err := wire.ParseProblem(a.body)
	if err != nil || a.header.Get("Content-Type") != wire.TypeProblem || p.Status != a.status {
		t.Fatalf("%s %s: %d %q with type %q is no problem of that status", a.method, a.path, a.status, a.body, a.header.Get("Content-Type"))
	}
	return p
}

func (a answer) frames(t *testing.T) []frame.Frame {
	t.Helper()
	fs, err := frame.NewReader(bytes.NewReader(a.body)).ReadAll(1 << 20)
	if err != nil || a.header.Get("Content-Type") != wire.TypeFrames {
		t.Fatalf("%s %s: %d with type %q holds no frames: %v", a.method, a.path, a.status, a.header.Get("Content-Type"), err)
	}
	return fs
}

type auth struct{ bearer, device *[32]byte }

func bearer(token [32]byte) auth      { return auth{bearer: &token} }
func both(link, device [32]byte) auth { return auth{&link, &device} }
func (c candidate) heir() auth        { return both(c.link, c.claim) }
func (c candidate) holder() auth      { return bearer(c.claim) }
func (s share) asSender() auth        { return bearer(s.sender) }
func (s share) asLink() auth          { return bearer(s.link) }

func (a auth) header() http.Header {
	h := http.Header{}
	if a.bearer != nil {
		h.Set("Authorization", wire.Bearer(*a.bearer))
	}
	if a.device != nil {
		h.Set(wire.HeaderClaim, wire.Text(a.device[:]))
	}
	return h
}

// start sends a request and returns the response as its header comes.
func (r *rig) start(ctx context.Context, method, path string, h http.Header, body []byte) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, method, r.base+path, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	req.Header = h.Clone()
	if req.Header == nil {
		req.Header = http.Header{}
	}
	resp, err := r.client.Do(req)
	if err == nil && r.seen != nil {
		r.seen(answer{method: method, path: path, status: resp.StatusCode, header: resp.Header})
	}
	return resp, err
}

// do sends a request and returns its whole answer, which must end by itself.
func (r *rig) do(method, path string, a auth, body []byte) answer {
	r.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	return r.doWith(ctx, method, path, a.header(), body)
}

func (r *rig) doWith(ctx context.Context, method, path string, h http.Header, body []byte) answer {
	r.t.Helper()
	resp, err := r.start(ctx, method, path, h, body)
	if err != nil {
		r.t.Errorf("%s %.200s: %v", method, path, err)
		return answer{}
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	return answer{method, path, resp.StatusCode, resp.Header, b, err}
}

// serve calls a handler without any server, for a client that doesn't stay.
func serve(t *testing.T, h http.Handler, method, path string, a auth, body []byte) *httptest.ResponseRecorder {
	t.Helper()
	ctx, leave := context.WithCancel(t.Context())
	r := httptest.NewRequestWithContext(ctx, method, path, bytes.NewReader(body))
	r.Header = a.header()
	w := &leaving{httptest.NewRecorder(), leave}
	h.ServeHTTP(w, r)
	leave()
	return w.ResponseRecorder
}

// leaving is a client that leaves a stream as soon as it has caught up.
type leaving struct {
	*httptest.ResponseRecorder
	leave func()
}

func (l *leaving) Flush() {
	l.ResponseRecorder.Flush()
	l.leave()
}

// want does a request and fails unless it has this status. A query may follow the path.
func (r *rig) want(why string, status int, method string, p wire.Path, a auth, body []byte, query ...string) answer {
	r.t.Helper()
	got := r.do(method, p.String()+strings.Join(query, ""), a, body)
	if got.status != status {
		r.t.Fatalf("%s: %s of the %v gave %d %s, want %d", why, method, p.Place, got.status, got.body, status)
	}
	return got
}

// made creates a share's mailbox.
func (r *rig) made(name string) share {
	r.t.Helper()
	s := newShare(name)
	r.want("a fresh mailbox is made", 201, "PUT", s.mailbox(), auth{}, s.create())
	return s
}

// metrics returns what the operator sees.
func (r *rig) metrics() string {
	w := httptest.NewRecorder()
	r.h.Metrics().ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
	return w.Body.String()
}

// eventually asks the relay for something small until a promise holds.
func (r *rig) eventually(why string, holds func() bool) {
	r.t.Helper()
	for end := time.Now().Add(patience); !holds(); r.do("GET", "/healthz", auth{}, nil) {
		if time.Now().After(end) {
			r.t.Fatalf("%s: not after %v", why, patience)
		}
	}
}

// A stream is an answer that goes on.
type stream struct {
	t      *testing.T
	resp   *http.Response
	r      *frame.Reader
	cancel context.CancelFunc
}

// open starts a request whose 200 is a stream.
func (r *rig) open(method, path string, a auth, body []byte) *stream {
	r.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	resp, err := r.start(ctx, method, path, a.header(), body)
	if err != nil {
		cancel()
		r.t.Fatalf("%s %s: %v", method, path, err)
	}
	if resp.StatusCode != 200 {
		b, _ := io.ReadAll(resp.Body)
		cancel()
		r.t.Fatalf("%s %s: %d %s, want a stream", method, path, resp.StatusCode, b)
	}
	s := &stream{r.t, resp, frame.NewReader(resp.Body), cancel}
	r.t.Cleanup(s.close)
	return s
}

// claimed opens a candidate's lane.
func (r *rig) claimed(c candidate) *stream {
	r.t.Helper()
	s := r.open("PUT", c.lane().String(), c.heir(), c.first())
	s.want("a claim's answer begins with catching up")
	return s
}

func (s *stream) close() {
	s.cancel()
	s.resp.Body.Close()
}

// want reads these frames and the heartbeat behind them.
func (s *stream) want(why string, frames ...frame.Frame) {
	s.t.Helper()
	for i, f := range frames {
		if got, err := s.r.Read(); err != nil || !bytes.Equal(got, f) {
			s.t.Fatalf("%s: frame %d of %d is %.40x, %v; want %.40x", why, i+1, len(frames), got, err, f)
		}
	}
	s.beat(why)
}

func (s *stream) beat(why string) {
	s.t.Helper()
	if got, err := s.r.Read(); !errors.Is(err, frame.ErrHeartbeat) {
		s.t.Fatalf("%s: got %.40x, %v; want the heartbeat that says all is written", why, got, err)
	}
}

// end reads these frames and then the stream's end.
func (s *stream) end(why string, frames ...frame.Frame) {
	s.t.Helper()
	for _, f := range frames {
		if got, err := s.r.Read(); err != nil || !bytes.Equal(got, f) {
			s.t.Fatalf("%s: got %.40x, %v; want %.40x", why, got, err, f)
		}
	}
	if got, err := s.r.Read(); err != io.EOF {
		s.t.Fatalf("%s: got %.40x, %v; want the stream's end", why, got, err)
	}
}

// contains reports where any of the marks is in text, in any of the spellings
// that bytes commonly get.
func contains(text string, marks ...string) string {
	for _, m := range marks {
		if strings.Contains(strings.ToLower(text), strings.ToLower(m)) {
			return m
		}
	}
	return ""
}
