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
	Name string `json:"name"`
	Text string `json:"text"`
	Tag  string `json:"tag,omitempty"` // absent: refused
}

type vectorProof struct {
	Name     string `json:"name"`
	Key      string `json:"key"`
	End      byte   `json:"end"`
	Role     byte   `json:"role"`
	Exporter string `json:"exporter"`
	Proof    string `json:"proof"`
}

// A vectorPiece is what stands on a stream up to its FIN.
type vectorPiece struct {
	Name   string   `json:"name"`
	Bytes  string   `json:"bytes"`
	Frames []string `json:"frames,omitempty"`
	Refuse bool     `json:"refuse,omitempty"`
}

type vectorAnswer struct {
	Name   string `json:"name"`
	Bytes  string `json:"bytes"`
	Taken  bool   `json:"taken,omitempty"`
	Refuse bool   `json:"refuse,omitempty"`
}

const vectorsAbout = "Test vectors of sparekey's paths over QUIC, version 1; the comment of package discovery/lan/quicpath tells the format. " +
	"Bytes are hex. tags: a text of the ALPN extension and its tag; without a tag it is none. " +
	"proofs: the HMAC of a path key for an end (1 dialler, 2 listener), the prover's role (1 sender, 2 receiver) and an exporter. " +
	"pieces: a stream's bytes before its FIN and the frames; refuse: the connection ends with error 2. " +
	"A piece of no frames is refused too, but on the first stream. answers likewise. " +
	"Made by: go test ./discovery/lan/quicpath -run TestVectors -update"

// Made with another language's HMAC-SHA256.
const wantProof = "5887978848afdec55582548811081d825f44a34c26b69aed7b763baeeffabbe9"

func counting(from byte) (b [32]byte) {
	for i := range b {
		b[i] = from + byte(i)
	}
	return b
}

func makeVectors() vectors {
	v := vectors{About: vectorsAbout}
	tag := Tag{1, 2, 3, 4, 5, 6, 7, 8, 9}
	v.Tags = []vectorTag{
		{"a tag", tag.String(), hex.EncodeToString(tag[:])},
		{"all zero", "aaaaaaaaaaaaaaa", "000000000000000000"},
		{"all ones", "77777777777777y", "ffffffffffffffffff"},
		{"upper case", strings.ToUpper(tag.String()), ""},
		{"a character short", tag.String()[1:], ""},
		{"a character long", tag.String() + "a", ""},
		{"padded", tag.String() + "=", ""},
		{"bits that no tag has", "777777777777777", ""},
		{"another alphabet", "011111111111110", ""},
		{"nothing", "", ""},
		{"an underscore before it, as in the room's names", "_" + tag.String(), ""},
	}
	key, exporter := counting(0), counting(100)
	for _, c := range []struct {
		name string
		e    end
		r    discovery.Role
	}{
		{"a receiver dials", dialler, discovery.Receiver}, {"a sender answers", listener, discovery.Sender},
		{"a sender dials", dialler, discovery.Sender}, {"a receiver answers", listener, discovery.Receiver},
	} {
		v.Proofs = append(v.Proofs, vectorProof{c.name, hex.EncodeToString(key[:]), byte(c.e), byte(c.r),
			hex.EncodeToString(exporter[:]), hex.EncodeToString(proof(key, c.e, c.r, exporter[:]))})
	}
	one, two := frames(32)[0], frames(32, 40)[1]
	piece := func(name string, b []byte, fs ...frame.Frame) vectorPiece {
		p := vectorPiece{Name: name, Bytes: hex.EncodeToString(b)}
		for _, f := range fs {
			p.Frames = append(p.Frames, hex.EncodeToString(f))
		}
		return p
	}
	refused := func(name string, b []byte) vectorPiece {
		return vectorPiece{Name: name, Bytes: hex.EncodeToString(b), Refuse: true}
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
		{Name: "taken", Bytes: "01", Taken: true}, {Name: "not taken", Bytes: "00"},
		{Name: "neither", Bytes: "02", Refuse: true}, {Name: "none", Bytes: "", Refuse: true},
	}
	return v
}

// TestVectors makes the vectors anew, compares them with the file, and does what
// the file says.
func TestVectors(t *testing.T) {
	read := vectortest.Published(t, makeVectors())
	if got := read.Proofs[0].Proof; got != wantProof {
		t.Errorf("the first proof is %s, and another implementation of HMAC says %s", got, wantProof)
	}
	for _, c := range read.Tags {
		tag, ok := parseTag(c.Text)
		if ok != (c.Tag != "") || ok && hex.EncodeToString(tag[:]) != c.Tag {
			t.Errorf("tag %s: %x, %v", c.Name, tag, ok)
		}
	}
	for _, c := range read.Proofs {
		key, exporter := [32]byte(unhex(t, c.Key)), unhex(t, c.Exporter)
		if got := proof(key, end(c.End), discovery.Role(c.Role), exporter); hex.EncodeToString(got) != c.Proof {
			t.Errorf("proof %s: %x", c.Name, got)
		}
	}
	for _, c := range read.Pieces {
		fs, err := readPiece(iotest.OneByteReader(bytes.NewReader(unhex(t, c.Bytes))))
		if (err != nil) != c.Refuse || err != nil && !errors.Is(err, errBroken) || len(fs) != len(c.Frames) {
			t.Errorf("piece %s: %d frames, %v", c.Name, len(fs), err)
			continue
		}
		for i, f := range fs {
			if hex.EncodeToString(f) != c.Frames[i] {
				t.Errorf("piece %s: frame %d is %x", c.Name, i, f)
			}
		}
	}
	for _, c := range read.Answers {
		taken, err := readAnswer(bytes.NewReader(unhex(t, c.Bytes)))
		if (err != nil) != c.Refuse || taken != c.Taken {
			t.Errorf("answer %s: %v, %v", c.Name, taken, err)
		}
	}
}

func unhex(t *testing.T, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestNoTwoProofsOfTheVectorsAreAlike(t *testing.T) {
	seen := map[string]string{}
	for _, p := range makeVectors().Proofs {
		if other, ok := seen[p.Proof]; ok {
			t.Errorf("%q proves what %q proves", p.Name, other)
		}
		seen[p.Proof] = p.Name
	}
}

// FuzzPiece holds readPiece to what the path builds on: no panic, no byte read that
// stands behind the piece, bounds kept, and frames that are the piece again.
func FuzzPiece(f *testing.F) {
	for _, p := range makeVectors().Pieces {
		b, _ := hex.DecodeString(p.Bytes)
		f.Add(b)
		f.Add(append(b, 1, 2, 3))
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
