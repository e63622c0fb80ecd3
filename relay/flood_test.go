package relay_test

import (
	"context"
	"crypto/rand"
	"log/slog"
	"net/http"
	"strconv"
	"testing"
	"time"

	"github.com/sparekey/sparekey/noise/frame"
	"github.com/sparekey/sparekey/relay"
	"github.com/sparekey/sparekey/relay/disk"
	"github.com/sparekey/sparekey/relay/storetest"
	"github.com/sparekey/sparekey/relay/wire"
)

// A visitor is a client at an address.
type visitor struct {
	r    *rig
	addr string
}

func (v visitor) do(method string, p wire.Path, a auth, body []byte) answer {
	v.r.t.Helper()
	return v.r.doWith(context.Background(), method, p.String(), from(a, v.addr), body)
}

// write does a request that is answered with nothing, or with a stream, which it
// leaves at once.
func (v visitor) write(method string, p wire.Path, a auth, body []byte) (status int, h http.Header) {
	v.r.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	res, err := v.r.start(ctx, method, p.String(), from(a, v.addr), body)
	if err != nil {
		v.r.t.Fatal(err)
	}
	res.Body.Close()
	return res.StatusCode, res.Header
}

// share makes a mailbox and does all that a small share does there, and returns
// the first status that isn't as it should be; 0: none.
func (v visitor) share(name string) int {
	v.r.t.Helper()
	s := newShare(name)
	c := s.candidate(name)
	for _, w := range []struct {
		method string
		path   wire.Path
		auth   auth
		body   []byte
		want   int
	}{
		{"PUT", s.mailbox(), auth{}, s.create(), 201},
		{"PUT", c.lane(), c.heir(), c.first(), 200},
		{"PUT", s.at(wire.Confirm), s.asSender(), c.binding(), 204},
		{"PUT", c.entry(wire.Sender, 0), s.asSender(), frame.Append(nil, c.data(0)), 204},
		{"DELETE", s.mailbox(), auth{}, s.over(), 204},
	} {
		if got, _ := v.write(w.method, w.path, w.auth, w.body); got != w.want {
			return got
		}
	}
	return 0
}

// flood makes mailboxes and fills their lanes with what can't be packed, erases
// every second one, and goes on until it is refused. It returns that status, and
// the megabytes that were taken.
func (v visitor) flood(most int) (refused, taken int) {
	v.r.t.Helper()
	for box := 0; ; box++ {
		s := newShare(v.addr + strconv.Itoa(box))
		if got, _ := v.write("PUT", s.mailbox(), auth{}, s.create()); got != 201 {
			return got, taken
		}
		c := s.candidate("flood")
		if got, _ := v.write("PUT", c.lane(), c.heir(), c.first()); got != 200 {
			return got, taken
		}
		for seq := uint64(0); seq < 51; seq += 17 {
			if got, _ := v.write("PUT", c.entry(wire.Sender, seq), s.asSender(), noise(c, seq, 17)); got != 204 {
				return got, taken
			}
			if taken++; taken == most {
				return 0, taken
			}
		}
		if box%2 == 1 {
			v.write("DELETE", c.lane(), s.asSender(), nil)
		}
	}
}

// noise is a body of a megabyte of frames that can't be packed.
func noise(c candidate, seq uint64, frames int) []byte {
	var out []byte
	for i := range frames {
		sealed := make([]byte, 61_000)
		rand.Read(sealed)
		out = frame.Append(out, frame.New(frame.Data, c.c, seq+uint64(i), sealed))
	}
	return out
}

// smallDisk serves a store on a disk, of so many bytes.
func smallDisk(t *testing.T, bytes int64, q relay.Quotas) *rig {
	t.Helper()
	clock := storetest.NewClock()
	s, err := disk.Open(t.TempDir(), disk.Options{Now: clock.Now, Limits: relay.Limits{Bytes: bytes}, Scrub: time.Hour, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	r := newRig(t, func(c *relay.Config) { c.Store, c.Now, c.ClientAddr, c.Quotas = s, clock.Now, byHeader, q })
	t.Cleanup(func() { r.stop(); s.Shutdown() })
	return r
}

// TestQTA04OneNetworkFillsNoStoreForOthers: a network that writes all it can is
// told to wait long before the disk is full. Without the bound it does fill it.
func TestQTA04OneNetworkFillsNoStoreForOthers(t *testing.T) {
	const size = 16 // megabytes; the bound for one network is a quarter
	for name, c := range map[string]struct {
		quotas relay.Quotas
		ends   int
	}{
		"bounded":  {relay.Quotas{WriteBytes: 1 << 20, WriteBurst: size << 20 / 4}, 429},
		"no bound": {relay.Quotas{WriteBytes: -1}, 507},
	} {
		t.Run(name, func(t *testing.T) {
			r := smallDisk(t, size<<20, c.quotas)
			refused, taken := visitor{r, "192.0.2.1"}.flood(10 * size)
			if refused != c.ends {
				t.Fatalf("after %d MB the flood is answered %d, want %d", taken, refused, c.ends)
			}
			if c.ends == 507 {
				return
			}
			if got, _ := (visitor{r, "192.0.2.99"}).flood(1); got != 429 {
				t.Errorf("another address of the same network gets %d", got)
			}
			for i := range 8 {
				if got := (visitor{r, "198.51.100.1"}).share("other" + strconv.Itoa(i)); got != 0 {
					t.Errorf("share %d of another network is answered %d", i, got)
				}
			}
		})
	}
}

// TestQTA04WhoWritesTooMuchWaitsAndCanEndItsShares: what ends a share isn't
// counted, and after the time that it is told a network may write again.
func TestQTA04WhoWritesTooMuchWaitsAndCanEndItsShares(t *testing.T) {
	r := newRig(t, func(c *relay.Config) {
		c.ClientAddr = byHeader
		c.Quotas.WriteBytes, c.Quotas.WriteBurst = 60*1000, 1<<20
	})
	v := visitor{r, "192.0.2.1"}
	s := newShare("writes")
	c := s.candidate("one")
	if got, _ := v.write("PUT", s.mailbox(), auth{}, s.create()); got != 201 {
		t.Fatal(got)
	}
	if got, _ := v.write("PUT", c.lane(), c.heir(), c.first()); got != 200 {
		t.Fatal(got)
	}
	body := noise(c, 0, 15)
	append := func(v visitor) (int, http.Header) { return v.write("PUT", c.entry(wire.Sender, 0), s.asSender(), body) }
	if got, _ := append(v); got != 204 {
		t.Fatal(got)
	}
	refused := v.do("PUT", c.entry(wire.Sender, 0), s.asSender(), body)
	wait, _ := strconv.Atoi(refused.header.Get("Retry-After"))
	if refused.status != 429 || refused.problem(t).Type != wire.Limited || wait < 600 || wait > 1000 {
		t.Fatalf("a megabyte more at 1000 bytes a second: %d %s, Retry-After %d", refused.status, refused.body, wait)
	}
	if got := v.do("GET", s.mailbox(), s.asLink(), nil); got.status != 200 {
		t.Errorf("who only reads gets %d", got.status)
	}
	for _, other := range []string{"198.51.100.1", "127.0.0.1", "::1"} {
		if got, _ := append(visitor{r, other}); got != 204 {
			t.Errorf("the same bytes from %s get %d", other, got)
		}
	}
	r.clock.Advance(time.Duration(wait) * time.Second)
	if got, _ := append(v); got != 204 {
		t.Errorf("who has waited as told gets %d", got)
	}
	if got, _ := append(v); got != 429 {
		t.Errorf("and once more at once %d", got)
	}
	if got, _ := v.write("DELETE", s.mailbox(), auth{}, s.over()); got != 204 {
		t.Errorf("a delete gets %d", got)
	}
}

// TestAWriteBeyondTheBurstWaitsForAllOfItAndIsTaken: a bound that is smaller than
// a request may be refuses no request for good.
func TestAWriteBeyondTheBurstWaitsForAllOfItAndIsTaken(t *testing.T) {
	r := newRig(t, func(c *relay.Config) {
		c.ClientAddr = byHeader
		c.Quotas.WriteBytes, c.Quotas.WriteBurst = 6000, 10_000
	})
	v := visitor{r, "192.0.2.1"}
	s := newShare("burst")
	c := s.candidate("one")
	if a, _ := v.write("PUT", s.mailbox(), auth{}, s.create()); a != 201 {
		t.Fatal(a)
	}
	r.clock.Advance(2 * time.Minute)
	if a, _ := v.write("PUT", c.lane(), c.heir(), c.first()); a != 200 {
		t.Fatal(a)
	}
	put := func() (int, http.Header) {
		return v.write("PUT", c.entry(wire.Sender, 0), s.asSender(), noise(c, 0, 2))
	}
	if got, h := put(); got != 429 || h.Get("Retry-After") == "3600" {
		t.Errorf("120 kB at once: %d, Retry-After %s", got, h.Get("Retry-After"))
	}
	r.clock.Advance(2 * time.Minute)
	if got, _ := put(); got != 204 {
		t.Errorf("with all of the burst there: %d", got)
	}
}
