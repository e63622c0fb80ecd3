package share

import (
	"errors"
	"fmt"
	"unicode/utf8"

	"github.com/fxamacker/cbor/v2"
)

// A shape gives the type of each key that is known in a map. The library alone
// is lenient: it takes an array of numbers for bytes, cuts or fills up a proof of
// another length, takes null for anything, passes over keys that are texts, and
// doesn't look at the texts of keys that are unknown.
// Two devices must not read one body in two ways, so these are refused.
type shape map[uint64]kind

// A kind is a value's major type (RFC 8949, section 3.1).
type kind byte

const (
	unsigned kind = 0
	bytesOf  kind = 2
	textOf   kind = 3
	mapOf    kind = 5
	boolOf   kind = 7 // and of what has this major type, false and true alone
)

var (
	bodyShape    = shape{1: unsigned, 2: bytesOf, 3: textOf, 4: bytesOf, 5: boolOf, 6: boolOf, 7: textOf, 8: mapOf}
	proofShape   = shape{1: bytesOf, 2: bytesOf}
	previewShape = shape{1: textOf, 2: textOf, 3: textOf, 4: textOf, 5: unsigned, 6: unsigned, 7: textOf}
)

// read returns the values of a map that has this shape, still encoded.
func (s shape) read(b []byte) (map[uint64]cbor.RawMessage, error) {
	var m map[uint64]cbor.RawMessage
	if err := decode(b, &m); err != nil {
		return nil, err
	}
	if !utf8Texts(b) {
		return nil, errors.New("a text isn't UTF-8")
	}
	for key := range m {
		if key > maxKey {
			return nil, fmt.Errorf("key %d is too large", key)
		}
	}
	for key, want := range s {
		raw, ok := m[key]
		if ok && (kind(raw[0]>>5) != want || want == boolOf && raw[0] != cborFalse && raw[0] != cborTrue) {
			return nil, fmt.Errorf("key %d has a value of another type", key)
		}
	}
	return m, nil
}

// maxKey is the largest key that a signed number of 64 bits holds: many readers
// have no other for the keys of a map.
const maxKey = 1<<63 - 1

// utf8Texts reports whether all texts are UTF-8, however deep they stand. The
// bytes are well-formed, without tags and indefinite lengths, so the items stand
// one behind the other, and what holds them can be passed over.
func utf8Texts(b []byte) bool {
	for len(b) > 0 {
		major, info := kind(b[0]>>5), b[0]&31
		size, n := 0, uint64(info)
		if info >= 24 {
			size, n = 1<<(info-24), 0
		}
		for _, x := range b[1 : 1+size] {
			n = n<<8 | uint64(x)
		}
		b = b[1+size:]
		if major != textOf && major != bytesOf {
			continue
		}
		if major == textOf && !utf8.Valid(b[:n]) {
			return false
		}
		b = b[n:]
	}
	return true
}

// The one byte of each truth value.
const cborFalse, cborTrue = 0xf4, 0xf5

// checkBody checks a body's shape and its proof's.
func checkBody(b []byte) error {
	m, err := bodyShape.read(b)
	if err != nil {
		return err
	}
	raw, ok := m[8]
	if !ok {
		return nil
	}
	proof, err := proofShape.read(raw)
	if err != nil {
		return err
	}
	for key := range proofShape {
		var half []byte
		if raw, ok := proof[key]; !ok || decode(raw, &half) != nil || len(half) != 32 {
			return fmt.Errorf("a proof has two halves of 32 bytes")
		}
	}
	return nil
}
