// Package relaytest serves a real relay on a loopback socket, for tests.
package relaytest

import (
	"context"
	"net"
	"testing"

	"github.com/sparekey/sparekey/relay"
)

// Start serves a relay that keeps all in memory, without quotas, until the test
// ends. It returns the address that stands in links.
func Start(t testing.TB) (url string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	h := relay.NewHandler(relay.Config{Store: relay.NewMemory(nil, relay.Limits{}), Quotas: relay.Quotas{Creates: -1, Guesses: -1}})
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error)
	go func() { done <- relay.Serve(ctx, l, nil, h) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error("the relay:", err)
		}
	})
	return "http://" + l.Addr().String()
}
