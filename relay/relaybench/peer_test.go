package relaybench

import (
	"bytes"
	"encoding/binary"
	"os"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/sparekey/sparekey/noise/frame"
	"github.com/sparekey/sparekey/relay"
	"github.com/sparekey/sparekey/relay/wire"
)

// A pair is a sender and a receiver of one share at a relay: the one appends,
// the other follows the log.
type pair struct {
	sender, receiver *conn
	lane             []byte
	next             maker
	sent             int
}

func newPair(b *testing.B, store relay.Store) *pair {
	b.Helper()
	s, addr := newShare(), serve(b, store)
	s.put(b, store)
	p := &pair{lane: s.lane[:], next: s.appends()}
	for _, c := range []**conn{&p.sender, &p.receiver} {
		n, err := dial(addr)
		if err != nil {
			b.Fatal(err)
		}
		b.Cleanup(func() { n.Close() })
		*c = n
	}
	log := wire.Path{Place: wire.Log, ID: s.id, Lane: s.lane, Side: wire.Sender}
	p.receiver.request(header("GET", log.String(), 0, wire.Bearer(s.link), wire.Text(s.claim[:])), nil)
	p.await(b, frame.Heartbeat()) // it has caught up
	return p
}

// await reads the receiver's stream until it holds some bytes.
func (p *pair) await(b *testing.B, want []byte) {
	b.Helper()
	for {
		e, err := p.receiver.read()
		if err != nil || e.ended || e.status != 0 && e.status != 200 {
			b.Fatalf("the receiver's stream ended: status %d, %v", e.status, err)
		}
		if bytes.Contains(e.data, want) {
			return
		}
	}
}

// append sends one frame and returns when the receiver has it. The answer to the
// sender is read after that.
func (p *pair) append(b *testing.B) time.Duration {
	b.Helper()
	h, body := p.next(p.sent)
	head := binary.BigEndian.AppendUint64(bytes.Clone(p.lane), uint64(p.sent)) // as the frame has it
	p.sent++
	start := time.Now()
	p.sender.request(h, body)
	if err := p.sender.w.Flush(); err != nil {
		b.Fatal(err)
	}
	p.await(b, head)
	took := time.Since(start)
	for {
		e, err := p.sender.read()
		if err != nil || e.status != 0 && e.status != 204 {
			b.Fatalf("an append was answered with %d, %v", e.status, err)
		}
		if e.ended {
			return took
		}
	}
}

// BenchmarkAppendToPeer: from a sender's append to the frame at its receiver, one
// at a time. Goal: at most 1.5 times the store in memory and one fdatasync.
func BenchmarkAppendToPeer(b *testing.B) {
	store, dir := durable(b)
	disk, memory := newPair(b, store), newPair(b, relay.NewMemory(nil, limits))
	f, err := os.Create(filepath.Join(dir, "beside"))
	if err != nil {
		b.Fatal(err)
	}
	defer f.Close()
	if _, err := f.Write(make([]byte, 1<<20)); err != nil { // a log has its blocks before it is written
		b.Fatal(err)
	}
	var d, m, s []float64
	for i := 0; b.Loop(); i++ {
		d = append(d, disk.append(b).Seconds())
		m = append(m, memory.append(b).Seconds())
		start := time.Now()
		if _, err := f.WriteAt(make([]byte, 512), int64(i%2000)*512); err != nil {
			b.Fatal(err)
		}
		if err := unix.Fdatasync(int(f.Fd())); err != nil {
			b.Fatal(err)
		}
		s = append(s, time.Since(start).Seconds())
	}
	report(b, median(d)*1e6, "disk-µs")
	report(b, median(m)*1e6, "memory-µs")
	report(b, median(s)*1e6, "fdatasync-µs")
	report(b, median(d)/(median(m)+median(s)), "disk/floor")
}
