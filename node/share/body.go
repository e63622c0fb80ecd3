package share

import (
	"fmt"
	"strings"

	"github.com/fxamacker/cbor/v2"

	"github.com/sparekey/sparekey/noise"
	"github.com/sparekey/sparekey/noise/frame"
)

// A body is what a data frame carries: CBOR (CoreDet, RFC 8949 section 4.2.1),
// a map with integer keys. Key 1 says which body it is; a receiver of an unknown
// one counts the frame and goes on. Unknown keys are ignored, and so are those
// that the word doesn't use.
//
//	key  type      in              meaning
//	1    unsigned  all             the word, below
//	2    bytes(32) claim           SHA-256 of the receiver's device claim
//	3    text      claim           what the receiver's person calls the device,
//	                               at most 64 bytes; absent if not told
//	4    bytes     message         a piece of a dialogue's message
//	5    bool      message         more pieces of this message follow
//	6    bool      message         this message can make the credential exist
//	7    text      decline …       the reason, at most 200 bytes
//	8    map       the sender's    the proof (h, over): 1 h bytes(32),
//	               ends            2 over bytes(32)
//
//	word            from      meaning
//	1 claim         receiver  its first data frame: I accept
//	2 message       both      the format's own, in pieces of at most maxPiece bytes
//	3 provisioned   receiver  the credential is in its place
//	4 decline       receiver  I don't take it, with the reason
//	5 relinquish    receiver  I hand my claim back, and will use no grant
//	6 recall        sender    please don't provision, answer with decline; or say provisioned
//	7 done          sender    an end: handed over
//	8 cancelled     sender    an end, before any grant
//	9 declined      sender    an end: I have heard your decline
//	10 expired      sender    an end: the time was up before any grant
type body struct {
	Word   word         `cbor:"1,keyasint"`
	Claim  []byte       `cbor:"2,keyasint,omitempty"`
	Label  string       `cbor:"3,keyasint,omitempty"`
	Piece  []byte       `cbor:"4,keyasint,omitempty"`
	More   bool         `cbor:"5,keyasint,omitempty"`
	Grants bool         `cbor:"6,keyasint,omitempty"`
	Reason string       `cbor:"7,keyasint,omitempty"`
	Proof  *frame.Proof `cbor:"8,keyasint,omitempty"`
}

type word uint

const (
	wordClaim word = iota + 1
	wordMessage
	wordProvisioned
	wordDecline
	wordRelinquish
	wordRecall
	wordDone
	wordCancelled
	wordDeclined
	wordExpired
)

// Bounds of what a dialogue may carry.
const (
	maxPiece   = noise.MaxBody - 64         // leaves room for the body's other keys
	midPiece   = maxPiece - (61440 - 16384) // fills a smaller step of the padding
	smallPiece = maxPiece - (61440 - 4096)

	// How many of the smaller ones a long message begins with.
	smallPieces = 9
	midPieces   = 12

	MaxMessage = 1 << 20 // bytes of one message
	maxInbox   = 64      // messages waiting for the format
	maxLabel   = 64
	maxReason  = 200
)

// decodeBody reads an authenticated body. What breaks a bound is an error: it
// comes from the other device itself, and is treated as a word unknown.
func decodeBody(b []byte) (body, error) {
	var v body
	if err := checkBody(b); err != nil {
		return body{}, err
	}
	if err := decode(b, &v); err != nil {
		return body{}, err
	}
	if len(v.Label) > maxLabel || len(v.Reason) > maxReason {
		return body{}, fmt.Errorf("a text in the body is too long")
	}
	if v.Word == wordClaim && len(v.Claim) != 32 {
		return body{}, fmt.Errorf("a claim without its device claim's hash")
	}
	return v.used(), nil
}

// used drops what the word has no use for: it has been checked, and means nothing.
func (b body) used() body {
	switch b.Word {
	case wordClaim:
		return body{Word: b.Word, Claim: b.Claim, Label: b.Label}
	case wordMessage:
		return body{Word: b.Word, Piece: b.Piece, More: b.More, Grants: b.Grants}
	case wordDecline, wordRecall:
		return body{Word: b.Word, Reason: b.Reason}
	case wordDone, wordCancelled, wordDeclined, wordExpired:
		return body{Word: b.Word, Reason: b.Reason, Proof: b.Proof}
	}
	return body{Word: b.Word}
}

// pieces splits a message over bodies. The first pieces of a long one are small: a
// relay passes each on when it has all of it, and what comes first over a fresh
// connection is little, and then more and more.
func pieces(msg []byte, grants bool) []body {
	long := len(msg) > midPiece
	var out []body
	for {
		n := min(len(msg), pieceSize(len(out), long))
		out = append(out, body{Word: wordMessage, Piece: msg[:n], More: n < len(msg), Grants: grants})
		if msg = msg[n:]; len(msg) == 0 {
			return out
		}
	}
}

// pieceSize returns how large a message's i-th piece may be.
func pieceSize(i int, long bool) int {
	switch {
	case long && i < smallPieces:
		return smallPiece
	case long && i < smallPieces+midPieces:
		return midPiece
	}
	return maxPiece
}

// clip makes of what a person or a system says a text that a body and a saved state
// can hold: UTF-8, else neither the other side nor this device could read it again,
// of at most max bytes, without cutting a character.
func clip(s string, max int) string {
	s = strings.ToValidUTF8(s, "\uFFFD")
	for len(s) > max {
		cut := max
		for cut > 0 && s[cut]&0xC0 == 0x80 {
			cut--
		}
		s = s[:cut]
	}
	return s
}

var (
	encMode = must(cbor.CoreDetEncOptions().EncMode())
	decMode = must(cbor.DecOptions{
		DupMapKey: cbor.DupMapKeyEnforcedAPF, IndefLength: cbor.IndefLengthForbidden, TagsMd: cbor.TagsForbidden,
		MaxNestedLevels: 8, MaxArrayElements: 1 << 12, MaxMapPairs: 1 << 10,
	}.DecMode())
)

func must[T any](v T, err error) T {
	if err != nil {
		panic(err) // options that are constant: a mistake here shows in every run
	}
	return v
}

// encode can't fail on this package's types.
func encode(v any) []byte { return must(encMode.Marshal(v)) }

func decode(b []byte, v any) error { return decMode.Unmarshal(b, v) }
