//go:build linux

package wire

import (
	"container/heap"
	"errors"
	"math/rand/v2"
	"net/netip"
	"sync"
	"time"
)

// A Wire joins its hosts. Its methods may be called at the same time.
type Wire struct {
	hosts []*Host
	clock *clock
	work  sync.WaitGroup

	mu    sync.Mutex
	link  Link
	draw  *rand.Rand
	queue queue
	turn  uint64
	set   time.Time // when the clock wakes; zero: it isn't set
}

// New makes a wire with a host at each of the addresses, IPv4. Close it.
func New(addrs ...netip.Addr) (*Wire, error) {
	c, err := newClock()
	if err != nil {
		return nil, err
	}
	w := &Wire{clock: c}
	w.Set(Link{})
	for _, a := range addrs {
		h, err := newHost(a)
		if err != nil {
			return nil, errors.Join(err, w.Close())
		}
		w.hosts = append(w.hosts, h)
	}
	for _, h := range w.hosts {
		w.work.Go(func() { w.carry(h) })
	}
	w.work.Go(w.tick)
	return w, nil
}

// Host returns the i-th host.
func (w *Wire) Host(i int) *Host { return w.hosts[i] }

// Set says what becomes of packets from now on. Those that are under way arrive
// as they would have.
func (w *Wire) Set(l Link) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.link, w.draw = l, rand.New(rand.NewPCG(l.Seed, 0))
}

// Close takes the wire and its hosts away. Programs on them must have ended.
func (w *Wire) Close() error {
	errs := []error{w.clock.f.Close()}
	for _, h := range w.hosts {
		errs = append(errs, h.close())
	}
	w.work.Wait()
	return errors.Join(errs...)
}

// carry takes what a host sends until its device is closed.
func (w *Wire) carry(from *Host) {
	b := make([]byte, 1<<16)
	for {
		n, err := from.tun.Read(b)
		if err != nil {
			return
		}
		now := time.Now()
		to, ok := destination(b[:n])
		if !ok {
			continue
		}
		w.mu.Lock()
		for _, h := range w.hosts {
			if h != from && (h.Addr == to || to.IsMulticast()) {
				w.send(now, h, b[:n])
			}
		}
		w.deliver()
		w.mu.Unlock()
	}
}

// send puts a packet into the queue, as often as it is to arrive.
func (w *Wire) send(now time.Time, to *Host, b []byte) {
	for _, d := range w.link.fate(w.draw) {
		w.turn++
		heap.Push(&w.queue, packet{due: now.Add(d), turn: w.turn, to: to, b: append([]byte(nil), b...)})
	}
}

// deliver hands over what is due and sets the clock for the next.
func (w *Wire) deliver() {
	for len(w.queue) > 0 {
		left := time.Until(w.queue[0].due)
		if left > 0 {
			if due := w.queue[0].due; !due.Equal(w.set) {
				w.set = due
				w.clock.set(left)
			}
			return
		}
		p := heap.Pop(&w.queue).(packet)
		p.to.tun.Write(p.b) // a device that refuses a packet has lost it
	}
}

// tick delivers when the clock wakes.
func (w *Wire) tick() {
	for w.clock.wait() == nil {
		w.mu.Lock()
		w.set = time.Time{}
		w.deliver()
		w.mu.Unlock()
	}
}

// destination reads where a packet goes (RFC 791 section 3.1).
func destination(b []byte) (netip.Addr, bool) {
	if len(b) < 20 || b[0]>>4 != 4 {
		return netip.Addr{}, false
	}
	return netip.AddrFromSlice(b[16:20])
}
