package interop

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"unicode/utf8"
)

// CBOR (RFC 8949) as far as bodies and previews need it: node/share/PROTOCOL.md, section 3.

// A field is one pair of a map that is to be written; the keys come in order.
type field struct {
	key   uint64
	value any // uint64, []byte, string, bool, []field; what is empty is left out, but numbers
}

// A kept text is written also if it is empty.
type kept string

func encode(fields []field) []byte {
	fields = slices.DeleteFunc(slices.Clone(fields), func(f field) bool { return absent(f.value) })
	b := head(nil, 5, uint64(len(fields)))
	for _, f := range fields {
		b = encodeValue(head(b, 0, f.key), f.value)
	}
	return b
}

func absent(v any) bool {
	switch v := v.(type) {
	case []byte:
		return len(v) == 0
	case string:
		return v == ""
	case bool:
		return !v
	case []field:
		return v == nil
	}
	return false
}

func encodeValue(b []byte, v any) []byte {
	switch v := v.(type) {
	case uint64:
		return head(b, 0, v)
	case []byte:
		return append(head(b, 2, uint64(len(v))), v...)
	case string:
		return append(head(b, 3, uint64(len(v))), v...)
	case kept:
		return append(head(b, 3, uint64(len(v))), v...)
	case bool:
		return append(b, 0xf5) // a false is left out
	case []field:
		return append(b, encode(v)...)
	}
	panic(fmt.Sprintf("no CBOR for %T", v))
}

// head writes a major type and its number in the shortest form.
func head(b []byte, major byte, n uint64) []byte {
	major <<= 5
	switch {
	case n < 24:
		return append(b, major|byte(n))
	case n < 1<<8:
		return append(b, major|24, byte(n))
	case n < 1<<16:
		return binary.BigEndian.AppendUint16(append(b, major|25), uint16(n))
	case n < 1<<32:
		return binary.BigEndian.AppendUint32(append(b, major|26), uint32(n))
	}
	return binary.BigEndian.AppendUint64(append(b, major|27), n)
}

// Values that are read, beside uint64, []byte, string and bool.
type (
	cborMap struct {
		pairs map[uint64]any
		err   error // keys that are doubled, no unsigned numbers, or too large: told only if the map is used
	}
	other struct{} // null, negative numbers, floats, arrays: no key of ours has one
)

var errCBOR = errors.New("not the CBOR of a body")

// decodeMap reads exactly one map.
func decodeMap(b []byte) (cborMap, error) {
	v, rest, err := decodeValue(b, 1)
	m, ok := v.(cborMap)
	if err != nil || !ok || len(rest) > 0 {
		return cborMap{}, errCBOR
	}
	return m, m.err
}

// number reads a head's number; indefinite lengths are refused.
func number(b []byte) (major, info byte, n uint64, rest []byte, err error) {
	if len(b) == 0 {
		return 0, 0, 0, nil, errCBOR
	}
	major, info, b = b[0]>>5, b[0]&31, b[1:]
	size := 0
	switch {
	case info < 24:
		return major, info, uint64(info), b, nil
	case info > 27:
		return 0, 0, 0, nil, errCBOR
	default:
		size = 1 << (info - 24)
	}
	if len(b) < size {
		return 0, 0, 0, nil, errCBOR
	}
	for _, x := range b[:size] {
		n = n<<8 | uint64(x)
	}
	return major, info, n, b[size:], nil
}

// Bounds of all that is read.
const (
	maxDepth    = 8
	maxElements = 4096
	maxPairs    = 1024
)

func decodeValue(b []byte, depth int) (any, []byte, error) {
	major, info, n, b, err := number(b)
	if err != nil {
		return nil, nil, err
	}
	switch major {
	case 0:
		return n, b, nil
	case 1:
		return other{}, b, nil
	case 2, 3:
		if n > uint64(len(b)) || major == 3 && !utf8.Valid(b[:n]) {
			return nil, nil, errCBOR
		}
		if major == 3 {
			return string(b[:n]), b[n:], nil
		}
		return b[:n:n], b[n:], nil
	case 4, 5:
		return decodeItems(major == 5, n, b, depth)
	case 7:
		return simple(info, n, b)
	}
	return nil, nil, errCBOR // a tag
}

func decodeItems(isMap bool, n uint64, b []byte, depth int) (any, []byte, error) {
	if depth > maxDepth || isMap && n > maxPairs || n > maxElements {
		return nil, nil, errCBOR
	}
	m := cborMap{pairs: map[uint64]any{}}
	for range n {
		var k, v any
		var err error
		if isMap {
			if k, b, err = decodeValue(b, depth+1); err != nil {
				return nil, nil, err
			}
		}
		if v, b, err = decodeValue(b, depth+1); err != nil {
			return nil, nil, err
		}
		key, ok := k.(uint64)
		if _, twice := m.pairs[key]; !ok || twice || key >= 1<<63 {
			m.err = errCBOR
		}
		m.pairs[key] = v
	}
	if !isMap {
		return other{}, b, nil
	}
	return m, b, nil
}

func simple(info byte, n uint64, b []byte) (any, []byte, error) {
	switch {
	case info == 20 || info == 21:
		return info == 21, b, nil
	case info == 24 && n < 32:
		return nil, nil, errCBOR
	}
	return other{}, b, nil
}

// take moves a key's value to a variable of its type. An absent one leaves it.
func take[T any](m cborMap, key uint64, to *T) error {
	v, there := m.pairs[key]
	if !there {
		return nil
	}
	x, ok := v.(T)
	if !ok {
		return fmt.Errorf("%w: key %d has a value of another type", errCBOR, key)
	}
	*to = x
	return nil
}
