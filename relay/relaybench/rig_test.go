package relaybench

import (
	"context"
	"io"
	"math"
	"net"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sparekey/sparekey/relay"
	"github.com/sparekey/sparekey/relay/disk"
)

// limits let a benchmark run as long as it likes.
var limits = relay.Limits{LogFrames: 1 << 40, LogBytes: 1 << 40, Claims: 1 << 40, LifeBytes: 1 << 50, Mailboxes: 1 << 40, Bytes: 1 << 40}

// durable opens a store on a disk, in a folder of its own.
func durable(b *testing.B) (*disk.Store, string) {
	b.Helper()
	dir := b.TempDir()
	s, err := disk.Open(dir, disk.Options{Limits: limits})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		if err := s.Shutdown(); err != nil {
			b.Error(err)
		}
	})
	return s, dir
}

// serve serves a store behind the real handler, as the relay does.
func serve(b *testing.B, s relay.Store) (addr string) {
	b.Helper()
	l := listen(b)
	ctx, cancel := context.WithCancel(context.Background())
	served := make(chan error, 1)
	h := relay.NewHandler(relay.Config{Store: s, Quotas: relay.Quotas{Creates: -1, Guesses: -1}})
	go func() { served <- relay.Serve(ctx, l, nil, h) }()
	b.Cleanup(func() {
		cancel()
		if err := <-served; err != nil {
			b.Error(err)
		}
	})
	return l.Addr().String()
}

// serveNothing serves a handler that reads the body and answers.
func serveNothing(b *testing.B) (addr string) {
	b.Helper()
	l := listen(b)
	var p http.Protocols
	p.SetUnencryptedHTTP2(true)
	srv := &http.Server{
		Protocols: &p, ReadTimeout: 30 * time.Second, WriteTimeout: 30 * time.Second,
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			io.Copy(io.Discard, r.Body)
			w.WriteHeader(http.StatusNoContent)
		}),
	}
	go srv.Serve(l)
	b.Cleanup(func() { srv.Close() })
	return l.Addr().String()
}

func listen(b *testing.B) net.Listener {
	b.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	return l
}

// A maker makes a client's n-th request; it may use the memory of the one before.
type maker func(n int) (header, body []byte)

// A crowd is many clients on few connections to one server, each with one
// request at a time.
type crowd struct {
	conns []*crowdConn
	ops   atomic.Int64
}

type crowdConn struct {
	*conn
	clients []maker
	sent    []int          // requests of each client so far
	whose   map[uint32]int // the client that waits on a stream
}

// perConn is how many clients share a connection: a relay has many more clients
// than a benchmark's process has processors.
const perConn = 32

func newCrowd(b *testing.B, addr string, clients []maker) *crowd {
	b.Helper()
	c := &crowd{}
	for some := range slices.Chunk(clients, perConn) {
		n, err := dial(addr)
		if err != nil {
			b.Fatal(err)
		}
		b.Cleanup(func() { n.Close() })
		c.conns = append(c.conns, &crowdConn{n, some, make([]int, len(some)), map[uint32]int{}})
	}
	return c
}

// run lets the crowd work for a while, and returns how much it did a second.
func (c *crowd) run(b *testing.B, d time.Duration) float64 {
	b.Helper()
	c.ops.Store(0)
	var wg sync.WaitGroup
	start := time.Now()
	for _, n := range c.conns {
		wg.Go(func() {
			if err := n.work(start.Add(d), &c.ops); err != nil {
				b.Error(err)
			}
		})
	}
	wg.Wait()
	took := time.Since(start)
	if b.Failed() {
		b.FailNow()
	}
	return float64(c.ops.Load()) / took.Seconds()
}

// work sends requests, each client its next as soon as the one before is
// answered, until the end has come and all are answered.
func (c *crowdConn) work(end time.Time, ops *atomic.Int64) error {
	for i := range c.clients {
		c.send(i)
	}
	for len(c.whose) > 0 {
		e, err := c.read()
		if err != nil {
			return err
		}
		if e.status != 0 && e.status != http.StatusNoContent && e.status != http.StatusCreated {
			return errStatus
		}
		if !e.ended {
			continue
		}
		i := c.whose[e.stream]
		delete(c.whose, e.stream)
		ops.Add(1)
		if time.Now().Before(end) {
			c.send(i)
		}
	}
	return nil
}

func (c *crowdConn) send(i int) {
	header, body := c.clients[i](c.sent[i])
	c.sent[i]++
	c.whose[c.request(header, body)] = i
}

// slice is how long each of those compared works before the next one's turn.
const slice = 250 * time.Millisecond

// compare measures crowds in turns, and returns what each did a second: the
// median of its turns.
func compare(b *testing.B, crowds ...*crowd) []float64 {
	b.Helper()
	turns := make([][]float64, len(crowds))
	for _, c := range crowds {
		c.run(b, slice/5) // until connections and memory have found their size
	}
	for b.Loop() {
		for i, c := range crowds {
			turns[i] = append(turns[i], c.run(b, slice))
		}
	}
	var out []float64
	for _, t := range turns {
		out = append(out, median(t))
	}
	return out
}

func median(v []float64) float64 {
	if len(v) == 0 {
		return math.NaN()
	}
	slices.Sort(v)
	return (v[(len(v)-1)/2] + v[len(v)/2]) / 2
}

// report gives a metric, and keeps the time of a turn, which says nothing, out of the table.
func report(b *testing.B, v float64, unit string) {
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(v, unit)
}
