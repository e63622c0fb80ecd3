//go:build linux

package main

import (
	"encoding/binary"

	"github.com/sparekey/sparekey/simulations/wire"
)

// opaque returns what datagrams carry beyond what their protocols prescribe, piece
// by piece: only that can tell one device or share from another. Left out is
//
//   - of DNS (RFC 1035): the header, types, classes, lifetimes and lengths, and the
//     labels "_udp" and "local";
//   - of QUIC (RFC 9000, section 17): the first byte, the version and lengths.
//
// A datagram that isn't read as one of them to its end is opaque altogether.
// Ethernet's and IP's addresses lie below: they are the network's, and any
// neighbour sees them.
func opaque(frames []wire.Frame) (all [][]byte) {
	for _, f := range frames {
		d, ok := f.UDP()
		if !ok || len(d.Payload) == 0 {
			continue
		}
		pieces, ok := quicPieces(d.Payload)
		if d.From.Port() == mdnsPort || d.To.Port() == mdnsPort {
			pieces, ok = dnsPieces(d.Payload)
		}
		if !ok {
			pieces = [][]byte{d.Payload}
		}
		all = append(all, pieces...)
	}
	return all
}

const mdnsPort = 5353

// dnsPieces reads a DNS message: RFC 1035, section 4.1.
func dnsPieces(b []byte) (pieces [][]byte, ok bool) {
	q := reader{b: b, ok: true}
	q.take(4)
	questions := q.number()
	records := q.number() + q.number() + q.number()
	for n := 0; n < questions+records && q.ok; n++ {
		pieces = append(pieces, q.labels()...)
		q.take(4) // type and class
		if n >= questions {
			q.take(4) // lifetime
			pieces = append(pieces, q.take(q.number()))
		}
	}
	return pieces, q.ok && len(q.b) == 0
}

// quicPieces reads a datagram of QUIC packets.
func quicPieces(b []byte) (pieces [][]byte, ok bool) {
	for len(b) > 0 {
		if b[0]&0x40 == 0 {
			return nil, false
		}
		if b[0]&0x80 == 0 { // a short header: the connection's id, and what is encrypted
			return append(pieces, b[1:]), true
		}
		q := reader{b: b[1:], ok: true}
		version := binary.BigEndian.Uint32(append(q.take(4), 0, 0, 0, 0))
		some := [][]byte{q.take(q.byte()), q.take(q.byte())} // ids of the destination and the source
		switch kind := b[0] & 0x30; {
		case version != 1 || kind == 0x30:
			return nil, false
		case kind == 0:
			some = append(some, q.take(q.varint())) // a token
		}
		some = append(some, q.take(q.varint()))
		if !q.ok {
			return nil, false
		}
		pieces, b = append(pieces, some...), q.b
	}
	return pieces, true
}

// A reader reads fields until one isn't there.
type reader struct {
	b  []byte
	ok bool
}

func (r *reader) take(n int) []byte {
	if r.ok = r.ok && n <= len(r.b); !r.ok {
		return nil
	}
	field := r.b[:n:n]
	r.b = r.b[n:]
	return field
}

// labels reads a name, and returns the labels that nobody prescribes. A pointer
// ends it: it leads to labels that came before.
func (r *reader) labels() (all [][]byte) {
	for {
		switch n := r.byte(); {
		case n == 0:
			return all
		case n > 63:
			r.take(1)
			return all
		default:
			if l := r.take(n); string(l) != "_udp" && string(l) != "local" {
				all = append(all, l)
			}
		}
	}
}

// number reads two bytes.
func (r *reader) number() int { return r.byte()<<8 | r.byte() }

func (r *reader) byte() int {
	if b := r.take(1); r.ok {
		return int(b[0])
	}
	return 0
}

// varint reads a variable-length integer (RFC 9000, section 16). Those of more
// than four bytes are refused: no packet is so long.
func (r *reader) varint() (n int) {
	first := r.byte()
	more := []int{0, 1, 3, -1}[first>>6]
	if more < 0 {
		r.ok = false
		return 0
	}
	n = first & 0x3f
	for _, c := range r.take(more) {
		n = n<<8 | int(c)
	}
	return n
}
