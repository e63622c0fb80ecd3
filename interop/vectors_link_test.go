package interop

import (
	"encoding/hex"
	"testing"
)

type linkVectors struct {
	About string
	Links []linkVector
	Cases []struct {
		Name, Text  string
		Strict      bool
		Link        *linkVector
		Refuse, Why string
	}
}

type linkVector struct {
	Relay, ID, Secret, Vertical string
	App                         bool
	URL                         string
	Keys                        map[string]hexBytes
}

func (v linkVector) invitation() invitation {
	return invitation{v.Relay, [16]byte(must(hex.DecodeString(v.ID))), [16]byte(must(hex.DecodeString(v.Secret))), v.Vertical, v.App}
}

// TestLinksAreWrittenAndReadAsTheVectorsSay does node/link/testdata/vectors.json.
func TestLinksAreWrittenAndReadAsTheVectorsSay(t *testing.T) {
	var v linkVectors
	vectorFile(t, "node/link/testdata/vectors.json", &v)
	for _, l := range v.Links {
		if got := l.invitation().url(); got != l.URL {
			t.Errorf("written as %s, and not %s", got, l.URL)
		}
		k := keysOfLink(l.invitation().id, l.invitation().secret)
		for use, got := range map[string][]byte{"psk": k.psk, "offer key": k.offerKey, "view": k.view, "topic": k.topic, "path": k.path, "unattended": k.unatten} {
			equal(t, l.URL+": "+use, got, l.Keys[use])
		}
	}
	var n tally
	for _, c := range v.Cases {
		got, err := readLink(c.Text)
		n.judge(t, c.Name, c.Refuse, err)
		switch {
		case err != nil && err.Error() != c.Refuse:
			t.Errorf("%s: refused for %v, and not %s: %s", c.Name, err, c.Refuse, c.Why)
		case err == nil && c.Link != nil && got != c.Link.invitation():
			t.Errorf("%s: read as %+v", c.Name, got)
		case err == nil && c.Strict != (got.url() == c.Text):
			t.Errorf("%s: its one spelling is %s", c.Name, got.url())
		}
	}
	n.report(t, 60)
}
