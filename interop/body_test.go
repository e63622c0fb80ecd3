package interop

import (
	"errors"
	"slices"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// node/share/PROTOCOL.md, sections 3 and 4: bodies and the preview.

// The words.
const (
	wordClaim = iota + 1
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

type body struct {
	word         uint64
	claim        []byte
	label        string
	piece        []byte
	more, grants bool
	reason       string
	h, over      []byte // the proof; nil without one
}

func (b body) encode() []byte {
	var proof []field
	if b.h != nil {
		proof = []field{{1, b.h}, {2, b.over}}
	}
	return encode([]field{{1, b.word}, {2, b.claim}, {3, b.label}, {4, b.piece}, {5, b.more}, {6, b.grants}, {7, b.reason}, {8, proof}})
}

func decodeBody(raw []byte) (body, error) {
	m, err := decodeMap(raw)
	if err != nil {
		return body{}, err
	}
	var b body
	var proof cborMap
	if err := errors.Join(take(m, 1, &b.word), take(m, 2, &b.claim), take(m, 3, &b.label), take(m, 4, &b.piece),
		take(m, 5, &b.more), take(m, 6, &b.grants), take(m, 7, &b.reason), take(m, 8, &proof)); err != nil {
		return body{}, err
	}
	if proof.pairs != nil {
		if err := errors.Join(proof.err, take(proof, 1, &b.h), take(proof, 2, &b.over)); err != nil {
			return body{}, err
		}
		if len(b.h) != 32 || len(b.over) != 32 {
			return body{}, errors.New("a proof of another size")
		}
	}
	switch {
	case b.word < wordClaim || b.word > wordExpired:
		return body{}, errors.New("an unknown word")
	case len(b.label) > 64 || len(b.reason) > 200:
		return body{}, errors.New("a text beyond its bound")
	case b.word == wordClaim && len(b.claim) != 32:
		return body{}, errors.New("a claim without its hash")
	}
	return b.used(), nil
}

// used passes over the keys that the word doesn't use.
func (b body) used() body {
	u := body{word: b.word}
	switch b.word {
	case wordClaim:
		u.claim, u.label = b.claim, b.label
	case wordMessage:
		u.piece, u.more, u.grants = b.piece, b.more, b.grants
	case wordDecline, wordRecall:
		u.reason = b.reason
	case wordDone, wordCancelled, wordDeclined, wordExpired:
		u.reason, u.h, u.over = b.reason, b.h, b.over
	}
	return u
}

// pieces splits a message over bodies.
func pieces(msg []byte, grants bool) (all []body) {
	sizes := []int{len(msg)}
	if len(msg) > 16311 {
		sizes = slices.Concat(slices.Repeat([]int{4023}, 9), slices.Repeat([]int{16311}, 12))
	}
	for {
		n := min(len(msg), 61367)
		if len(sizes) > 0 {
			n, sizes = min(len(msg), sizes[0]), sizes[1:]
		}
		all = append(all, body{word: wordMessage, piece: msg[:n], more: n < len(msg), grants: grants})
		if msg = msg[n:]; len(msg) == 0 {
			return all
		}
	}
}

type preview struct {
	format, title, note, issuer string
	life, grace                 uint64
	factor                      string
}

func (p preview) encode() []byte {
	return encode([]field{{1, p.format}, {2, kept(p.title)}, {3, p.note}, {4, p.issuer}, {5, p.life}, {6, p.grace}, {7, p.factor}})
}

func decodePreview(raw []byte) (preview, error) {
	m, err := decodeMap(raw)
	if err != nil {
		return preview{}, err
	}
	var p preview
	if err := errors.Join(take(m, 1, &p.format), take(m, 2, &p.title), take(m, 3, &p.note), take(m, 4, &p.issuer),
		take(m, 5, &p.life), take(m, 6, &p.grace), take(m, 7, &p.factor)); err != nil {
		return preview{}, err
	}
	for text, most := range map[*string]int{&p.format: 64, &p.title: 120, &p.note: 240, &p.issuer: 120, &p.factor: 16} {
		if len(*text) > most || !utf8.ValidString(*text) || !norm.NFC.IsNormalString(*text) {
			return preview{}, errors.New("a text that a preview can't have")
		}
	}
	if p.format == "" || p.life == 0 || p.life > 604800 || p.grace > 604800-p.life {
		return preview{}, errors.New("a preview without format or of another time")
	}
	return p, nil
}
