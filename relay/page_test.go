package relay_test

import (
	"bytes"
	"context"
	"net/http"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sparekey/sparekey/noise/frame"
	"github.com/sparekey/sparekey/relay"
	"github.com/sparekey/sparekey/relay/wire"
)

func TestPRV01ScannersSeeOnePageAndChangeNothing(t *testing.T) {
	overBoth(t, plain, func(t *testing.T, r *rig) {
		s, none := r.made("prv01"), newShare("none")
		r.store.asked()
		want := r.do("GET", none.at(wire.Page).String(), auth{}, nil)
		agents := []string{"", "facebookexternalhit/1.1", "Slackbot-LinkExpanding 1.0", "Mozilla/5.0 (X11)", "curl/8"}
		for i := range 50 {
			for _, method := range []string{"GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "PROPFIND"} {
				h := http.Header{"User-Agent": {agents[i%len(agents)]}, "Accept": {"*/*"}, "Cookie": {"a=b"}}
				path := s.at(wire.Page).String() + []string{"", "?v=car", "?utm_source=mail&x=%00"}[i%3]
				got := r.doWith(context.Background(), method, path, h, nil)
				reads := method == "GET" || method == "HEAD"
				if reads != (got.status == 200) || !reads && (got.status != 405 || got.header.Get("Allow") != "GET, HEAD") {
					t.Errorf("%s: got %d", method, got.status)
				}
				if method != "HEAD" && !bytes.Equal(got.body, want.body) {
					t.Errorf("%s as %q: the page differs from the one of an id that nobody has", method, agents[i%len(agents)])
				}
				if got.header["Set-Cookie"] != nil || got.header.Get("Content-Security-Policy") != want.header.Get("Content-Security-Policy") {
					t.Errorf("%s: the page sets a cookie or another policy: %v", method, got.header)
				}
			}
		}
		if calls := r.store.asked(); len(calls) != 0 {
			t.Errorf("the page must not ask the store, it asked %v", names(calls))
		}
		r.claimed(s.candidate("the receiver can still claim"))
	})
}

func TestThePageHoldsNoScriptAndMayRunNone(t *testing.T) {
	r := newRig(t, func(c *relay.Config) { c.PublicURL = "https://rel&ay.example" })
	page := r.do("GET", newShare("x").at(wire.Page).String(), auth{}, nil)
	body := strings.ToLower(string(page.body))
	if bad := contains(body, "<script", "javascript:", "<iframe", "<form", "<img", "<link", "<b>", "src=", "http:", "https:"); bad != "" || regexp.MustCompile(`\son\w+=`).MatchString(body) {
		t.Errorf("the page must hold nothing that runs or fetches, found %q", bad)
	}
	for _, want := range []string{`property="og:title"`, `property="og:description"`, "sparekey receive", "part after <code>#</code>"} {
		if !strings.Contains(body, want) {
			t.Errorf("the page must hold %s", want)
		}
	}
	policy := page.header.Get("Content-Security-Policy")
	for _, want := range []string{"default-src 'none'", "base-uri 'none'", "form-action 'none'", "frame-ancestors 'none'", "style-src 'sha256-"} {
		if !strings.Contains(policy, want) {
			t.Errorf("the policy must hold %s, is %q", want, policy)
		}
	}
	if contains(policy, "unsafe", "script-src") != "" || page.header.Get("Referrer-Policy") != "no-referrer" || page.header.Get("X-Content-Type-Options") != "nosniff" {
		t.Errorf("too free: %v", page.header)
	}
	if !strings.Contains(body, "rel&amp;ay.example") {
		t.Errorf("the relay's name is text, not markup: %s", body)
	}
}

func TestThePageNamesTheRelay(t *testing.T) {
	r := newRig(t)
	if page := r.do("GET", newShare("x").at(wire.Page).String(), auth{}, nil); !bytes.Contains(page.body, []byte("Relay: relay.example<")) {
		t.Errorf("the page must name the relay's host: %s", page.body)
	}
}

func TestPRV04AThousandViewsChangeNothing(t *testing.T) {
	r := newRig(t)
	s := r.made("prv04")
	r.want("the first view", 200, "GET", s.mailbox(), s.asLink(), nil)
	r.clock.Advance(10 * time.Minute)
	first := r.want("a view", 200, "GET", s.mailbox(), s.asLink(), nil)
	if left := first.header.Get(wire.HeaderExpires); left != "3000" {
		t.Errorf("a view prolongs nothing: %s seconds are left, want 3000", left)
	}
	var wg sync.WaitGroup
	for range 100 {
		wg.Go(func() {
			own := *r
			own.client = client(false) // a connection of its own
			defer own.client.CloseIdleConnections()
			for range 10 {
				if got := own.do("GET", s.mailbox().String(), s.asLink(), nil); !equal(got, first) {
					t.Errorf("a view differs from the first: %d %v", got.status, got.header)
				}
			}
		})
	}
	wg.Wait()
	c := s.candidate("one")
	r.claimed(c)
	r.open("GET", s.at(wire.Claims).String(), s.asSender(), nil).want("the sender has heard of the claim alone", c.handshake(), c.data(1))
	if again := r.want("a view", 200, "GET", s.mailbox(), s.asLink(), nil); !equal(again, first) || !bytes.Equal(again.body, frame.Append(nil, s.offer)) {
		t.Errorf("neither offer nor time left may change: %v, then %v", first.header, again.header)
	}
	r.clock.Advance(50 * time.Minute)
	r.want("its time is up when it was to be", 404, "GET", s.mailbox(), s.asLink(), nil)
}
