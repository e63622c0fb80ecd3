package quicpath

import (
	"bytes"
	"encoding/hex"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/sparekey/sparekey/discovery"
	"github.com/sparekey/sparekey/noise/frame"
	"github.com/sparekey/sparekey/vectortest"
)

// vectors is testdata/vectors.json; its About tells how to read it.
type vectors struct {
	About   string         `json:"about"`
	Tags    []vectorTag    `json:"tags"`
	Proofs  []vectorProof  `json:"proofs"`
	Pieces  []vectorPiece  `json:"pieces"`
	Answers []vectorAnswer `json:"answers"`
}

// A vectorTag is a text to read as a tag.
type vectorTag struct {
	Name string         `json:"name"`
	Text string         `json:"text"`
	Tag  vectortest.Hex `json:"tag,omitempty"` // absent: refused
}

type vectorProof struct {
	Name     string         `json:"name"`
	Key      vectortest.Hex `json:"key"`
	End      byte           `json:"end"`
	Role     byte           `json:"role"`
	Exporter vectortest.Hex `json:"exporter"`
	Proof    vectortest.Hex `json:"proof"`
}

// A vectorPiece is what stands on a stream up to its FIN.
type vectorPiece struct {
	Name   string           `json:"name"`
	Bytes  vectortest.Hex   `json:"bytes"`
	Frames []vectortest.Hex `json:"frames,omitempty"`
	Refuse bool             `json:"refuse,omitempty"`
}

type vectorAnswer struct {
	Name   string         `json:"name"`
	Bytes  vectortest.Hex `json:"bytes"`
	Taken  bool           `json:"taken,omitempty"`
	Refuse bool           `json:"refuse,omitempty"`
}

const vectorsAbout = "Test vectors of sparekey's paths over QUIC, version 1; discovery/lan/PROTOCOL.md, sections 5 to 7, tells the format. " +
	"Bytes are hex. tags: a text of the ALPN extension and its tag; without a tag it is none. " +
	"proofs: the HMAC of a path key for an end (1 dialler, 2 listener), the prover's role (1 sender, 2 receiver) and an exporter. " +
	"pieces: a stream's bytes before its FIN and the frames; refuse: the connection ends with error 2. " +
	"A piece of no frames is refused too, but on the first stream. answers likewise. " +
	"Made by: go test ./discovery/lan/quicpath -run TestVectors -update"

// Made with another language's HMAC-SHA256.
const wantProof = "5887978848afdec55582548811081d825f44a34c26b69aed7b763baeeffabbe9"

func makeVectors() vectors {
	v := vectors{About: vectorsAbout}
	tag := Tag{1, 2, 3, 4, 5, 6, 7, 8, 9}
	v.Tags = []vectorTag{
		{"a tag", tag.String(), tag[:]},
		{"all zero", "aaaaaaaaaaaaaaa", make([]byte, 9)},
		{"all ones", "77777777777777y", bytes.Repeat([]byte{0xff}, 9)},
		{"upper case", strings.ToUpper(tag.String()), nil},
		{"a character short", tag.String()[1:], nil},
		{"a character long", tag.String() + "a", nil},
		{"padded", tag.String() + "=", nil},
		{"bits that no tag has", "777777777777777", nil},
		{"another alphabet", "011111111111110", nil},
		{"nothing", "", nil},
		{"an underscore before it, as in the room's names", "_" + tag.String(), nil},
	}
	key, exporter := [32]byte(vectortest.Counted(0, 32)), vectortest.Counted(100, 32)
	for _, c := range []struct {
		name string
		e    end
		r    discovery.Role
	}{
		{"a receiver dials", dialler, discovery.Receiver}, {"a sender answers", listener, discovery.Sender},
		{"a sender dials", dialler, discovery.Sender}, {"a receiver answers", listener, discovery.Receiver},
	} {
		v.Proofs = append(v.Proofs, vectorProof{c.name, key[:], byte(c.e), byte(c.r), exporter, proof(key, c.e, c.r, exporter)})
	}
	one, two := frames(32)[0], frames(32, 40)[1]
	piece := func(name string, b []byte, fs ...frame.Frame) vectorPiece {
		p := vectorPiece{Name: name, Bytes: b}
		for _, f := range fs {
			p.Frames = append(p.Frames, vectortest.Hex(f))
		}
		return p
	}
	refused := func(name string, b []byte) vectorPiece {
		return vectorPiece{Name: name, Bytes: b, Refuse: true}
	}
	many := make([]frame.Frame, maxFrames+1)
	for i := range many {
		many[i] = frame.Shut(frame.Candidate{1})
	}
	v.Pieces = []vectorPiece{
		piece("no frame", appendPiece(nil)),
		piece("a frame", appendPiece(nil, one), one),
		piece("two frames", appendPiece(nil, one, two), one, two),
		piece("as many as there may be", appendPiece(nil, many[1:]...), many[1:]...),
		refused("one too many", appendPiece(nil, many...)),
		refused("nothing", nil),
		refused("no end", frame.Append(nil, one)),
		refused("half an end", append(frame.Append(nil, one), 0, 0)),
		refused("half a frame", appendPiece(nil, one)[:30]),
		refused("half a length", appendPiece(nil, one)[:3]),
		refused("a length that no frame has", []byte{0, 1, 0, 0}),
		refused("a frame of no kind", append([]byte{0, 0, 0, 49, 9}, make([]byte, 52)...)),
	}
	v.Answers = []vectorAnswer{
		{Name: "taken", Bytes: []byte{1}, Taken: true}, {Name: "not taken", Bytes: []byte{0}},
		{Name: "neither", Bytes: []byte{2}, Refuse: true}, {Name: "none", Refuse: true},
	}
	return v
}

// TestVectors makes the vectors anew, compares them with the file, and does what
// the file says.
func TestVectors(t *testing.T) {
	read := vectortest.Published(t, makeVectors())
	if got := hex.EncodeToString(read.Proofs[0].Proof); got != wantProof {
		t.Errorf("the first proof is %s, and another implementation of HMAC says %s", got, wantProof)
	}
	for _, c := range read.Tags {
		tag, ok := parseTag(c.Text)
		if ok != (c.Tag != nil) || ok && !bytes.Equal(tag[:], c.Tag) {
			t.Errorf("tag %s: %x, %v", c.Name, tag, ok)
		}
	}
	for _, c := range read.Proofs {
		if got := proof([32]byte(c.Key), end(c.End), discovery.Role(c.Role), c.Exporter); !bytes.Equal(got, c.Proof) {
			t.Errorf("proof %s: %x", c.Name, got)
		}
	}
	for _, c := range read.Pieces {
		fs, err := readPiece(iotest.OneByteReader(bytes.NewReader(c.Bytes)))
		if (err != nil) != c.Refuse || err != nil && !errors.Is(err, errBroken) || len(fs) != len(c.Frames) {
			t.Errorf("piece %s: %d frames, %v", c.Name, len(fs), err)
			continue
		}
		for i, f := range fs {
			if !bytes.Equal(f, c.Frames[i]) {
				t.Errorf("piece %s: frame %d is %x", c.Name, i, f)
			}
		}
	}
	for _, c := range read.Answers {
		taken, err := readAnswer(bytes.NewReader(c.Bytes))
		if (err != nil) != c.Refuse || taken != c.Taken {
			t.Errorf("answer %s: %v, %v", c.Name, taken, err)
		}
	}
}

func TestNoTwoProofsOfTheVectorsAreAlike(t *testing.T) {
	seen := map[string]string{}
	for _, p := range makeVectors().Proofs {
		if other, ok := seen[string(p.Proof)]; ok {
			t.Errorf("%q proves what %q proves", p.Name, other)
		}
		seen[string(p.Proof)] = p.Name
	}
}

// FuzzPiece holds readPiece to what the path builds on: no panic, no byte read that
// stands behind the piece, bounds kept, and frames that are the piece again.
func FuzzPiece(f *testing.F) {
	for _, p := range makeVectors().Pieces {
		f.Add([]byte(p.Bytes))
		f.Add(append([]byte(p.Bytes), 1, 2, 3))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		in := bytes.NewReader(b)
		fs, err := readPiece(in)
		if err != nil {
			if !errors.Is(err, errBroken) || fs != nil {
				t.Fatalf("refused as broken: %d frames, %v", len(fs), err)
			}
			return
		}
		rest, _ := io.ReadAll(in)
		if len(fs) > maxFrames || !bytes.Equal(append(appendPiece(nil, fs...), rest...), b) {
			t.Fatal("a piece is its frames and its end")
		}
	})
}

// FuzzTag holds parseTag to one spelling of each tag.
func FuzzTag(f *testing.F) {
	for _, c := range makeVectors().Tags {
		f.Add(c.Text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if tag, ok := parseTag(text); ok && tag.String() != text {
			t.Fatalf("%q is read as %v", text, tag)
		}
	})
}
