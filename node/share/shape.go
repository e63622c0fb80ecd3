package share

import (
	"fmt"

	"github.com/fxamacker/cbor/v2"
)

// A shape gives the type of each key that is known in a map. The library alone
// is lenient: it takes an array of numbers for bytes, cuts or fills up a proof of
// another length, takes null for anything, and passes over keys that are texts.
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
	for key, want := range s {
		raw, ok := m[key]
		if ok && (kind(raw[0]>>5) != want || want == boolOf && raw[0] != cborFalse && raw[0] != cborTrue) {
			return nil, fmt.Errorf("key %d has a value of another type", key)
		}
	}
	return m, nil
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
