//go:build linux

package wire

import (
	"container/heap"
	"sync"
	"time"
)

// A courier keeps packets until they arrive.
type courier struct {
	clock *clock
	work  sync.WaitGroup

	mu    sync.Mutex // held while packets are taken; guards the owner's state too
	queue queue
	turn  uint64
	set   time.Time // when the clock wakes; zero: it isn't set
}

func newCourier() (*courier, error) {
	c, err := newClock()
	if err != nil {
		return nil, err
	}
	k := &courier{clock: c}
	k.work.Go(k.tick)
	return k, nil
}

// send puts a packet into the queue, once for each delay. The caller holds mu,
// and calls deliver before it lets go.
func (k *courier) send(now time.Time, to taker, b []byte, copies []time.Duration) {
	for _, d := range copies {
		k.turn++
		heap.Push(&k.queue, packet{due: now.Add(d), turn: k.turn, to: to, b: append([]byte(nil), b...)})
	}
}

// deliver hands over what is due and sets the clock for the next.
func (k *courier) deliver() {
	for len(k.queue) > 0 {
		left := time.Until(k.queue[0].due)
		if left > 0 {
			if due := k.queue[0].due; !due.Equal(k.set) {
				k.set = due
				k.clock.set(left)
			}
			return
		}
		p := heap.Pop(&k.queue).(packet)
		p.to.take(p.b)
	}
}

// tick delivers when the clock wakes.
func (k *courier) tick() {
	for k.clock.wait() == nil {
		k.mu.Lock()
		k.set = time.Time{}
		k.deliver()
		k.mu.Unlock()
	}
}

// close stops the clock. What was under way is lost.
func (k *courier) close() error { return k.clock.f.Close() }
