package fallback

import (
	"context"
	"encoding/binary"
	"slices"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/sparekey/sparekey/discovery"
	"github.com/sparekey/sparekey/discovery/pathtest"
	"github.com/sparekey/sparekey/noise/frame"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// A device of a test has a carrier and one log, of which it counts the other's
// frames and acknowledges them as a machine does: in its replies, on direct paths.
type device struct {
	c      *Carrier
	side   discovery.Role
	ctx    context.Context
	stop   func()
	mutely bool // it acknowledges nothing
	ended  bool // it acknowledges all that there may be

	mu   sync.Mutex
	next uint64
	load Load
	got  map[uint64]int // how often each of the other's frames has come
	when map[uint64]time.Time
}

func newDevice(t testing.TB, side discovery.Role, config Config) *device {
	config.Jitter = func() float64 { return 0.5 }
	d := &device{c: New(config), side: side, got: map[uint64]int{}, when: map[uint64]time.Time{}}
	ctx, cancel := context.WithCancel(t.Context())
	d.ctx = ctx
	var done sync.WaitGroup
	done.Go(func() { d.c.Run(ctx) })
	done.Go(func() {
		for {
			select {
			case a := <-d.c.Arrivals():
				d.arrived(a)
			case <-ctx.Done():
				return
			}
		}
	})
	d.stop = func() { cancel(); done.Wait() }
	return d
}

// word returns a data frame of a side, of ann's candidate.
func word(side discovery.Role, seq uint64, size int) frame.Frame {
	b := make([]byte, max(size, 40))
	b[0] = byte(side)
	return frame.New(frame.Data, ann, seq, b)
}

func count(n uint64) frame.Frame {
	return frame.New(frame.Ack, ann, n, binary.BigEndian.AppendUint64(make([]byte, 32), n))
}

var lastAck = count(frame.LastAck)

func (d *device) arrived(a Arrival) {
	d.mu.Lock()
	acks := false
	for _, f := range a.Frames {
		switch f.Kind() {
		case frame.Data:
			acks = true
			d.got[f.Seq()]++
			if d.got[f.Seq()] == 1 {
				d.when[f.Seq()] = time.Now()
			}
		case frame.Ack:
			d.load.Frames = slices.DeleteFunc(slices.Clone(d.load.Frames), func(o frame.Frame) bool { return o.Kind() == frame.Data && o.Seq() < f.Seq() })
			d.c.Carry(d.load)
		}
	}
	n := uint64(0)
	for seq := range d.got {
		n = max(n, seq+1)
	}
	mutely := d.mutely
	d.mu.Unlock()
	if _, stores := a.From.(discovery.Mailbox); acks && !stores && !mutely {
		if d.ended {
			n = frame.LastAck
		}
		d.c.Reply(a.From, count(n))
	}
	d.c.Judge(a.From, Verdict{OK: true})
}

// say adds frames to the load.
func (d *device) say(n int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for range n {
		d.load.Frames = append(slices.Clone(d.load.Frames), word(d.side, d.next, 0))
		d.next++
	}
	d.c.Carry(d.load)
}

// carry gives the device another load.
func (d *device) carry(l Load) uint64 {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.load = l
	return d.c.Carry(l)
}

// heard returns how often each frame of the other side has come, and when first.
func (d *device) heard(seq uint64) (times int, first time.Time) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.got[seq], d.when[seq]
}

// A pair is two devices and what is between them.
type pair struct {
	a, b *device
	box  *pathtest.Mailbox
}

func newPair(t testing.TB, boxDelay time.Duration) *pair {
	p := &pair{a: newDevice(t, discovery.Sender, Config{}), b: newDevice(t, discovery.Receiver, Config{}), box: pathtest.NewMailbox(boxDelay)}
	p.a.c.Add(p.box.Path(discovery.Sender, nil))
	p.b.c.Add(p.box.Path(discovery.Receiver, nil))
	return p
}

func (p *pair) stop() { p.a.stop(); p.b.stop() }

// cable lays one between the devices.
func (p *pair) cable(name string, delay time.Duration) *pathtest.Cable {
	c := pathtest.NewCable(name, delay)
	a, b := c.Ends()
	p.a.c.Add(a)
	p.b.c.Add(b)
	return c
}
