package relay_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sparekey/sparekey/noise/frame"
	"github.com/sparekey/sparekey/relay"
	"github.com/sparekey/sparekey/relay/storetest"
	"github.com/sparekey/sparekey/relay/wire"
)

func TestDrainingEndsStreamsAndWaitsAndRefusesNewWork(t *testing.T) {
	overBoth(t, plain, func(t *testing.T, r *rig) {
		s, none := r.made("drain"), newShare("none")
		claims := r.open("GET", s.at(wire.Claims).String(), s.asSender(), nil)
		claims.want("nothing yet")
		<-r.store.watched
		held := make(chan answer, 1)
		go func() { held <- r.do("GET", none.mailbox().String()+"?wait=60", none.asLink(), nil) }()
		<-r.store.watched
		r.h.Drain()
		claims.end("a stream ends")
		if got := <-held; got.status != 503 || got.problem(t).Type != wire.Draining || got.header.Get("Retry-After") == "" {
			t.Errorf("a held view ends with 503 draining and Retry-After, got %d %s", got.status, got.body)
		}
		for name, d := range doors(s, s.candidate("one")) {
			if got := r.do(d.method, d.path, d.right[0], d.body); got.status != 503 || got.problem(t).Type != wire.Draining {
				t.Errorf("%s: got %d, want 503 draining", name, got.status)
			}
		}
		if got := r.do("GET", "/readyz", auth{}, nil); got.status != 503 {
			t.Errorf("a relay that drains isn't ready, got %d", got.status)
		}
		if got := r.do("GET", "/healthz", auth{}, nil); got.status != 200 || string(got.body) != "ok\n" {
			t.Errorf("but it is healthy, got %d %q", got.status, got.body)
		}
		r.want("a share that ends can still be deleted", 204, "DELETE", s.mailbox(), auth{}, s.over())
		r.stop()
	})
}

func TestServeStopsWithStreamsOpen(t *testing.T) {
	overBoth(t, plain, func(t *testing.T, r *rig) {
		s := r.made("stop")
		claims := r.open("GET", s.at(wire.Claims).String(), s.asSender(), nil)
		claims.want("nothing yet")
		r.stop()
		claims.end("the stream ends cleanly: had it held the server up, it would be cut off")
		if resp, err := r.start(t.Context(), "GET", "/healthz", nil, nil); err == nil {
			resp.Body.Close()
			t.Error("nobody listens any more")
		}
	})
}

func TestServeReturnsWhatIsWrongWithItsListener(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
	h := relay.NewHandler(relay.Config{Store: relay.NewMemory(nil, relay.Limits{})})
	if err := relay.Serve(t.Context(), l, nil, h); !errors.Is(err, net.ErrClosed) {
		t.Errorf("got %v, want the listener's error", err)
	}
}

// certificates returns one that nobody trusts.
func certificates() []tls.Certificate {
	s := httptest.NewUnstartedServer(nil)
	s.StartTLS()
	defer s.Close()
	return s.TLS.Certificates
}

// overTLS serves a relay with a certificate that nobody trusts.
func overTLS(t *testing.T, logger *slog.Logger) (h *relay.Handler, base string) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	served := make(chan error, 1)
	h = relay.NewHandler(relay.Config{Store: relay.NewMemory(nil, relay.Limits{}), Logger: logger})
	go func() { served <- relay.Serve(ctx, l, &tls.Config{Certificates: certificates()}, h) }()
	t.Cleanup(func() {
		cancel()
		if err := <-served; err != nil {
			t.Errorf("serve: %v", err)
		}
	})
	return h, "https://" + l.Addr().String()
}

func TestServeSpeaksHTTP2AndHTTP1OverTLS(t *testing.T) {
	_, base := overTLS(t, nil)
	for _, want := range []string{"HTTP/2.0", "HTTP/1.1"} {
		var p http.Protocols
		p.SetHTTP1(want == "HTTP/1.1")
		p.SetHTTP2(want == "HTTP/2.0")
		tr := &http.Transport{Protocols: &p, TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}
		resp, err := (&http.Client{Transport: tr}).Get(base + "/healthz")
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.Proto != want || resp.StatusCode != 200 {
			t.Errorf("got %s %d, want %s", resp.Proto, resp.StatusCode, want)
		}
		tr.CloseIdleConnections()
	}
}

func TestWhatRunsOutIsSweptWithoutAnyRequest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := relay.NewMemory(nil, relay.Limits{Mailboxes: 1})
		h := relay.NewHandler(relay.Config{Store: store})
		s, next := storetest.NewShare(storetest.NewClock(), 1, nil), storetest.NewShare(storetest.NewClock(), 2, nil)
		s.Mailbox.Expires, next.Mailbox.Expires = time.Now().Add(time.Hour), time.Now().Add(2*time.Hour)
		if err := store.Create(t.Context(), s.ID, s.Mailbox); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { defer close(done); h.Sweep(ctx) }()
		time.Sleep(59 * time.Minute)
		synctest.Wait()
		if err := store.Create(t.Context(), next.ID, next.Mailbox); !errors.Is(err, relay.ErrStorage) {
			t.Errorf("the only place is taken until the hour is over, got %v", err)
		}
		changed, stop := store.Watch(s.ID)
		defer stop()
		time.Sleep(2 * time.Minute)
		synctest.Wait()
		select {
		case <-changed:
		default:
			t.Error("nothing was swept within a minute of its end")
		}
		if err := store.Create(t.Context(), next.ID, next.Mailbox); err != nil {
			t.Errorf("its place is free, got %v", err)
		}
		cancel()
		<-done
	})
}

func TestAConnectionThatBreaksFreesItsStream(t *testing.T) {
	stopped := make(chan struct{}, 1)
	r := newRig(t, func(c *relay.Config) { c.Store = watched{relay.NewMemory(c.Now, relay.Limits{}), stopped} })
	s := r.made("breaks")
	claims := r.open("GET", s.at(wire.Claims).String(), s.asSender(), nil)
	claims.want("nothing yet")
	claims.close()
	select {
	case <-stopped:
	case <-time.After(patience):
		t.Error("the stream outlives its client")
	}
	if b := frame.Append(nil, s.offer); !bytes.Equal(r.want("the relay goes on", 200, "GET", s.mailbox(), s.asLink(), nil).body, b) {
		t.Error("the view is the offer")
	}
}
