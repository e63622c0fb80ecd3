//go:build linux

package wire

import (
	"math/rand/v2"
	"time"
)

// A Link says what becomes of every packet that is sent. The zero Link passes
// them on at once.
type Link struct {
	Delay  time.Duration // of every packet, one way: half a round trip
	Jitter time.Duration // added: up to this much, evenly drawn for each packet; it reorders them
	Loss   float64       // share of the packets that get lost, 0 to 1
	Repeat float64       // share of the packets that arrive twice
	Seed   uint64        // of what is drawn; the same packets in the same order fare the same
}

// A fate is a link with what it draws from. The zero one passes packets on at once.
type fate struct {
	Link
	rnd *rand.Rand
}

func (l Link) begin() fate { return fate{l, rand.New(rand.NewPCG(l.Seed, 0))} }

// draw draws what becomes of one packet: a delay for each copy that arrives.
func (f fate) draw() (copies []time.Duration) {
	if f.Loss > 0 && f.rnd.Float64() < f.Loss {
		return nil
	}
	copies = append(copies, f.delay())
	if f.Repeat > 0 && f.rnd.Float64() < f.Repeat {
		copies = append(copies, f.delay())
	}
	return copies
}

func (f fate) delay() time.Duration {
	if f.Jitter <= 0 {
		return f.Delay
	}
	return f.Delay + time.Duration(f.rnd.Int64N(int64(f.Jitter)+1))
}
