package interop

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base32"
	"encoding/binary"
	"errors"
	"net/netip"
	"slices"

	"golang.org/x/crypto/chacha20poly1305"
)

// discovery/lan/PROTOCOL.md, sections 1, 3 and 6: tags, texts, proofs.

// A role is a side of a share, by the byte that a proof has for it.
type role byte

const (
	theSender role = iota + 1
	theReceiver
)

func (r role) String() string { return []string{"", "sender", "receiver"}[r] }

func (r role) other() role { return theSender + theReceiver - r }

// mac is the page's HMAC(k, m).
func mac(key []byte, parts ...[]byte) []byte {
	h := hmac.New(sha256.New, key)
	for _, p := range parts {
		h.Write(p)
	}
	return h.Sum(nil)
}

// A tag is what a side of a share is asked for.
type tag [9]byte

func (k linkKeys) tag(r role) tag {
	return tag(mac(k.topic, []byte("sparekey v1 lan "+r.String()))[:9])
}

var tagText = base32.NewEncoding("abcdefghijklmnopqrstuvwxyz234567").WithPadding(base32.NoPadding)

// String is the tag's 15 characters, which are also what ALPN asks for.
func (t tag) String() string { return tagText.EncodeToString(t[:]) }

// name is what mDNS asks for.
func (t tag) name() string { return "_" + t.String() + "._udp.local." }

// parseTag reads 15 characters. Of the 75 bits the last 3 are zero.
func parseTag(text string) (tag, error) {
	b, err := tagText.DecodeString(text)
	if err != nil || len(b) != len(tag{}) || tag(b).String() != text {
		return tag{}, errors.New("not a tag")
	}
	return tag(b), nil
}

// The text: a nonce and the sealed addresses.
const (
	nonceSize   = 24
	addressSize = 128
	textSize    = nonceSize + addressSize + 16
)

func (k linkKeys) addressKey(r role) []byte {
	return mac(k.path, []byte("sparekey v1 lan addresses "+r.String()))
}

// sealText seals the addresses of the side r: at most 2 of IPv4 and 6 of IPv6.
func (k linkKeys) sealText(r role, nonce []byte, addrs []netip.AddrPort) []byte {
	plain := make([]byte, 0, addressSize)
	for _, a := range addrs {
		kind := byte(6)
		if a.Addr().Is4() {
			kind = 4
		}
		plain = append(append(plain, kind), a.Addr().AsSlice()...)
		plain = binary.BigEndian.AppendUint16(plain, a.Port())
	}
	return k.sealPlain(r, nonce, plain[:addressSize])
}

func (k linkKeys) sealPlain(r role, nonce, plain []byte) []byte {
	t := k.tag(r)
	return must(chacha20poly1305.NewX(k.addressKey(r))).Seal(slices.Clone(nonce), nonce, plain, t[:])
}

// openText opens a text of the side r.
func (k linkKeys) openText(r role, text []byte) ([]netip.AddrPort, error) {
	if len(text) != textSize {
		return nil, errors.New("a text has 168 bytes")
	}
	t := k.tag(r)
	plain, err := must(chacha20poly1305.NewX(k.addressKey(r))).Open(nil, text[:nonceSize], text[nonceSize:], t[:])
	if err != nil {
		return nil, err
	}
	return readAddresses(plain)
}

var errAddress = errors.New("an address that makes the text void")

func readAddresses(plain []byte) (all []netip.AddrPort, err error) {
	for len(plain) > 0 && plain[0] != 0 {
		size := map[byte]int{4: 4, 6: 16}[plain[0]]
		if size == 0 || len(plain) < 1+size+2 {
			return nil, errAddress
		}
		addr, _ := netip.AddrFromSlice(plain[1 : 1+size])
		port := binary.BigEndian.Uint16(plain[1+size:])
		if addr.IsUnspecified() || addr.IsMulticast() || addr.Is4In6() || port == 0 {
			return nil, errAddress
		}
		all, plain = append(all, netip.AddrPortFrom(addr, port)), plain[1+size+2:]
	}
	if slices.ContainsFunc(plain, func(b byte) bool { return b != 0 }) {
		return nil, errAddress
	}
	return all, nil
}

// An end is the part of a connection that proves.
type end byte

const (
	dialled end = iota + 1
	listened
)

// proof shows that the end, which is the side r, holds the link and is an end of
// the connection with this exporter.
func (k linkKeys) proof(e end, r role, exporter []byte) []byte {
	return mac(k.path, []byte("sparekey v1 quic proof"), []byte{byte(e), byte(r)}, exporter)
}
