package share_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/fxamacker/cbor/v2"

	"github.com/sparekey/sparekey/node/share"
	"github.com/sparekey/sparekey/noise/frame"
	"github.com/sparekey/sparekey/vectortest"
)

// vectors is testdata/vectors.json; PROTOCOL.md tells how to read it.
type vectors struct {
	About    string       `json:"about"`
	Bodies   []vectorCase `json:"bodies"`
	Previews []vectorCase `json:"previews"`
	Messages []vectorCut  `json:"messages"`
}

// A vectorCase is a body or a preview to read, and to write where it is one's own encoding.
type vectorCase struct {
	Name    string         `json:"name"`
	CBOR    string         `json:"cbor"`
	Exact   bool           `json:"exact,omitempty"` // what a writer writes
	Body    *vectorBody    `json:"body,omitempty"`
	Preview *vectorPreview `json:"preview,omitempty"`
	Refuse  string         `json:"refuse,omitempty"`
}

type vectorBody struct {
	Word   string `json:"word"`
	Number uint64 `json:"number"`
	Claim  string `json:"claim,omitempty"`
	Label  string `json:"label,omitempty"`
	Piece  string `json:"piece,omitempty"`
	More   bool   `json:"more,omitempty"`
	Grants bool   `json:"grants,omitempty"`
	Reason string `json:"reason,omitempty"`
	H      string `json:"h,omitempty"`
	Over   string `json:"over,omitempty"`
}

type vectorPreview struct {
	Format string `json:"format"`
	Title  string `json:"title"`
	Note   string `json:"note,omitempty"`
	Issuer string `json:"issuer,omitempty"`
	Life   uint32 `json:"life"`
	Grace  uint32 `json:"grace"`
	Factor string `json:"factor,omitempty"`
}

// A vectorCut is a message of so many zero bytes, and the SHA-256 of the bodies it is cut into.
type vectorCut struct {
	Length int      `json:"length"`
	Grants bool     `json:"grants,omitempty"`
	SHA256 []string `json:"sha256"`
}

// words are the names of PROTOCOL.md, by their numbers.
var words = []string{1: "claim", "message", "provisioned", "decline", "relinquish", "recall", "done", "cancelled", "declined", "expired"}

const vectorsAbout = "Test vectors of a share's bodies and preview, version 1. node/share/PROTOCOL.md tells how to read them. " +
	"Made by: go test ./node/share -run TestVectors -update"

// TestVectors makes the vectors anew, compares them with the file, and does what
// the file says.
func TestVectors(t *testing.T) {
	read := vectortest.Published(t, makeVectors())
	for _, c := range read.Bodies {
		c.run(t, "body", c.readBody)
	}
	for _, c := range read.Previews {
		c.run(t, "preview", c.readPreview)
	}
	vectortest.MostAreRefused(t, slices.Concat(read.Bodies, read.Previews), vectorCase.refused)
}

func (c vectorCase) refused() bool { return c.Refuse != "" }

func (c vectorCase) run(t *testing.T, what string, read func(*testing.T) error) {
	t.Run(what+"/"+c.Name, func(t *testing.T) {
		switch err := read(t); {
		case c.Refuse != "" && err == nil:
			t.Errorf("this must be refused: %s", c.Refuse)
		case c.Refuse == "" && err != nil:
			t.Errorf("this must be taken: %v", err)
		}
	})
}

func (c vectorCase) readBody(t *testing.T) error {
	raw, _ := hex.DecodeString(c.CBOR)
	got, err := share.DecodeBody(raw)
	if err == nil && (got.Word == 0 || int(got.Word) >= len(words)) {
		err = errUnknownWord
	}
	if err != nil || c.Body == nil {
		return err
	}
	if is := sayBody(got); is != *c.Body {
		t.Errorf("read as %+v", is)
	}
	if c.Exact != bytes.Equal(share.EncodeBody(got), raw) {
		t.Errorf("written as %x", share.EncodeBody(got))
	}
	return nil
}

func (c vectorCase) readPreview(t *testing.T) error {
	raw, _ := hex.DecodeString(c.CBOR)
	got, err := share.DecodePreview(raw)
	if err != nil || c.Preview == nil {
		return err
	}
	if vectorPreview(got) != *c.Preview {
		t.Errorf("read as %+v", got)
	}
	if got.Factor != "" {
		return nil // nobody writes it
	}
	if again, err := got.Encode(); err != nil || c.Exact != bytes.Equal(again, raw) {
		t.Errorf("written as %x, %v", again, err)
	}
	return nil
}

var errUnknownWord = errors.New("an unknown word")

func sayBody(b share.Body) vectorBody {
	v := vectorBody{
		Word: words[b.Word], Number: uint64(b.Word), Claim: hex.EncodeToString(b.Claim), Label: b.Label,
		Piece: hex.EncodeToString(b.Piece), More: b.More, Grants: b.Grants, Reason: b.Reason,
	}
	if b.Proof != nil {
		v.H, v.Over = hex.EncodeToString(b.Proof.H[:]), hex.EncodeToString(b.Proof.Over[:])
	}
	return v
}

func makeVectors() vectors {
	v := vectors{About: vectorsAbout}
	v.goodBodies()
	v.badBodies()
	v.previews()
	for _, c := range []struct {
		n      int
		grants bool
	}{{0, true}, {1, false}, {16311, true}, {16312, true}, {9*4023 + 12*16311, false}, {9*4023 + 12*16311 + 61367 + 1, true}, {share.MaxMessage, true}} {
		cut := vectorCut{Length: c.n, Grants: c.grants}
		for _, b := range share.Pieces(make([]byte, c.n), c.grants) {
			sum := sha256.Sum256(share.EncodeBody(b))
			cut.SHA256 = append(cut.SHA256, hex.EncodeToString(sum[:]))
		}
		v.Messages = append(v.Messages, cut)
	}
	return v
}

func (v *vectors) goodBodies() {
	type m = map[any]any
	proof := &frame.Proof{H: [32]byte(vectortest.Counted(0x20, 32)), Over: [32]byte(vectortest.Counted(0x60, 32))}
	add := func(name string, b share.Body) {
		said := sayBody(b)
		v.Bodies = append(v.Bodies, vectorCase{Name: name, CBOR: hex.EncodeToString(share.EncodeBody(b)), Exact: true, Body: &said})
	}
	add("claim", share.Body{Word: 1, Claim: vectortest.Counted(0, 32)})
	add("claim with a label", share.Body{Word: 1, Claim: vectortest.Counted(0, 32), Label: "bens Läptop"})
	add("message", share.Body{Word: 2, Piece: []byte("hello")})
	add("message of no bytes", share.Body{Word: 2})
	add("message that grants, more follows", share.Body{Word: 2, Piece: []byte("half a"), More: true, Grants: true})
	add("provisioned", share.Body{Word: 3})
	add("decline", share.Body{Word: 4, Reason: "no room for it"})
	add("decline with the longest reason", share.Body{Word: 4, Reason: strings.Repeat("é", 100)})
	add("relinquish", share.Body{Word: 5})
	add("recall", share.Body{Word: 6, Reason: "the wrong device"})
	for i, name := range words[7:] {
		b := share.Body{Word: 7, Proof: proof, Reason: "why"}
		for range i {
			b.Word++
		}
		add(name, b)
	}
	lenient := func(name, cbor string, b share.Body) {
		said := sayBody(b)
		v.Bodies = append(v.Bodies, vectorCase{Name: name, CBOR: cbor, Body: &said})
	}
	lenient("a number that isn't in its shortest form", "a1011803", share.Body{Word: 3})
	lenient("keys in another order", "a20761780104", share.Body{Word: 4, Reason: "x"})
	lenient("false, written out", "a2010305f4", share.Body{Word: 3})
	lenient("provisioned, with a reason, which is none of its keys", "a20103076178", share.Body{Word: 3})
	lenient("a claim with a piece and a proof", raw(m{1: 1, 2: vectortest.Counted(0, 32), 4: []byte("x"), 5: true, 6: true, 8: m{1: proof.H[:], 2: proof.Over[:]}}),
		share.Body{Word: 1, Claim: vectortest.Counted(0, 32)})
	lenient("a message with a hash of 31 bytes and a reason", raw(m{1: 2, 2: vectortest.Counted(0, 31), 4: []byte("hello"), 7: "x"}), share.Body{Word: 2, Piece: []byte("hello")})
	lenient("relinquish with a reason", raw(m{1: 5, 7: "x"}), share.Body{Word: 5})
	lenient("the largest key", "a201031b7fffffffffffffff00", share.Body{Word: 3})
	lenient("a key of 2^63 in an unknown key", "a201031863a11b800000000000000000", share.Body{Word: 3})
	lenient("bytes that are no UTF-8 in an unknown key", "a20103186341ff", share.Body{Word: 3})
	lenient("an unknown key", "a201031863f90000", share.Body{Word: 3})
	lenient("an unknown key, nested as deep as may be", "a2010318638181818181818100", share.Body{Word: 3})
	lenient("an unknown key that holds a map with a key twice", "a201031863a201000100", share.Body{Word: 3})
}

// raw writes any map in the deterministic encoding.
func raw(m map[any]any) string {
	mode, err := cbor.CoreDetEncOptions().EncMode()
	if err != nil {
		panic(err)
	}
	b, err := mode.Marshal(m)
	if err != nil {
		panic(err)
	}
	return hex.EncodeToString(b)
}

func (v *vectors) badBodies() {
	type m = map[any]any
	h, over, claim := vectortest.Counted(0x20, 32), vectortest.Counted(0x60, 32), vectortest.Counted(0, 32)
	for _, c := range [][3]string{
		{"nothing", "", "no CBOR"},
		{"something behind it", "a1010300", "a body is one map and nothing else"},
		{"cut", "a2010307", "a value is missing"},
		{"an array", "8103", "a body is a map"},
		{"null", "f6", "a body is a map"},
		{"no word", "a0", "key 1 is missing"},
		{"word 0", "a10100", "words begin at 1"},
		{"word 11", "a1010b", "the last word is 10"},
		{"word 2^32 + 3", "a1011b0000000100000003", "words are compared whole"},
		{"a word in text", "a1016133", "key 1 is an unsigned number"},
		{"a word as a float", "a101f94200", "key 1 is an unsigned number"},
		{"a negative word", "a10122", "key 1 is an unsigned number"},
		{"a null word", "a101f6", "null is no number"},
		{"a key twice", "a201030104", "doubled keys are refused"},
		{"a key twice, once in a longer form", "a20103180104", "doubled keys are refused"},
		{"an unknown key twice", "a30103186300186300", "doubled keys are refused"},
		{"a key in text", "a20103616100", "keys are unsigned numbers"},
		{"a negative key", "a201032000", "keys are unsigned numbers"},
		{"a key in bytes", "a20103410100", "keys are unsigned numbers"},
		{"an indefinite map", "bf0103ff", "indefinite lengths are refused"},
		{"indefinite bytes", "a20102045f4101ff", "indefinite lengths are refused"},
		{"an indefinite array in an unknown key", "a2010318639f00ff", "indefinite lengths are refused"},
		{"a tag", "a101c103", "tags are refused"},
		{"a tag in an unknown key", "a201031863c100", "tags are refused"},
		{"nested too deep", "a201031863818181818181818100", "8 levels of maps and arrays at most"},
		{"a simple value in two bytes that fits one", "a201031863f800", "not well-formed, RFC 8949 section 3.3"},
		{"text that isn't UTF-8", "a201040761ff", "a text is UTF-8"},
		{"text that isn't UTF-8 in an unknown key", "a20103186361ff", "a text is UTF-8"},
		{"text that isn't UTF-8, nested in an unknown key", "a2010318638281a1616161ff00", "a text is UTF-8"},
		{"text that isn't UTF-8 as a key, nested", "a201031863a161ff00", "a text is UTF-8"},
		{"text that isn't UTF-8 in a key that the word doesn't use", "a201030361ff", "a text is UTF-8"},
		{"a key of 2^63", "a201031b800000000000000000", "keys are below 2^63"},
		{"a proof with a key of 2^63", "a2010708a3015820" + hex.EncodeToString(h) + "025820" + hex.EncodeToString(over) + "1b800000000000000000", "keys are below 2^63"},
		{"provisioned with a reason in bytes", raw(m{1: 3, 7: []byte("x")}), "keys of the table are checked whatever the word is"},
		{"provisioned with a reason of 201 bytes", raw(m{1: 3, 7: strings.Repeat("x", 201)}), "keys of the table are checked whatever the word is"},
		{"provisioned with half a proof", raw(m{1: 3, 8: m{1: h}}), "keys of the table are checked whatever the word is"},
		{"a claim without its hash", raw(m{1: 1}), "a claim has key 2"},
		{"a claim with a hash of 31 bytes", raw(m{1: 1, 2: claim[:31]}), "a hash has 32 bytes"},
		{"a claim with a hash of 33 bytes", raw(m{1: 1, 2: vectortest.Counted(0, 33)}), "a hash has 32 bytes"},
		{"a claim with its hash in text", raw(m{1: 1, 2: string(claim)}), "key 2 is bytes"},
		{"a label of 65 bytes", raw(m{1: 1, 2: claim, 3: strings.Repeat("x", 65)}), "a label has 64 bytes at most"},
		{"a label in bytes", raw(m{1: 1, 2: claim, 3: []byte("x")}), "key 3 is text"},
		{"a piece as an array of numbers", "a20102048101", "key 4 is bytes"},
		{"a piece in text", "a20102046161", "key 4 is bytes"},
		{"more as a number", "a201020501", "key 5 is true or false"},
		{"more as null", "a2010205f6", "key 5 is true or false"},
		{"grants as a number", "a201020601", "key 6 is true or false"},
		{"a reason of 201 bytes", raw(m{1: 4, 7: strings.Repeat("x", 201)}), "a reason has 200 bytes at most"},
		{"a reason in bytes", raw(m{1: 4, 7: []byte("x")}), "key 7 is text"},
		{"a proof without over", raw(m{1: 7, 8: m{1: h}}), "a proof has two halves"},
		{"an empty proof", raw(m{1: 7, 8: m{}}), "a proof has two halves"},
		{"a proof with an h of 31 bytes", raw(m{1: 7, 8: m{1: h[:31], 2: over}}), "each half has 32 bytes"},
		{"a proof with an h of 33 bytes", raw(m{1: 7, 8: m{1: vectortest.Counted(0x20, 33), 2: over}}), "each half has 32 bytes"},
		{"a proof with a half in text", raw(m{1: 7, 8: m{1: string(h), 2: over}}), "each half is bytes"},
		{"a proof with h twice", "a2010708a3014001400240", "doubled keys are refused"},
		{"a proof in an array", raw(m{1: 7, 8: []any{h, over}}), "key 8 is a map"},
		{"a null proof", "a2010708f6", "key 8 is a map"},
	} {
		v.Bodies = append(v.Bodies, vectorCase{Name: c[0], CBOR: c[1], Refuse: c[2]})
	}
}

func (v *vectors) previews() {
	type m = map[any]any
	for _, p := range []struct {
		name string
		share.Preview
	}{
		{"a file", share.Preview{Format: "file", Title: "Back door", Life: 86400, Grace: 86400}},
		{"all of it", share.Preview{Format: "age-identity", Title: "Schlüssel", Note: "for the cat", Issuer: "Ann", Life: 3600}},
		{"no title", share.Preview{Format: "file", Life: 1}},
		{"each text as long as it may be", share.Preview{
			Format: strings.Repeat("f", 64), Title: strings.Repeat("t", 120), Note: strings.Repeat("n", 240),
			Issuer: strings.Repeat("i", 120), Life: 604799, Grace: 1,
		}},
	} {
		b, err := p.Encode()
		if err != nil {
			panic(err)
		}
		said := vectorPreview(p.Preview)
		v.Previews = append(v.Previews, vectorCase{Name: p.name, CBOR: hex.EncodeToString(b), Exact: true, Preview: &said})
	}
	file := vectorPreview{Format: "file", Title: "t", Life: 60, Grace: 60}
	v.Previews = append(v.Previews, vectorCase{Name: "an unknown key", CBOR: raw(m{1: "file", 2: "t", 5: 60, 6: 60, 9: "later"}), Preview: &file})
	asks := vectorPreview{Format: "file", Title: "t", Life: 60, Grace: 60, Factor: strings.Repeat("x", 16)}
	v.Previews = append(v.Previews, vectorCase{Name: "a factor, which nobody writes yet", CBOR: raw(m{1: "file", 2: "t", 5: 60, 6: 60, 7: asks.Factor}), Preview: &asks})
	none := vectorPreview{Format: "file", Life: 60}
	v.Previews = append(v.Previews, vectorCase{Name: "title and grace left out", CBOR: raw(m{1: "file", 5: 60}), Preview: &none})
	with := func(key, value any) string {
		p := m{1: "file", 2: "t", 5: 60, 6: 60}
		p[key] = value
		return raw(p)
	}
	for _, c := range [][3]string{
		{"nothing", "", "no CBOR"},
		{"no format", raw(m{2: "t", 5: 60, 6: 60}), "a preview names its format"},
		{"an empty format", with(1, ""), "a preview names its format"},
		{"a format of 65 bytes", with(1, strings.Repeat("f", 65)), "64 bytes at most"},
		{"a title of 121 bytes", with(2, strings.Repeat("t", 121)), "120 bytes at most"},
		{"a note of 241 bytes", with(3, strings.Repeat("n", 241)), "240 bytes at most"},
		{"an issuer of 121 bytes", with(4, strings.Repeat("i", 121)), "120 bytes at most"},
		{"a factor of 17 bytes", with(7, strings.Repeat("x", 17)), "16 bytes at most"},
		{"a title that isn't in NFC", with(2, "e\u0301"), "texts are in NFC"},
		{"a title that isn't UTF-8", "a3016466696c650261ff05183c", "texts are UTF-8"},
		{"an unknown key with a text that isn't UTF-8", "a3016466696c6505183c0961ff", "texts are UTF-8"},
		{"a key of 2^63", with(uint64(1)<<63, 0), "keys are below 2^63"},
		{"a title in bytes", with(2, []byte("t")), "key 2 is text"},
		{"a null note", with(3, nil), "null is no text"},
		{"no life", raw(m{1: "file", 2: "t", 6: 60}), "a life is more than 0"},
		{"a life of 0", with(5, 0), "a life is more than 0"},
		{"a negative life", with(5, -1), "key 5 is an unsigned number"},
		{"a life as a float", with(5, 60.0), "key 5 is an unsigned number"},
		{"life and grace of more than a week", with(5, 604741), "604800 seconds at most, together"},
		{"a life that doesn't fit 32 bits", with(5, uint64(1)<<32), "604800 seconds at most"},
		{"a key twice", "a3016466696c6501616605183c", "doubled keys are refused"},
	} {
		v.Previews = append(v.Previews, vectorCase{Name: c[0], CBOR: c[1], Refuse: c[2]})
	}
}
