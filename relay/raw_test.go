package relay_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sparekey/sparekey/relay"
	"github.com/sparekey/sparekey/relay/wire"
)

// dial connects to a relay without any HTTP.
func dial(t *testing.T, base string) net.Conn {
	t.Helper()
	scheme, addr, _ := strings.Cut(base, "://")
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	if scheme == "https" {
		conn = tls.Client(conn, &tls.Config{InsecureSkipVerify: true})
	}
	conn.SetDeadline(time.Now().Add(patience))
	t.Cleanup(func() { conn.Close() })
	return conn
}

// exchanged sends bytes and returns all that is answered until the relay closes.
func exchanged(t *testing.T, base, request string) string {
	t.Helper()
	conn := dial(t, base)
	go io.WriteString(conn, request)
	b, err := io.ReadAll(conn)
	if errors.Is(err, net.ErrClosed) || err != nil && err.(net.Error).Timeout() {
		t.Errorf("%.60q: the connection is still open after %v", request, patience)
	}
	return string(b)
}

func TestHTP03DoubtfulRequestsAreRefusedAndTheNextClientIsServed(t *testing.T) {
	r := newRig(t)
	_, secure := overTLS(t, nil)
	s := r.made("htp03")
	box := s.mailbox().String()
	del := string(s.over())
	length := "Content-Length: " + strconv.Itoa(len(del)) + "\r\n"
	chunked := strconv.FormatInt(int64(len(del)), 16) + "\r\n" + del + "\r\n0\r\n\r\n"
	const host = "Host: x\r\n"
	next := "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"
	for why, request := range map[string]string{
		"a length and chunks":             "DELETE " + box + " HTTP/1.1\r\n" + host + length + "Transfer-Encoding: chunked\r\n\r\n" + chunked,
		"chunks and a length":             "DELETE " + box + " HTTP/1.1\r\n" + host + "Transfer-Encoding: chunked\r\n" + length + "\r\n" + chunked,
		"chunks alone":                    "DELETE " + box + " HTTP/1.1\r\n" + host + "transfer-encoding: chunked\r\n\r\n" + chunked,
		"another coding":                  "DELETE " + box + " HTTP/1.1\r\n" + host + "Transfer-Encoding: gzip, chunked\r\n\r\n" + chunked,
		"a coding that a space hides":     "DELETE " + box + " HTTP/1.1\r\n" + host + length + "Transfer-Encoding : chunked\r\n\r\n" + chunked,
		"a coding on a line continued":    "DELETE " + box + " HTTP/1.1\r\n" + host + length + "Transfer-Encoding:\r\n chunked\r\n\r\n" + chunked,
		"two lengths":                     "DELETE " + box + " HTTP/1.1\r\n" + host + length + "Content-Length: 1\r\n\r\n" + del,
		"one length twice":                "DELETE " + box + " HTTP/1.1\r\n" + host + length + length + "\r\n" + del,
		"a list of lengths":               "DELETE " + box + " HTTP/1.1\r\n" + host + "Content-Length: 108, 108\r\n\r\n" + del,
		"a negative length":               "DELETE " + box + " HTTP/1.1\r\n" + host + "Content-Length: -1\r\n\r\n" + del,
		"a length with a sign":            "DELETE " + box + " HTTP/1.1\r\n" + host + "Content-Length: +108\r\n\r\n" + del,
		"a length beyond all":             "DELETE " + box + " HTTP/1.1\r\n" + host + "Content-Length: 18446744073709551616\r\n\r\n" + del,
		"a length behind many spaces":     "DELETE " + box + " HTTP/1.1\r\n" + host + "Content-Length:" + strings.Repeat(" ", 99) + "108\r\n\r\n" + del,
		"bare line feeds":                 strings.ReplaceAll(next, "\r", ""),
		"one bare line feed in a head":    "GET /healthz HTTP/1.1\r\nX: y\nHost: x\r\n\r\n",
		"one in the request's line":       "GET /healthz HTTP/1.1\nHost: x\r\n\r\n",
		"one at a head's end":             "GET /healthz HTTP/1.1\r\nHost: x\r\n\n",
		"a bare carriage return":          "GET /healthz HTTP/1.1\r\nX: y\rHost: x\r\n\r\n",
		"a NUL in a field":                "GET /healthz HTTP/1.1\r\nHost: x\r\nX: \x00\r\n\r\n",
		"a field without a colon":         "GET /healthz HTTP/1.1\r\nHost: x\r\nX\r\n\r\n",
		"no host":                         "GET /healthz HTTP/1.1\r\n\r\n",
		"two hosts":                       "GET /healthz HTTP/1.1\r\n" + host + host + "\r\n",
		"a NUL in the path":               "GET " + box + "\x00 HTTP/1.1\r\n" + host + "\r\n",
		"a version that nobody speaks":    "GET /healthz HTTP/7.1\r\n" + host + "\r\n",
		"one large field":                 "GET /healthz HTTP/1.1\r\n" + host + "X: " + strings.Repeat("a", 32<<10) + "\r\n\r\n",
		"a flood of fields":               "GET /healthz HTTP/1.1\r\n" + host + strings.Repeat("X: aaaaaaaa\r\n", 8<<10) + "\r\n",
		"a request line without an end":   "GET /" + strings.Repeat("a", 64<<10),
		"no HTTP at all":                  "SSH-2.0-OpenSSH_9.9\r\n\r\n",
		"half of HTTP/2's preface":        "PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n",
		"HTTP/2's preface as a request":   "PRI * HTTP/2.0\nSM\n\n",
		"HTTP/2's preface after requests": next + "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
	} {
		for _, base := range []string{r.base, secure} {
			r.store.asked()
			got := exchanged(t, base, request+next)
			good := strings.Count(got, "HTTP/1.1 200") + strings.Count(got, "HTTP/1.1 204")
			if want := map[bool]int{true: 1}[strings.HasPrefix(request, next)]; good != want {
				t.Errorf("%s over %s: %d requests were served, want %d: %.300q", why, base[:5], good, want, got)
			}
			if asked := r.store.asked(); len(asked) != 0 {
				t.Errorf("%s: the store was asked %v", why, names(asked))
			}
		}
		r.want("the next client after "+why, 200, "GET", s.mailbox(), s.asLink(), nil)
	}
}

func TestRequestsBehindOneAnotherOnHTTP1AreAllServed(t *testing.T) {
	r := newRig(t)
	_, secure := overTLS(t, nil)
	s := newShare("pipeline")
	body := string(s.create())
	head := "PUT " + s.mailbox().String() + " HTTP/1.1\r\nHost: x\r\ncontent-length:\t" + strconv.Itoa(len(body)) + " \r\n\r\n"
	get := "GET " + s.mailbox().String() + " HTTP/1.1\r\nHost: x\r\nAuthorization: " + wire.Bearer(s.link) + "\r\n\r\n"
	last := "GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
	for _, base := range []string{r.base, secure} {
		conn := dial(t, base)
		for _, b := range []byte(head + body + get + last) { // one by one: no piece ends where a line does
			if _, err := conn.Write([]byte{b}); err != nil {
				t.Fatal(err)
			}
		}
		in := bufio.NewReader(conn)
		for i, want := range []int{201, 200, 200} {
			resp, err := http.ReadResponse(in, nil)
			if err != nil || resp.StatusCode != want {
				t.Fatalf("answer %d over %s: %v, %v; want %d", i+1, base[:5], resp, err, want)
			}
			io.Copy(io.Discard, resp.Body)
		}
		if _, err := in.ReadByte(); err != io.EOF {
			t.Errorf("the connection ends when it was said to: %v", err)
		}
	}
}

// A rawH2 writes HTTP/2 frames as it pleases.
type rawH2 struct {
	net.Conn
	next uint32 // the next stream's number
}

func dialH2(t *testing.T, base string) *rawH2 {
	h := &rawH2{dial(t, base), 1}
	io.WriteString(h, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
	h.frame(4, 0, 0, nil)
	return h
}

func (h *rawH2) frame(kind, flags byte, stream uint32, payload []byte) error {
	b := binary.BigEndian.AppendUint32(nil, uint32(len(payload))<<8|uint32(kind))
	b = binary.BigEndian.AppendUint32(append(b, flags), stream)
	_, err := h.Write(append(b, payload...))
	return err
}

// get sends a GET on a stream of its own.
func (h *rawH2) get(path string, fields http.Header) (stream uint32, err error) {
	var b []byte
	put := func(name, value string) {
		b = append(append(b, 0x10, byte(len(name))), name...) // literal, never indexed
		b = append(append(b, byte(len(value))), value...)
	}
	put(":method", "GET")
	put(":scheme", "http")
	put(":path", path)
	put(":authority", "x")
	for name, values := range fields {
		put(strings.ToLower(name), values[0])
	}
	stream = h.next
	h.next += 2
	return stream, h.frame(1, 4|1, stream, b) // HEADERS that end headers and stream
}

func TestHTP03RapidResetsHinderNobody(t *testing.T) {
	r := newRig(t)
	s, none := r.made("resets"), newShare("none")
	h := dialH2(t, r.base)
	go io.Copy(io.Discard, h)
	flood := make(chan error, 1)
	go func() {
		for range 20_000 {
			stream, err := h.get(none.mailbox().String()+"?wait=60", none.asLink().header())
			if err == nil {
				err = h.frame(3, 0, stream, []byte{0, 0, 0, 8}) // RST_STREAM, cancel
			}
			if err != nil {
				break // the relay has had enough: that is as good
			}
		}
		flood <- h.Close()
	}()
	for range 20 {
		r.want("another client is served beside it", 200, "GET", s.mailbox(), s.asLink(), nil)
	}
	<-flood
	r.eventually("no view is held for a stream that was reset", func() bool {
		return strings.Contains(r.metrics(), "sparekey_relay_held_views 0\n")
	})
}

// piped is a listener whose connections are pipes, for a bubble of virtual time.
type piped struct{ conns chan net.Conn }

func (p piped) Accept() (net.Conn, error) {
	if c, ok := <-p.conns; ok {
		return c, nil
	}
	return nil, net.ErrClosed
}
func (p piped) Close() error   { close(p.conns); return nil }
func (p piped) Addr() net.Addr { return &net.TCPAddr{} }

func TestAClientThatSendsNoHeadIsCutOff(t *testing.T) {
	certs := certificates()
	for why, first := range map[string][]string{
		"plain": {"", "GET /healthz HTTP/1.1\r\n", "PRI * HTTP/2.0\r\n"}, "TLS": {"", "\x16\x03\x01\x02\x00"},
	} {
		c := map[string]*tls.Config{"TLS": {Certificates: certs}}[why]
		for _, first := range first {
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithCancel(t.Context())
				l, served := piped{make(chan net.Conn)}, make(chan error)
				h := relay.NewHandler(relay.Config{Store: relay.NewMemory(nil, relay.Limits{})})
				go func() { served <- relay.Serve(ctx, l, c, h) }()
				ours, theirs := net.Pipe()
				l.conns <- theirs
				start := time.Now()
				go io.WriteString(ours, first)
				io.Copy(io.Discard, ours)
				if took := time.Since(start); took < time.Second || took > 11*time.Second {
					t.Errorf("%s, %q and then nothing: cut off after %v, want about 10 s", why, first, took)
				}
				cancel()
				if err := <-served; err != nil {
					t.Errorf("serve: %v", err)
				}
			})
		}
	}
}
