package lan

import (
	"crypto/cipher"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"io"
	"net"
	"net/netip"

	"golang.org/x/crypto/chacha20poly1305"

	"github.com/sparekey/sparekey/discovery"
	"github.com/sparekey/sparekey/discovery/lan/quicpath"
)

// tagOf is what a side of a share is asked for: of the topic nothing but this is
// ever on the air.
func tagOf(topic [32]byte, r discovery.Role) quicpath.Tag {
	return quicpath.Tag(derive(topic, "sparekey v1 lan "+r.String())[:9])
}

func derive(key [32]byte, label string) []byte {
	h := hmac.New(sha256.New, key[:])
	io.WriteString(h, label)
	return h.Sum(nil)
}

// A sealer seals the addresses of one side of a share, and opens them.
type sealer struct {
	aead cipher.AEAD
	tag  quicpath.Tag
}

func newSealer(m discovery.Meeting, r discovery.Role) sealer {
	aead, err := chacha20poly1305.NewX(derive(m.Key, "sparekey v1 lan addresses "+r.String()))
	if err != nil {
		panic(err) // the key has its length
	}
	return sealer{aead, tagOf(m.Topic, r)}
}

// Bounds of an answer's text: always as long, so that it doesn't tell how many
// addresses there are. 168 bytes fit a TXT string's 255.
const (
	plainSize = 128 // of addresses
	maxV4     = 2
	maxV6     = 6 // 2 × 7 + 6 × 19 = 128
	textSize  = chacha20poly1305.NonceSizeX + plainSize + chacha20poly1305.Overhead
)

// seal returns the text for addresses, of which those beyond the bounds are left out.
func (s sealer) seal(rnd io.Reader, all []netip.AddrPort) ([]byte, error) {
	b := make([]byte, chacha20poly1305.NonceSizeX, textSize)
	if _, err := io.ReadFull(rnd, b); err != nil {
		return nil, err
	}
	plain := make([]byte, 0, plainSize)
	v4, v6 := 0, 0
	for _, a := range all {
		ip := a.Addr().Unmap()
		switch {
		case ip.Is4() && v4 < maxV4:
			v4++
			plain = append(append(plain, 4), ip.AsSlice()...)
		case ip.Is6() && v6 < maxV6:
			v6++
			plain = append(append(plain, 6), ip.AsSlice()...)
		default:
			continue
		}
		plain = binary.BigEndian.AppendUint16(plain, a.Port())
	}
	return s.aead.Seal(b, b, plain[:plainSize], s.tag[:]), nil
}

// open returns the addresses in a text; false: the other side of this share
// didn't make it. A link-local address of it has no zone.
func (s sealer) open(text []byte) (all []netip.AddrPort, ok bool) {
	if len(text) != textSize {
		return nil, false
	}
	nonce, sealed := text[:chacha20poly1305.NonceSizeX], text[chacha20poly1305.NonceSizeX:]
	plain, err := s.aead.Open(nil, nonce, sealed, s.tag[:])
	if err != nil {
		return nil, false
	}
	return parseAddresses(plain)
}

// parseAddresses reads addresses up to the padding, which is all zero.
func parseAddresses(b []byte) (all []netip.AddrPort, ok bool) {
	for len(b) > 0 && b[0] != 0 {
		n := map[byte]int{4: 4, 6: 16}[b[0]]
		if n == 0 || len(b) < 1+n+2 {
			return nil, false
		}
		ip, _ := netip.AddrFromSlice(b[1 : 1+n])
		port := binary.BigEndian.Uint16(b[1+n:])
		if port == 0 || ip.Is4In6() || ip.IsUnspecified() || ip.IsMulticast() {
			return nil, false
		}
		all = append(all, netip.AddrPortFrom(ip, port))
		b = b[1+n+2:]
	}
	for _, pad := range b {
		if pad != 0 {
			return nil, false
		}
	}
	return all, true
}

// inRoom reports whether an address is another's on one of these networks of an
// interface. Whoever holds the link can put any address into a text; what is dialled
// must not leave the room, nor go to all in it.
func inRoom(ip netip.Addr, nets []net.Addr) bool {
	if ip.Is6() && ip.IsLinkLocalUnicast() {
		return true // it can't leave it
	}
	for _, n := range nets {
		if n, ok := n.(*net.IPNet); ok && n.Contains(ip.AsSlice()) && !toAll(ip, n) {
			return true
		}
	}
	return false
}

// toAll reports whether an IPv4 network takes an address for all of its devices: the
// last one, and by an older custom the first (RFC 1122, section 3.3.6).
func toAll(ip netip.Addr, n *net.IPNet) bool {
	ones, bits := n.Mask.Size()
	if !ip.Is4() || bits-ones < 2 {
		return false
	}
	host := binary.BigEndian.Uint32(ip.AsSlice()) & (1<<(bits-ones) - 1)
	return host == 0 || host == 1<<(bits-ones)-1
}
