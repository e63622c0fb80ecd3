//go:build linux

package wire

import (
	"math/rand/v2"
	"time"
)

// A Link says what becomes of every packet on the wire. The zero Link passes
// them on at once.
type Link struct {
	Delay  time.Duration // of every packet, one way: half a round trip
	Jitter time.Duration // added: up to this much, evenly drawn for each packet; it reorders them
	Loss   float64       // share of the packets that get lost, 0 to 1
	Repeat float64       // share of the packets that arrive twice
	Seed   uint64        // of what is drawn; the same packets in the same order fare the same
}

// fate draws what becomes of one packet: a delay for each copy that arrives.
func (l Link) fate(draw *rand.Rand) (copies []time.Duration) {
	if l.Loss > 0 && draw.Float64() < l.Loss {
		return nil
	}
	copies = append(copies, l.delay(draw))
	if l.Repeat > 0 && draw.Float64() < l.Repeat {
		copies = append(copies, l.delay(draw))
	}
	return copies
}

func (l Link) delay(draw *rand.Rand) time.Duration {
	if l.Jitter <= 0 {
		return l.Delay
	}
	return l.Delay + time.Duration(draw.Int64N(int64(l.Jitter)+1))
}
