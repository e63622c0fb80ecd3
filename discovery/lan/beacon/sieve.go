package beacon

import (
	"hash/maphash"
	"net/netip"
)

// What one share can be made to hear between two of its questions: so many
// texts, of which so many from one address. The other device's answer is there
// a round trip after the question, so it is among the first of them.
const (
	maxHeard     = 256
	maxHeardFrom = 8
)

// A sieve lets each text from each address through once between two questions,
// and bounds how many. It keeps no texts.
type sieve struct {
	heard map[uint64]bool
	from  map[netip.Addr]int
}

var sieveSeed = maphash.MakeSeed() // so that nobody can make two texts look alike

// fresh reports whether an answer goes through, and remembers it if so.
func (s *sieve) fresh(x answer) bool {
	var h maphash.Hash
	h.SetSeed(sieveSeed)
	maphash.WriteComparable(&h, x.from)
	h.Write(x.text)
	key := h.Sum64()
	if s.heard[key] || len(s.heard) >= maxHeard || s.from[x.from] >= maxHeardFrom {
		return false
	}
	if s.heard == nil {
		s.heard, s.from = make(map[uint64]bool), make(map[netip.Addr]int)
	}
	s.heard[key] = true
	s.from[x.from]++
	return true
}
