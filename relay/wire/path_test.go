package wire

import (
	"strings"
	"testing"

	"pgregory.net/rapid"
)

var places = []Place{Mailbox, Offer, Lane, Log, Entry, Claims, Confirm, Page, Health, Ready}

// anyPath draws a path with the fields that its place names.
func anyPath(t *rapid.T) Path {
	p := Path{Place: rapid.SampledFrom(places).Draw(t, "place")}
	bytes := rapid.SliceOfN(rapid.Byte(), 16, 16)
	if p.Place != Health && p.Place != Ready {
		copy(p.ID[:], bytes.Draw(t, "id"))
	}
	switch p.Place {
	case Lane, Log, Entry:
		copy(p.Lane[:], bytes.Draw(t, "lane"))
		p.Lane[7] |= 1
	}
	switch p.Place {
	case Log, Entry:
		p.Side = rapid.SampledFrom([]Side{Sender, Receiver}).Draw(t, "side")
	}
	switch p.Place {
	case Entry:
		p.Seq = rapid.Uint64Range(0, MaxNumber).Draw(t, "seq")
	case Offer:
		p.Seq = rapid.Uint64Range(1, MaxNumber).Draw(t, "epoch")
	}
	return p
}

func TestEveryPathIsReadBackAsItWasWritten(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := anyPath(t)
		if got := ParsePath(p.String()); got != p {
			t.Fatalf("%s was read as %+v, written from %+v", p, got, p)
		}
	})
}

func TestAPathHasOneSpelling(t *testing.T) {
	const id, lane = "AAECAwQFBgcICQoLDA0ODw", "0102030405060708"
	box := "/v1/mailboxes/" + id
	for _, path := range []string{
		"", "/", "*", "/v1", "/v1/mailboxes", "/v1/mailboxes/", "/v2/mailboxes/" + id, "/V1/mailboxes/" + id,
		box + "/", box + "//claims", "//v1/mailboxes/" + id, box + "/../" + id, box + "/%2e%2e", box + "/claims/", box + "/Claims",
		"/v1/mailboxes/" + id[:21], "/v1/mailboxes/" + id + "A", "/v1/mailboxes/" + id[:21] + "x", "/v1/mailboxes/" + id[:20] + "==",
		"/v1/mailboxes/" + id[:20] + "\r\n", "/v1/mailboxes/" + id[:21] + "\x00",
		box + "/offer/0", box + "/offer/", box + "/offer/01", box + "/offer/-1", box + "/offer/+1", box + "/offer/1e3", box + "/offer/9007199254740992",
		box + "/offer/18446744073709551617", box + "/lanes", box + "/lanes/", box + "/lanes/" + lane[:15], box + "/lanes/0000000000000000",
		box + "/lanes/01020304050607AB", box + "/lanes/" + lane + "/", box + "/lanes/" + lane + "/both", box + "/lanes/" + lane + "/sender/",
		box + "/lanes/" + lane + "/sender/0/", box + "/lanes/" + lane + "/sender/00", box + "/lanes/" + lane + "/Sender",
		"/s/", "/s/" + id + "/", "/s/" + id[:21], "/healthz/", "/Healthz", "/" + strings.Repeat("a", 10<<10), box + "/lanes/" + strings.Repeat("0", 10<<10),
	} {
		if p := ParsePath(path); p != (Path{}) {
			t.Errorf("%q must lead nowhere, was read as %v %+v", path, p.Place, p)
		}
	}
}

func FuzzPath(f *testing.F) {
	f.Add("/v1/mailboxes/AAECAwQFBgcICQoLDA0ODw/lanes/0102030405060708/receiver/17")
	f.Add("/v1/mailboxes/AAECAwQFBgcICQoLDA0ODw/offer/1")
	f.Add("/v1/mailboxes/AAECAwQFBgcICQoLDA0ODw/../..")
	f.Add("/s/AAECAwQFBgcICQoLDA0ODw")
	f.Fuzz(func(t *testing.T, s string) {
		p := ParsePath(s)
		if p.Place == Nowhere && p != (Path{}) {
			t.Fatalf("%q leads nowhere but left %+v behind", s, p)
		}
		if p.Place != Nowhere && p.String() != s {
			t.Fatalf("%q is a second spelling of %q", s, p)
		}
	})
}
