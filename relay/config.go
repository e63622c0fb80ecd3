package relay

import (
	"log/slog"
	"net/http"
	"net/netip"
	"time"

	"github.com/sparekey/sparekey/relay/wire"
)

// A Config is what a Handler is made of. It is not modified, and may be shared.
type Config struct {
	Store  Store            // required
	Now    func() time.Time // tells when mailboxes run out; nil: time.Now. The Store's must be the same
	Quotas Quotas
	Logger *slog.Logger // faults of the relay and of its store, whose errors must name no mailbox; nil: none

	// PublicURL is where people reach the relay; the page names its host.
	// Empty: the page names none.
	PublicURL string

	// ClientAddr tells whom a rate limit counts a request for; behind a proxy
	// it has to come from a header. nil: the address of the connection.
	ClientAddr func(*http.Request) netip.Addr

	Heartbeat time.Duration // the longest silence of a stream; 0: wire.Heartbeat
	WriteTime time.Duration // how long a stream's reader may take for one frame; 0: 30 s
	Sweep     time.Duration // how often what has run out is looked for and erased; 0: a minute
}

// Quotas bound what clients can make a relay do at once. Zero values stand for
// the defaults, negative ones for no bound.
type Quotas struct {
	Creates     int   // creates a minute from one address prefix; 0: 120
	CreateBurst int   // at once; 0: 300
	Guesses     int   // wrong capabilities a minute from one address prefix; 0: 600
	GuessBurst  int   // at once; 0: 600
	Prefixes    int   // address prefixes remembered, the least recent forgotten first; 0 and below: 16,384
	WriteBytes  int   // bytes that writes bring a minute from one address prefix but loopback, and writeCost each; 0: 8 MiB
	WriteBurst  int   // at once; 0: 64 MiB
	Open        int   // streams and held views at once from one address prefix but loopback; 0: 4,000
	Streams     int   // streams at once; 0: 20,000
	Waiters     int   // held views at once; 0: 10,000
	BodyBytes   int64 // of all requests that are being read, those up to wire.MaxJSON left out; 0: 64 MiB
}

func (q Quotas) withDefaults() Quotas {
	def := func(v *int, d int) {
		if *v == 0 {
			*v = d
		}
	}
	def(&q.Creates, 120)
	def(&q.CreateBurst, 300)
	def(&q.Guesses, 600)
	def(&q.GuessBurst, 600)
	def(&q.WriteBytes, 8<<20)
	def(&q.WriteBurst, 64<<20)
	def(&q.Open, 4_000)
	def(&q.Streams, 20_000)
	def(&q.Waiters, 10_000)
	if q.Prefixes <= 0 {
		q.Prefixes = 16_384
	}
	if q.BodyBytes == 0 {
		q.BodyBytes = 64 << 20
	}
	return q
}

func (c Config) withDefaults() Config {
	c.Quotas = c.Quotas.withDefaults()
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.ClientAddr == nil {
		c.ClientAddr = peer
	}
	if c.Heartbeat == 0 {
		c.Heartbeat = wire.Heartbeat
	}
	if c.WriteTime == 0 {
		c.WriteTime = 30 * time.Second
	}
	if c.Sweep == 0 {
		c.Sweep = time.Minute
	}
	return c
}

// peer is the address of the request's connection; the zero Addr where it has none.
func peer(r *http.Request) netip.Addr {
	ap, _ := netip.ParseAddrPort(r.RemoteAddr)
	return ap.Addr()
}
