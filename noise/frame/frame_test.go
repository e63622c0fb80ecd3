package frame_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/sparekey/sparekey/noise/frame"
)

var (
	someone = frame.Candidate{1, 2, 3, 4, 5, 6, 7, 8}
	nobody  = frame.Candidate{}
)

func TestParseTakesWhatFitsItsKindAndNothingElse(t *testing.T) {
	const least = frame.SealSize
	for _, c := range []struct {
		promise   string
		kind      frame.Kind
		candidate frame.Candidate
		seq       uint64
		sealed    int
		ok        bool
	}{
		{"an offer is nobody's, and any epoch's", frame.Offer, nobody, 1 << 63, least, true},
		{"an offer has no candidate", frame.Offer, someone, 0, least, false},
		{"an offer holds salt and tag", frame.Offer, nobody, 0, least - 1, false},
		{"a handshake is seq 0", frame.Handshake, someone, 0, least, true},
		{"a handshake has no other seq", frame.Handshake, someone, 1, least, false},
		{"a handshake is a candidate's", frame.Handshake, nobody, 0, least, false},
		{"a handshake holds something", frame.Handshake, someone, 0, least - 1, false},
		{"data has any seq", frame.Data, someone, 1<<64 - 1, least, true},
		{"data from 0", frame.Data, someone, 0, least, true},
		{"data is a candidate's", frame.Data, nobody, 0, least, false},
		{"data holds salt and tag", frame.Data, someone, 0, least - 1, false},
		{"an empty data is none", frame.Data, someone, 0, 0, false},
		{"an ack counts from 0", frame.Ack, someone, 0, least, true},
		{"an ack counts to any number", frame.Ack, someone, 1<<64 - 1, least, true},
		{"an ack is a candidate's", frame.Ack, nobody, 0, least, false},
		{"an ack holds salt and tag", frame.Ack, someone, 0, least - 1, false},
		{"a taken is sealed", frame.Taken, someone, 0, least, true},
		{"a taken is seq 0", frame.Taken, someone, 1, least, false},
		{"a taken is a candidate's", frame.Taken, nobody, 0, least, false},
		{"a taken is whole", frame.Taken, someone, 0, least - 1, false},
		{"a taken of one byte is none", frame.Taken, someone, 0, 1, false},
		{"a shut holds nothing", frame.Taken, someone, 0, 0, true},
		{"a shut of nobody is an erased frame's place", frame.Taken, nobody, 0, 0, true},
		{"a shut is seq 0", frame.Taken, someone, 1, 0, false},
		{"a frame may be as large as the largest", frame.Data, someone, 0, frame.MaxSize - frame.HeaderSize, true},
		{"and not larger", frame.Data, someone, 0, frame.MaxSize - frame.HeaderSize + 1, false},
		{"kind 0 is unknown", 0, someone, 0, least, false},
		{"kind 6 is unknown", 6, someone, 0, least, false},
		{"kind 255 is unknown", 255, nobody, 0, 0, false},
	} {
		f, err := frame.Parse(frame.New(c.kind, c.candidate, c.seq, make([]byte, c.sealed)))
		if (err == nil) != c.ok {
			t.Errorf("%s: %v", c.promise, err)
		}
		if err != nil && (!errors.Is(err, frame.ErrMalformed) || f != nil) {
			t.Errorf("%s: refused as malformed, and no frame given: %v", c.promise, err)
		}
	}
	for n := range frame.HeaderSize {
		if _, err := frame.Parse(make([]byte, n)); !errors.Is(err, frame.ErrMalformed) {
			t.Errorf("%d bytes are no frame: %v", n, err)
		}
	}
}

func TestAFrameIsReadAsItWasMade(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		f := aFrame(r)
		parsed, err := frame.Parse(f)
		if err != nil {
			r.Fatalf("what New makes of fitting parts can be parsed: %v", err)
		}
		again := frame.New(parsed.Kind(), parsed.Candidate(), parsed.Seq(), parsed.Sealed())
		if !bytes.Equal(again, f) {
			r.Fatal("a frame is its parts and nothing else")
		}
	})
}

// aFrame draws a well-formed frame.
func aFrame(r *rapid.T) frame.Frame {
	k := rapid.SampledFrom([]frame.Kind{frame.Offer, frame.Handshake, frame.Data, frame.Ack, frame.Taken}).Draw(r, "kind")
	c := frame.Candidate(rapid.SliceOfN(rapid.ByteMin(1), 8, 8).Draw(r, "candidate"))
	seq := rapid.Uint64().Draw(r, "seq")
	sealed := rapid.SliceOfN(rapid.Byte(), frame.SealSize, 300).Draw(r, "sealed")
	switch k {
	case frame.Offer:
		c = nobody
	case frame.Handshake:
		seq = 0
	case frame.Taken:
		seq = 0
		if rapid.Bool().Draw(r, "shut") {
			return frame.Shut(c)
		}
	}
	return frame.New(k, c, seq, sealed)
}

func TestTheLayoutIsTheDocumentedOne(t *testing.T) {
	f := frame.New(frame.Data, someone, 0x0102030405060708, []byte{0xaa, 0xbb})
	const want = "03" + "0102030405060708" + "0102030405060708" + "aabb"
	if got := hex.EncodeToString(f); got != want {
		t.Errorf("kind ‖ candidate ‖ seq, big endian ‖ sealed:\n got %s\nwant %s", got, want)
	}
	if got := hex.EncodeToString(f.Header()); got != want[:34] {
		t.Errorf("the header is the first 17 bytes: %s", got)
	}
	if got := hex.EncodeToString(frame.Shut(someone)); got != "05"+"0102030405060708"+"0000000000000000" {
		t.Errorf("a shut is a header alone: %s", got)
	}
	if frame.MaxSize != 17+16+61440+16 {
		t.Errorf("the largest frame has %d bytes", frame.MaxSize)
	}
}

func TestAppendingToAHeaderLeavesTheFrameAlone(t *testing.T) {
	f := frame.New(frame.Data, someone, 0, []byte{1, 2, 3})
	_ = append(f.Header(), 9)
	if f.Sealed()[0] != 1 {
		t.Error("a header ends where it ends")
	}
}

func TestNewDoesNotKeepWhatItIsGiven(t *testing.T) {
	sealed := []byte{1, 2, 3}
	f := frame.New(frame.Data, someone, 0, sealed)
	sealed[0] = 9
	if f.Sealed()[0] != 1 {
		t.Error("a frame is its own bytes")
	}
}

func TestNamesForPeople(t *testing.T) {
	var names []string
	for k := frame.Kind(0); k < 7; k++ {
		names = append(names, k.String())
	}
	if got := strings.Join(names, " "); got != "kind(0) offer handshake data ack taken kind(6)" {
		t.Errorf("kinds have the names of the protocol: %s", got)
	}
	if got := someone.String(); got != "0102030405060708" {
		t.Errorf("a candidate's lane is its name in hex: %s", got)
	}
	id := frame.ShareID{0: 0xfb, 1: 0xff, 15: 1}
	if got := id.String(); got != "-_8AAAAAAAAAAAAAAAAAAQ" || len(got) != 22 {
		t.Errorf("an id is 22 characters of base64url: %s", got)
	}
}

func TestOnlyThePairThatRecomputesTheIDProvesAnEnd(t *testing.T) {
	p := frame.Proof{H: [32]byte{1}, Over: [32]byte{2}}
	inner := sha256.Sum256(p.Over[:])
	c := sha256.Sum256(append(append([]byte{}, p.H[:]...), inner[:]...))
	sum := sha256.Sum256(append([]byte("sparekey share"), c[:]...))
	id := frame.ShareID(sum[:16])
	if got := frame.Preimage(p.H, inner); got != c {
		t.Errorf("c is SHA-256(h ‖ SHA-256(over)): %x", got)
	}
	if got := frame.ID(c); got != id {
		t.Errorf("the id is the start of SHA-256(\"sparekey share\" ‖ c): %x", got)
	}
	if !p.Proves(id) {
		t.Error("the pair proves the share's end")
	}
	for i := range 32 {
		for name, q := range map[string]frame.Proof{
			"h":    {H: flip(p.H, i), Over: p.Over},
			"over": {H: p.H, Over: flip(p.Over, i)},
		} {
			if q.Proves(id) {
				t.Errorf("a pair with another %s proves nothing", name)
			}
		}
	}
	for i := range id {
		other := id
		other[i] ^= 1
		if p.Proves(other) {
			t.Error("nor does the pair prove another share's end")
		}
	}
	if (frame.Proof{}).Proves(frame.ShareID{}) {
		t.Error("nothing proves nothing")
	}
}

func flip(b [32]byte, i int) [32]byte { b[i] ^= 1; return b }

// FuzzParse holds Parse to what callers build on: no panic, and a frame whose
// parts can be read and fit each other.
func FuzzParse(f *testing.F) {
	f.Add([]byte(nil))
	f.Add([]byte(frame.Shut(nobody)))
	f.Add([]byte(frame.New(frame.Offer, nobody, 1, make([]byte, 32))))
	f.Add([]byte(frame.New(frame.Handshake, someone, 0, make([]byte, 33))))
	f.Add([]byte(frame.New(frame.Data, someone, 1, make([]byte, 31))))
	f.Fuzz(func(t *testing.T, b []byte) {
		p, err := frame.Parse(b)
		if err != nil {
			if !errors.Is(err, frame.ErrMalformed) || p != nil {
				t.Fatalf("refused as malformed: %v", err)
			}
			return
		}
		if !bytes.Equal(frame.New(p.Kind(), p.Candidate(), p.Seq(), p.Sealed()), b) {
			t.Fatal("a frame is its parts")
		}
		if (p.Candidate() == nobody) != (p.Kind() == frame.Offer) && len(p.Sealed()) > 0 {
			t.Fatal("what is sealed for a candidate names it, and an offer names none")
		}
	})
}
