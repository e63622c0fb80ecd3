package noise

import (
	"bytes"

	"golang.org/x/crypto/chacha20poly1305"

	"github.com/sparekey/sparekey/noise/frame"
)

const saltSize = 16

// buckets are the lengths that a plaintext may have once padded.
var buckets = [...]int{256, 1024, 2048, 4096, 16384, 61440}

// bucket returns the padded length of n bytes; n+1 must fit the largest.
func bucket(n int) int {
	for _, b := range buckets {
		if n < b {
			return b
		}
	}
	panic("noise: a plaintext longer than any frame")
}

// isBucket reports whether n is a padded length.
func isBucket(n int) bool {
	for _, b := range buckets {
		if n == b {
			return true
		}
	}
	return false
}

var zeroNonce [chacha20poly1305.NonceSize]byte

// seal returns the frame that holds the concatenated parts of a plaintext:
//
//	0        17        33                                      49+padded
//	+--------+---------+--------------------------------+-----+
//	| header | salt    | AEAD(parts ‖ 0x80 ‖ 0…)        | tag |
//	+--------+---------+--------------------------------+-----+
//
//	frame key = HKDF(key, salt, info = header), nonce 0, ad = header
func seal(key [32]byte, k frame.Kind, c frame.Candidate, seq uint64, salt [saltSize]byte, parts ...[]byte) frame.Frame {
	n := 0
	for _, p := range parts {
		n += len(p)
	}
	padded := bucket(n)
	sealed := make([]byte, saltSize, frame.HeaderSize+frame.SealSize+padded)
	copy(sealed, salt[:])
	f := frame.New(k, c, seq, sealed[:saltSize])
	buf := append(sealed[:0], f...)
	for _, p := range parts {
		buf = append(buf, p...)
	}
	buf = append(buf, 0x80)
	buf = buf[:frame.HeaderSize+saltSize+padded] // fresh memory: the rest is zero
	aead := must(chacha20poly1305.New(frameKey(key, buf)))
	plain := buf[frame.HeaderSize+saltSize:]
	aead.Seal(plain[:0], zeroNonce[:], plain, buf[:frame.HeaderSize])
	return frame.Frame(buf[:len(buf)+chacha20poly1305.Overhead])
}

// frameKey returns the key of the frame whose header and salt b begins with.
func frameKey(key [32]byte, b []byte) []byte {
	salt := b[frame.HeaderSize : frame.HeaderSize+saltSize]
	return derive(key[:], salt, string(b[:frame.HeaderSize]), chacha20poly1305.KeySize)
}

// open returns the plaintext of a parsed frame without its padding.
func open(key [32]byte, f frame.Frame) ([]byte, error) {
	if !isBucket(len(f) - frame.HeaderSize - frame.SealSize) {
		return nil, refuse("the frame's size is none that a frame has")
	}
	aead := must(chacha20poly1305.New(frameKey(key, f)))
	plain, err := aead.Open(nil, zeroNonce[:], f.Sealed()[saltSize:], f.Header())
	if err != nil {
		return nil, refuse("wrong key, or changed on the way")
	}
	return unpad(plain)
}

// unpad strips 0x80 and the zeros behind it. One plaintext has one padding, so
// the smallest size that holds it is the only one taken.
func unpad(b []byte) ([]byte, error) {
	n := len(bytes.TrimRight(b, "\x00")) - 1
	if n < 0 || b[n] != 0x80 || bucket(n) != len(b) {
		return nil, refuse("the padding is malformed")
	}
	return b[:n:n], nil
}

// parse checks a frame from outside and its kind.
func parse(b frame.Frame, k frame.Kind) (frame.Frame, error) {
	f, err := frame.Parse(b)
	if err != nil {
		return nil, refuse(err.Error())
	}
	if f.Kind() != k {
		return nil, refuse("a frame of kind " + f.Kind().String() + " where one of kind " + k.String() + " belongs")
	}
	return f, nil
}
