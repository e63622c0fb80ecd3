package relay

import (
	"context"
	"crypto/tls"
	"errors"
	"log"
	"net"
	"net/http"
	"time"
)

// Time limits of a connection. Streams and held views have their own.
const (
	headerTime  = 10 * time.Second
	requestTime = 30 * time.Second // to send a request, and to take an answer
	idleTime    = 2 * time.Minute
	drainTime   = 10 * time.Second
)

// Sweep erases what has run out, now and every Config.Sweep, until ctx ends.
func (h *Handler) Sweep(ctx context.Context) {
	t := time.NewTicker(h.cfg.Sweep)
	defer t.Stop()
	for {
		n, err := h.store.Sweep(ctx, h.cfg.Now())
		h.metrics.swept.Add(n)
		if err != nil && ctx.Err() == nil {
			h.metrics.storeErrors.Inc()
			h.cfg.Logger.Error("the store failed", "call", "sweep", "err", err)
		}
		select {
		case <-t.C:
		case <-ctx.Done():
			return
		}
	}
}

// Serve serves h on l until ctx ends, and sweeps meanwhile. With a nil tls it
// speaks plain HTTP: HTTP/1.1, and HTTP/2 with prior knowledge. When ctx ends
// it drains: streams end at once, requests have 10 s to finish. It returns nil
// after that, and an error if the listener fails before.
func Serve(ctx context.Context, l net.Listener, tls *tls.Config, h *Handler) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	swept := make(chan struct{})
	go func() {
		defer close(swept)
		h.Sweep(ctx)
	}()
	srv := server(h)
	served := make(chan error, 1)
	go func() { served <- srv.Serve(guardedBy(l, tls, h.metrics.serverMessages.Inc)) }()
	var err error
	select {
	case err = <-served:
		srv.Close()
	case <-ctx.Done():
		err = stop(srv, h)
		<-served
	}
	cancel()
	<-swept
	return err
}

func stop(srv *http.Server, h *Handler) error {
	h.Drain()
	ctx, cancel := context.WithTimeout(context.Background(), drainTime)
	defer cancel()
	if err := srv.Shutdown(ctx); !errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	return srv.Close()
}

// server returns the http.Server that h is served by.
func server(h *Handler) *http.Server {
	var p http.Protocols
	p.SetHTTP1(true)
	p.SetUnencryptedHTTP2(true) // it is the guard that speaks TLS, if anybody
	return &http.Server{
		Handler: h, Protocols: &p,
		ReadHeaderTimeout: headerTime, ReadTimeout: requestTime, WriteTimeout: requestTime, IdleTimeout: idleTime,
		MaxHeaderBytes:               12 << 10, // net/http adds 4 kB
		DisableGeneralOptionsHandler: true,
		ErrorLog:                     log.New(silence{h}, "", 0),
		HTTP2: &http.HTTP2Config{
			MaxConcurrentStreams:          256,
			MaxReadFrameSize:              16 << 10, // read whole before a handler sees any of it; what is appended is to be passed on soon
			MaxReceiveBufferPerStream:     256 << 10,
			MaxReceiveBufferPerConnection: 1 << 20,
			SendPingTimeout:               idleTime / 2, // finds peers that went without a word
			PingTimeout:                   headerTime,
			WriteByteTimeout:              requestTime,
		},
	}
}

// silence counts what net/http would log: its messages name addresses.
type silence struct{ h *Handler }

func (s silence) Write(b []byte) (int, error) {
	s.h.metrics.serverMessages.Inc()
	return len(b), nil
}
