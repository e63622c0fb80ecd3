package relay_test

import (
	"context"
	"crypto/sha256"
	"net/http"
	"net/netip"
	"strconv"
	"testing"
	"time"

	"github.com/sparekey/sparekey/relay"
	"github.com/sparekey/sparekey/relay/wire"
)

// byHeader takes the address from a header, as behind a proxy.
func byHeader(r *http.Request) netip.Addr {
	a, _ := netip.ParseAddr(r.Header.Get("X-Test-Addr"))
	return a
}

func from(a auth, addr string) http.Header {
	h := a.header()
	h.Set("X-Test-Addr", addr)
	return h
}

func TestQTA02WhoCreatesTooFastWaitsAndOthersDoNot(t *testing.T) {
	r := newRig(t, func(c *relay.Config) {
		c.ClientAddr = byHeader
		c.Quotas.Creates, c.Quotas.CreateBurst = 6, 3
	})
	create := func(name, addr string) answer {
		s := newShare(name)
		return r.doWith(context.Background(), "PUT", s.mailbox().String(), from(auth{}, addr), s.create())
	}
	var refused answer
	made := 0
	for i := range 10 {
		if got := create("fast"+strconv.Itoa(i), "192.0.2."+strconv.Itoa(i)); got.status == 201 {
			made++
		} else {
			refused = got
		}
	}
	if made != 3 || refused.status != 429 || refused.problem(t).Type != wire.Limited || refused.header.Get("Retry-After") != "10" {
		t.Errorf("%d of a burst of 3 were made, the rest got %d %s, Retry-After %q", made, refused.status, refused.body, refused.header.Get("Retry-After"))
	}
	if got := create("other", "198.51.100.1"); got.status != 201 {
		t.Errorf("others go on unhindered, got %d", got.status)
	}
	r.clock.Advance(10 * time.Second)
	if got := create("patient", "192.0.2.1"); got.status != 201 {
		t.Errorf("who waits as told is served, got %d", got.status)
	}
	r.clock.Advance(time.Hour)
	for i := range 3 {
		if got := create("later"+strconv.Itoa(i), "192.0.2.1"); got.status != 201 {
			t.Errorf("after the hour all is forgotten, got %d", got.status)
		}
	}
}

func TestWhoGuessesTooMuchWaitsAndWhoKnowsDoesNot(t *testing.T) {
	r := newRig(t, func(c *relay.Config) {
		c.ClientAddr = byHeader
		c.Quotas.Guesses, c.Quotas.GuessBurst = 60, 5
	})
	s, none := r.made("mine"), newShare("none")
	wrong := bearer(sha256.Sum256([]byte("wrong")))
	get := func(sh share, a auth, query string) answer {
		return r.doWith(context.Background(), "GET", sh.mailbox().String()+query, from(a, "192.0.2.1"), nil)
	}
	for i := range 5 {
		if got := get([]share{s, none}[i%2], wrong, ""); got.status != 404 {
			t.Fatalf("guess %d within the burst: got %d", i+1, got.status)
		}
	}
	there, absent := get(s, wrong, ""), get(none, wrong, "")
	if there.status != 429 || !equal(there, absent) || there.header.Get("Retry-After") != "1" {
		t.Errorf("beyond it both are refused alike: %v, %v", there, absent)
	}
	if got := get(none, wrong, "?wait=60"); got.status != 429 {
		t.Errorf("nor is a guess held, got %d", got.status)
	}
	if got := get(s, s.asLink(), ""); got.status != 200 {
		t.Errorf("who knows the capability is served all the same, from the same network: got %d", got.status)
	}
	r.clock.Advance(time.Second)
	if got := get(none, wrong, ""); got.status != 404 {
		t.Errorf("a second later one more guess is free, got %d", got.status)
	}
}

// TestWhoHasEnoughOpenIsRefusedMoreAndOthersAreNot: one network can't take all
// streams and held views that there are.
func TestWhoHasEnoughOpenIsRefusedMoreAndOthersAreNot(t *testing.T) {
	r := newRig(t, func(c *relay.Config) {
		c.ClientAddr = byHeader
		c.Quotas.Open = 2
	})
	s := r.made("open")
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	claims := func(ctx context.Context, addr string) int {
		t.Helper()
		res, err := r.start(ctx, "GET", s.at(wire.Claims).String(), from(s.asSender(), addr), nil)
		if err != nil {
			t.Fatal(err)
		}
		if res.StatusCode != 200 {
			res.Body.Close()
		} else {
			t.Cleanup(func() { res.Body.Close() })
		}
		return res.StatusCode
	}
	one, end := context.WithCancel(ctx)
	if got := [3]int{claims(one, "192.0.2.1"), claims(ctx, "192.0.2.2"), claims(ctx, "192.0.2.3")}; got != [3]int{200, 200, 429} {
		t.Errorf("of three streams of one network, two being the bound, the answers are %v", got)
	}
	held := r.doWith(ctx, "GET", s.mailbox().String()+"?known=0&wait=1", from(s.asLink(), "192.0.2.4"), nil)
	if held.status != 429 || held.problem(t).Type != wire.Limited || held.header.Get("Retry-After") == "" {
		t.Errorf("a view is held for the same network: %d %s", held.status, held.body)
	}
	if got := r.doWith(ctx, "GET", s.mailbox().String(), from(s.asLink(), "192.0.2.4"), nil); got.status != 200 {
		t.Errorf("a view that isn't held gets %d", got.status)
	}
	for _, addr := range []string{"198.51.100.1", "127.0.0.1", "::1", "127.0.0.1"} {
		if got := claims(ctx, addr); got != 200 {
			t.Errorf("a stream from %s gets %d", addr, got)
		}
	}
	end()
	for claims(ctx, "192.0.2.5") != 200 { // until the relay has seen that the first one has left
		if ctx.Err() != nil {
			t.Fatal("who has left still counts")
		}
	}
	r.clock.Advance(2 * time.Hour) // the mailbox's time is up, too
	s = r.made("later")
	if got := [3]int{claims(ctx, "192.0.2.1"), claims(ctx, "192.0.2.2"), claims(ctx, "192.0.2.3")}; got != [3]int{200, 200, 429} {
		t.Errorf("after the hour all is forgotten, and the bound is there: %v", got)
	}
}
