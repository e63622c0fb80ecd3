package interop

import (
	"encoding/hex"
	"testing"
)

type shareVectors struct {
	About            string
	Bodies, Previews []shareCase
	Messages         []struct {
		Length int
		Grants bool
		SHA256 []hexBytes
	}
}

type shareCase struct {
	Name, Refuse string
	CBOR         hexBytes
	Exact        bool
	Body         *struct {
		Word          string
		Number        uint64
		Claim, Piece  hexBytes
		Label, Reason string
		More, Grants  bool
		H, Over       hexBytes
	}
	Preview *struct {
		Format, Title, Note, Issuer, Factor string
		Life, Grace                         uint64
	}
}

// TestBodiesAndPreviewsAreWrittenAndReadAsTheVectorsSay does node/share/testdata/vectors.json.
func TestBodiesAndPreviewsAreWrittenAndReadAsTheVectorsSay(t *testing.T) {
	var v shareVectors
	vectorFile(t, "node/share/testdata/vectors.json", &v)
	var n tally
	for _, c := range v.Bodies {
		got, err := decodeBody(c.CBOR)
		n.judge(t, c.Name, c.Refuse, err)
		if c.Body == nil || err != nil {
			continue
		}
		want := body{c.Body.Number, c.Body.Claim, c.Body.Label, c.Body.Piece, c.Body.More, c.Body.Grants, c.Body.Reason, c.Body.H, c.Body.Over}
		c.compare(t, got.encode(), want.encode())
	}
	for _, c := range v.Previews {
		got, err := decodePreview(c.CBOR)
		n.judge(t, c.Name, c.Refuse, err)
		if p := c.Preview; p != nil && err == nil && p.Factor != "" {
			equal(t, c.Name, []byte(got.factor), []byte(p.Factor)) // nobody writes one
		} else if p != nil && err == nil {
			c.compare(t, got.encode(), preview{p.Format, p.Title, p.Note, p.Issuer, p.Life, p.Grace, p.Factor}.encode())
		}
	}
	n.report(t, 90)
	for _, m := range v.Messages {
		all := pieces(make([]byte, m.Length), m.Grants)
		if len(all) != len(m.SHA256) {
			t.Errorf("%d bytes are cut into %d pieces, and not %d", m.Length, len(all), len(m.SHA256))
			continue
		}
		for i, b := range all {
			equal(t, "a piece", hash(b.encode()), m.SHA256[i])
		}
	}
}

// compare holds what is written to what was wanted, and to the case's own bytes where these are exact.
func (c shareCase) compare(t *testing.T, got, want []byte) {
	t.Helper()
	equal(t, c.Name, got, want)
	if c.Exact != (hex.EncodeToString(got) == hex.EncodeToString(c.CBOR)) {
		t.Errorf("%s: written as %x, and exact is %v", c.Name, got, c.Exact)
	}
}
