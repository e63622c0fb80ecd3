package lan

import (
	"crypto/rand"
	"net/netip"

	"github.com/sparekey/sparekey/discovery"
	"github.com/sparekey/sparekey/discovery/lan/quicpath"
)

// TagOf and TextOf are what a side is asked for and answers, for tests that stand
// in for somebody in the room.
func TagOf(topic [32]byte, r discovery.Role) quicpath.Tag { return tagOf(topic, r) }

func TextOf(topic, key [32]byte, r discovery.Role, a ...netip.AddrPort) []byte {
	text, err := newSealer(discovery.Meeting{Topic: topic, Key: key}, r).seal(rand.Reader, a)
	if err != nil {
		panic(err)
	}
	return text
}
