package mailbox

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"time"

	"github.com/sparekey/sparekey/noise/frame"
	"github.com/sparekey/sparekey/relay/wire"
)

// A Config says how relays are reached. The zero Config is for devices.
type Config struct {
	TLS  *tls.Config // roots of one's own; nil: the system's
	Dial func(ctx context.Context, network, addr string) (net.Conn, error)
}

// A call is one request.
type call struct {
	method string
	path   wire.Path
	query  wire.Query
	token  [32]byte  // zero: none is shown
	claim  *[32]byte // the device claim beside the link capability
	body   []byte
	left   func(time.Duration) // told the mailbox's time left when the answer begins; may be nil
}

// A transport makes calls to one relay. It is what stands between this package
// and net/http, which a browser does without.
type transport interface {
	host() string
	do(context.Context, call) error
	frames(context.Context, call) ([]frame.Frame, error)
	stream(context.Context, call) (stream, error)
	close()
}

type stream interface {
	read() (frame.Frame, error) // errEnd where it ends in order
	close()
}

var errEnd = errors.New("the stream has ended")

// A RelayError says what is the matter with a relay, for people.
type RelayError struct {
	Host string
	What string
	err  error
}

func (e *RelayError) Error() string { return fmt.Sprintf("the relay %s %s", e.Host, e.What) }
func (e *RelayError) Unwrap() error { return e.err }

type httpTransport struct {
	base   string
	name   string
	client *http.Client
	pool   *http.Transport
}

// maxHeader bounds an answer's header; ours have a few hundred bytes.
const maxHeader = 16 << 10

func newTransport(c Config, base string) *httpTransport {
	pool := &http.Transport{
		DialContext: c.Dial, TLSHandshakeTimeout: 10 * time.Second, MaxResponseHeaderBytes: maxHeader, DisableCompression: true,
		Protocols: new(http.Protocols), IdleConnTimeout: time.Minute,
	}
	pool.Protocols.SetHTTP1(true)
	pool.Protocols.SetHTTP2(true)
	if c.Dial == nil {
		pool.DialContext = (&net.Dialer{Timeout: 5 * time.Second}).DialContext
	}
	plain := len(base) > 5 && base[:5] == "http:"
	if plain { // loopback alone: link.Parse sees to it
		pool.Protocols.SetHTTP1(false)
		pool.Protocols.SetUnencryptedHTTP2(true)
	} else {
		pool.TLSClientConfig = &tls.Config{MinVersion: tls.VersionTLS13}
		if c.TLS != nil {
			pool.TLSClientConfig.RootCAs = c.TLS.RootCAs
		}
	}
	host := base
	if i := bytes.Index([]byte(base), []byte("://")); i >= 0 {
		host = base[i+3:]
	}
	return &httpTransport{base: base, name: host, pool: pool, client: &http.Client{
		Transport:     pool,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

func (t *httpTransport) host() string { return t.name }
func (t *httpTransport) close()       { t.pool.CloseIdleConnections() }

// begin makes a request and returns its answer if it is a 2xx.
func (t *httpTransport) begin(ctx context.Context, c call) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, c.method, t.base+c.path.String()+c.query.String(), bytes.NewReader(c.body))
	if err != nil {
		return nil, &RelayError{t.name, "has a name that can't be asked", err}
	}
	req.Header["User-Agent"] = nil // says nothing of who asks
	if c.token != ([32]byte{}) {
		req.Header.Set("Authorization", wire.Bearer(c.token))
	}
	if c.claim != nil {
		req.Header.Set(wire.HeaderClaim, wire.Text(c.claim[:]))
	}
	res, err := t.client.Do(req)
	if err != nil {
		return nil, t.unreachable(err)
	}
	if res.StatusCode/100 == 2 {
		if c.left != nil {
			c.left(left(res.Header))
		}
		return res, nil
	}
	defer res.Body.Close()
	return nil, t.refused(res)
}

func left(h http.Header) time.Duration {
	n, err := strconv.ParseInt(h.Get(wire.HeaderExpires), 10, 32)
	if err != nil || n < 0 {
		return 0
	}
	return time.Duration(n) * time.Second
}

// refused reads what a relay has to say to a request that failed. What isn't a
// problem of ours has none of our types.
func (t *httpTransport) refused(res *http.Response) error {
	b, err := io.ReadAll(io.LimitReader(res.Body, wire.MaxProblem+1))
	if err == nil {
		if p, err := wire.ParseProblem(b); err == nil && p.Status == res.StatusCode {
			return &RelayError{t.name, "answered: " + p.Error(), p}
		}
	}
	what := fmt.Sprintf("gave an answer that isn't a sparekey relay's (status %d)", res.StatusCode)
	return &RelayError{t.name, what, nil}
}

func (t *httpTransport) unreachable(err error) error {
	var invalid x509.CertificateInvalidError
	var unknown x509.UnknownAuthorityError
	var name x509.HostnameError
	var dial *net.OpError
	switch {
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		return &RelayError{t.name, "has a certificate that isn't valid now; this device's clock may be wrong", err}
	case errors.As(err, &unknown), errors.As(err, &invalid), errors.As(err, &name):
		return &RelayError{t.name, "can't show that it is the one it should be", err}
	case errors.As(err, &dial) && dial.Op == "dial":
		return &RelayError{t.name, "can't be reached", err}
	case errors.Is(err, context.DeadlineExceeded):
		return &RelayError{t.name, "did not answer in time", err}
	}
	return &RelayError{t.name, "broke the connection off", err}
}

func (t *httpTransport) do(ctx context.Context, c call) error {
	res, err := t.begin(ctx, c)
	if err != nil {
		return err
	}
	_, err = io.Copy(io.Discard, io.LimitReader(res.Body, 1<<10)) // so that the connection serves again
	return errors.Join(err, res.Body.Close())
}

func (t *httpTransport) frames(ctx context.Context, c call) ([]frame.Frame, error) {
	res, err := t.begin(ctx, c)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	frames, err := frame.NewReader(res.Body).ReadAll(1)
	if err != nil {
		return nil, &RelayError{t.name, "sent what is no frame", err}
	}
	return frames, nil
}

// A bodyStream reads an answer that goes on. Silence breaks it.
type bodyStream struct {
	t      *httpTransport
	res    *http.Response
	r      *frame.Reader
	silent *time.Timer
	cancel context.CancelFunc
}

func (t *httpTransport) stream(ctx context.Context, c call) (stream, error) {
	ctx, cancel := context.WithCancel(ctx)
	silent := time.AfterFunc(silence, cancel)
	res, err := t.begin(ctx, c)
	if err != nil {
		silent.Stop()
		cancel()
		return nil, err
	}
	return &bodyStream{t, res, frame.NewReader(res.Body), silent, cancel}, nil
}

func (s *bodyStream) read() (frame.Frame, error) {
	s.silent.Reset(silence)
	f, err := s.r.Read()
	switch {
	case err == nil, errors.Is(err, frame.ErrHeartbeat):
		return f, err
	case errors.Is(err, io.EOF):
		return nil, errEnd
	case errors.Is(err, frame.ErrMalformed):
		return nil, &RelayError{s.t.name, "sent what is no frame", err}
	}
	return nil, s.t.unreachable(err)
}

func (s *bodyStream) close() {
	s.silent.Stop()
	s.cancel()
	s.res.Body.Close()
}
