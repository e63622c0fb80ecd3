package relay_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log"
	"log/slog"
	"net"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/sparekey/sparekey/noise/frame"
	"github.com/sparekey/sparekey/relay"
	"github.com/sparekey/sparekey/relay/wire"
)

// lines is a writer that several goroutines share.
type lines struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lines) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(b)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// spellings are the ways in which bytes get into logs.
func spellings(b []byte) []string {
	decimals := strings.Trim(fmt.Sprint(b[:6]), "[]")
	standard, quoted := base64.StdEncoding.EncodeToString(b), fmt.Sprintf("%q", b)
	return []string{
		base64.RawURLEncoding.EncodeToString(b), standard[:min(20, len(standard)-2)], hex.EncodeToString(b)[:min(16, 2*len(b))], decimals, quoted[1:min(12, len(quoted)-1)],
	}
}

func TestRET03NoLogAndNoMetricTellsWhoOrWhat(t *testing.T) {
	var out lines
	defer log.SetOutput(log.Writer())
	log.SetOutput(&out)
	r := newRig(t, func(c *relay.Config) {
		c.Logger = slog.New(slog.NewTextHandler(&out, &slog.HandlerOptions{Level: slog.LevelDebug - 10, AddSource: true}))
	})
	s := r.made("ret03")
	c := s.candidate("one")
	agent := func(a auth) map[string][]string {
		h := a.header()
		h.Set("User-Agent", "marker-agent/1")
		return h
	}
	ctx := context.Background()
	r.claimed(c)
	for _, d := range doors(s, s.candidate("other")) {
		r.doWith(ctx, d.method, d.path+"?marker=1", agent(s.asLink()), d.body)
		r.doWith(ctx, d.method, d.path, agent(bearer(c.claim)), []byte("marker-body"))
	}
	for _, err := range []error{errors.New("a fault of the disk"), errPanic} {
		r.store.fail(err)
		for _, d := range doors(s, c) {
			r.doWith(ctx, d.method, d.path, agent(s.asSender()), d.body)
		}
	}
	r.store.fail(nil)
	conn, err := net.Dial("tcp", r.base[len("http://"):])
	if err != nil {
		t.Fatal(err)
	}
	io.WriteString(conn, "GET /marker HTTP/9.9\r\n\r\n") // what net/http itself complains about
	io.ReadAll(conn)
	conn.Close()
	r.want("the share ends", 204, "DELETE", s.mailbox(), auth{}, s.over())

	shown := httptest.NewRecorder()
	r.h.Metrics().ServeHTTP(shown, httptest.NewRequest("GET", "/metrics", nil))
	logged, metrics := out.String(), shown.Body.String()
	if !strings.Contains(logged, "a fault of the disk") || !strings.Contains(logged, "a request panicked") || !strings.Contains(logged, "ServeHTTP") {
		t.Errorf("the operator must learn of faults and where they are: %s", logged)
	}
	if !strings.Contains(metrics, `sparekey_relay_requests_total{call="claim",status="200"} 1`) || !strings.Contains(metrics, "sparekey_relay_panics_total") {
		t.Errorf("the metrics must count calls: %s", metrics)
	}
	marks := []string{"127.0.0.1", "::1", "marker", "secret-in-a-panic", c.c.String(), r.base[strings.LastIndex(r.base, ":"):]}
	for _, b := range [][]byte{s.id[:], s.link[:], s.sender[:], c.claim[:], c.c[:], s.preimage[:], s.proof.H[:], s.proof.Over[:]} {
		marks = append(marks, spellings(b)...)
	}
	for name, text := range map[string]string{"the log": logged, "the metrics": metrics} {
		for _, m := range marks {
			if strings.Contains(strings.ToLower(text), strings.ToLower(m)) {
				t.Errorf("%s holds %q: %s", name, m, text)
			}
		}
	}
}

func TestNoProblemRepeatsWhatCameIn(t *testing.T) {
	r := newRig(t)
	s := r.made("repeat")
	c := s.candidate("one")
	for name, d := range doors(s, c) {
		got := r.do(d.method, d.path+"?marker=marker", s.asSender(), []byte("marker"))
		if bytes.Contains(got.body, []byte("marker")) || bytes.Contains(got.body, []byte(s.id.String())) {
			t.Errorf("%s: a problem goes into others' logs and must not repeat the request: %s", name, got.body)
		}
	}
	got := r.want("a closing that is no frame", 400, "DELETE", c.lane(), s.asSender(), frame.Append(nil, c.data(1)))
	if p := got.problem(t); p.Type != wire.Malformed || bytes.Contains(got.body, []byte(c.c.String())) {
		t.Errorf("got %s", got.body)
	}
}

func TestWhatTheServerItselfWouldLogIsOnlyCounted(t *testing.T) {
	var out lines
	defer log.SetOutput(log.Writer())
	log.SetOutput(&out)
	h, base := overTLS(t, slog.New(slog.NewTextHandler(&out, nil)))
	conn, err := net.Dial("tcp", base[len("https://"):])
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	io.WriteString(conn, "no TLS at all, from an address that net/http would log\r\n\r\n")
	io.ReadAll(conn)
	shown := httptest.NewRecorder()
	h.Metrics().ServeHTTP(shown, httptest.NewRequest("GET", "/metrics", nil))
	if !strings.Contains(shown.Body.String(), "sparekey_relay_server_messages_total 1") {
		t.Errorf("the operator must see that something was wrong: %s", shown.Body)
	}
	if got := out.String(); got != "" {
		t.Errorf("nothing of it is logged, for it names an address: %s", got)
	}
}
