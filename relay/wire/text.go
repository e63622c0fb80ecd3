package wire

import (
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
)

// What is wrong with a request that can't be read. Every error of a parser here
// wraps one of them.
var (
	ErrMalformed  = errors.New("malformed")
	ErrOutOfRange = errors.New("out of range")
)

// Headers and media types.
const (
	HeaderClaim   = "Mailbox-Device-Claim" // with the link capability: the receiver's device claim
	HeaderExpires = "Mailbox-Expires-In"   // of answers: whole seconds the mailbox has left

	TypeFrames  = "application/vnd.sparekey.frames"
	TypeJSON    = "application/json"
	TypeProblem = "application/problem+json"
)

// strict refuses spellings that EncodeToString never gives.
var strict = base64.RawURLEncoding.Strict()

// Text returns bytes as they stand in paths, headers and bodies.
func Text(b []byte) string { return strict.EncodeToString(b) }

// ParseText fills b from its text; false if s isn't exactly b's text.
func ParseText(b []byte, s string) bool {
	// The length rules out line breaks, which the decoder would pass over.
	if len(s) != strict.EncodedLen(len(b)) {
		return false
	}
	n, err := strict.Decode(b, []byte(s))
	return err == nil && n == len(b)
}

// ParseBytes returns the bytes of a text of no fixed length.
func ParseBytes(s string) ([]byte, bool) {
	b := make([]byte, strict.DecodedLen(len(s)))
	return b, ParseText(b, s)
}

// Bearer returns the Authorization header's value for a capability or device claim.
func Bearer(token [32]byte) string { return "Bearer " + Text(token[:]) }

// ParseBearer reads an Authorization header. The scheme's case is free (RFC 9110, section 11.1).
func ParseBearer(value string) (token [32]byte, ok bool) {
	scheme, text, found := strings.Cut(value, " ")
	ok = found && strings.EqualFold(scheme, "Bearer") && ParseText(token[:], text)
	return token, ok
}

// ParseNumber reads a number from 0 to MaxNumber: digits, no sign, no leading zero.
func ParseNumber(s string) (uint64, error) {
	if s == "" || len(s) > 1 && s[0] == '0' {
		return 0, fmt.Errorf("%w: a number is written in digits, without leading zeros", ErrMalformed)
	}
	var n uint64
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return 0, fmt.Errorf("%w: a number is written in digits alone", ErrMalformed)
		}
		if n <= MaxNumber {
			n = n*10 + uint64(s[i]-'0')
		}
	}
	if n > MaxNumber {
		return 0, fmt.Errorf("%w: a number is at most %d", ErrOutOfRange, uint64(MaxNumber))
	}
	return n, nil
}
