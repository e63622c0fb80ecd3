package link

import (
	"encoding/hex"
	"errors"
	"strings"
	"testing"

	"github.com/sparekey/sparekey/vectortest"
)

// Made with another language's HMAC-SHA256, from the example of these tests.
const (
	wantPSK  = "41850214b32614afb432c0d63b3d8a164fafedb28bafdc93a6a1279a142a129e"
	wantView = "e1cafdd6cdf4f598c6a3a1532be9af426d7103138dcd6e1efd83fae1af4d2e1a"
)

// vectors is testdata/vectors.json; PROTOCOL.md tells how to read it.
type vectors struct {
	About string       `json:"about"`
	Links []vectorLink `json:"links"`
	Cases []vectorCase `json:"cases"`
}

// A vectorLink is what a link says, and what that derives.
type vectorLink struct {
	Relay    string            `json:"relay"`
	ID       string            `json:"id"`
	Secret   string            `json:"secret"`
	Vertical string            `json:"vertical,omitempty"`
	App      bool              `json:"app,omitempty"`
	URL      string            `json:"url"`
	Keys     map[string]string `json:"keys,omitempty"` // absent in cases
}

// A vectorCase is a text to read.
type vectorCase struct {
	Name   string      `json:"name"`
	Text   string      `json:"text"`
	Strict bool        `json:"strict,omitempty"` // nothing but a link in its one spelling
	Link   *vectorLink `json:"link,omitempty"`
	Refuse string      `json:"refuse,omitempty"`
	Why    string      `json:"why,omitempty"`
}

// refusals are the names of the reasons in vectors and PROTOCOL.md.
var refusals = map[string]error{
	"no link": ErrNoLink, "no secret": ErrNoSecret, "damaged": ErrDamaged,
	"two links": ErrTwoLinks, "version": ErrVersion, "insecure": ErrInsecure,
}

const vectorsAbout = "Test vectors of the sparekey link, version 1. node/link/PROTOCOL.md tells how to read them. " +
	"Made by: go test ./node/link -run TestVectors -update"

// TestVectors makes the vectors anew, compares them with the file, and does what
// the file says. The reasons are the generator's own word, not Parse's.
func TestVectors(t *testing.T) {
	read := vectortest.Published(t, makeVectors())
	for _, c := range read.Cases {
		t.Run(c.Name, c.run)
	}
	vectortest.MostAreRefused(t, read.Cases, vectorCase.refused)
}

func (c vectorCase) refused() bool { return c.Refuse != "" }

func (c vectorCase) run(t *testing.T) {
	got, err := Parse(c.Text)
	switch {
	case c.Refuse != "":
		if !errors.Is(err, refusals[c.Refuse]) {
			t.Errorf("%v, and not %q: %s", err, c.Refuse, c.Why)
		}
	case err != nil:
		t.Error(err)
	case describe(got) != c.Link.said():
		t.Errorf("read as %+v", describe(got))
	case c.Strict != (got.URL() == c.Text):
		t.Errorf("its one spelling is %q", got.URL())
	}
}

// said is a vectorLink without its keys, which can be compared.
func (l vectorLink) said() said {
	return said{l.Relay, l.ID, l.Secret, l.Vertical, l.App, l.URL}
}

type said struct {
	relay, id, secret, vertical string
	app                         bool
	url                         string
}

func describe(l Link) said {
	return said{l.Relay, hex.EncodeToString(l.ID[:]), hex.EncodeToString(l.Secret[:]), l.Vertical, l.App, l.URL()}
}

func vectorOf(l Link) vectorLink {
	s := describe(l)
	return vectorLink{Relay: s.relay, ID: s.id, Secret: s.secret, Vertical: s.vertical, App: s.app, URL: s.url}
}

func makeVectors() vectors {
	v := vectors{About: vectorsAbout}
	usual := example()
	hinted, room, local := usual, usual, usual
	hinted.Vertical, hinted.App, hinted.Relay = "h", true, "https://[2001:db8::1]:8443"
	room.Relay, room.App = "", true
	local.Relay = "http://127.0.0.1:8080"
	localApp := local
	localApp.App = true
	for _, l := range []Link{usual, hinted, room, local} {
		x, k := vectorOf(l), l.Keys()
		x.Keys = map[string]string{}
		for use, key := range map[string][32]byte{"psk": k.PSK, "offer key": k.Offer, "view": k.View, "topic": k.Topic, "path": k.Path, "unattended": k.Unattended} {
			x.Keys[use] = hex.EncodeToString(key[:])
		}
		v.Links = append(v.Links, x)
	}
	for _, l := range []Link{usual, hinted, room, local, localApp} {
		x := vectorOf(l)
		v.Cases = append(v.Cases, vectorCase{Name: "as it is written: " + l.address(), Text: l.URL(), Strict: true, Link: &x})
	}
	v.mended(usual, localApp)
	v.refused(usual)
	return v
}

// mended adds texts that are not a link's one spelling, and have one reading.
func (v *vectors) mended(l, local Link) {
	u := l.URL()
	add := func(name, text string, l Link) {
		x := vectorOf(l)
		v.Cases = append(v.Cases, vectorCase{Name: name, Text: text, Link: &x})
	}
	for _, c := range [][2]string{
		{"angle brackets", "<" + u + ">"},
		{"a parenthesis and a full stop behind", "(" + u + ")."},
		{"broken over three lines", u[:30] + "\n" + u[30:60] + "\r\n" + u[60:]},
		{"quoted, and broken", "> Here: " + u[:30] + "\n> " + u[30:60] + "\n>\t" + u[60:] + "\n> See you"},
		{"quoted-printable", u[:60] + "=\r\n" + u[60:]},
		{"blanks of a terminal", u[:33] + " " + u[33:60] + "  \n " + u[60:]},
		{"a soft hyphen and a zero-width space", u[:30] + "\u00ad" + u[30:50] + "\u200b" + u[50:]},
		{"# escaped", strings.Replace(u, "#", "%23", 1)},
		{"parameters of a mailer", strings.Replace(u, "#", "?utm_source=mail&v=TOOLONGAHINT#", 1)},
		{"the port that the scheme implies", strings.Replace(u, "/s/", ":443/s/", 1)},
		{"scheme and host in upper case", strings.Replace(strings.Replace(u, "https", "HTTPS", 1), "r.example", "R.EXAMPLE", 1)},
		{"a scheme before the scheme", "https://" + u},
		{"twice the same", u + "\n" + u},
		{"beside its own stump", u[:60] + "\n\n" + u},
	} {
		add(c[0], c[1], l)
	}
	hinted := l
	hinted.Vertical = "c"
	add("two hints: the last counts", strings.Replace(u, "#", "?v=a&x=1&v=c#", 1), hinted)
	local.Relay = "http://localhost:9"
	add("an app link to this very machine, in upper case", strings.Replace(local.URL(), "localhost", "LocalHost", 1), local)
	six := l
	six.Relay = "https://[2001:db8::1]"
	add("an address of version 6 in a longer form", strings.Replace(six.URL(), "2001:db8::1", "2001:0DB8:0:0::1", 1), six)
}

func (v *vectors) refused(l Link) {
	u := l.URL()
	address, secret, _ := strings.Cut(u, "#")
	other := l
	other.Secret[0]++
	host := func(s string) string { return strings.Replace(u, "r.example.org", s, 1) }
	for _, c := range [][4]string{
		{"nothing", "", "no link", "no scheme stands in it"},
		{"prose", "the key is under the mat", "no link", "no scheme stands in it"},
		{"another site", "https://example.org/help", "no link", "its path isn't a share's"},
		{"another scheme", "file:///s/" + strings.SplitN(u, "/s/", 2)[1], "no link", "the scheme isn't one where a link begins"},
		{"far too long", strings.Repeat(" ", MaxText) + u, "no link", "more than 16384 bytes"},
		{"a letter of another script", host("r.ex\u0430mple.org"), "no link", "a word ends at what isn't ASCII"},
		{"kind p", strings.Replace(u, "/s/", "/p/", 1), "no link", "the kind isn't s and digits"},
		{"no secret", address, "no secret", "no # in it"},
		{"an empty secret", address + "#", "no secret", "nothing behind #"},
		{"no secret, and words in the next line", address + "\nSee you tomorrow", "no secret", "the words are no secret"},
		{"a character short", u[:len(u)-1], "damaged", "a secret has 22 characters"},
		{"a character more", u + "A", "damaged", "a secret has 22 characters"},
		{"a character of the id missing", address[:len(address)-1] + "#" + secret, "damaged", "an id has 22 characters"},
		{"padding", u + "==", "damaged", "base64url has no padding here"},
		{"base64, not base64url", u[:len(u)-3] + "+" + u[len(u)-2:], "damaged", "+ is no character of base64url"},
		{"trailing bits of the secret", u[:len(u)-1] + "B", "damaged", "the last character's low bits are zero"},
		{"trailing bits of the id", address[:len(address)-1] + "x#" + secret, "damaged", "the last character's low bits are zero"},
		{"an escape in the id", strings.Replace(u, "/s/", "/s/%41", 1), "damaged", "an id isn't escaped"},
		{"a path behind the id", address + "/x#" + secret, "damaged", "an id has no slash"},
		{"a query behind the secret", u + "?v=a", "damaged", "the hint stands before #"},
		{"a user", host("me:pw@r.example.org"), "damaged", "no link names a user"},
		{"no host", host(""), "damaged", "only sparekey links do without relay"},
		{"no port", host("r.example.org:"), "damaged", "a colon and no port"},
		{"port 0", host("r.example.org:0"), "damaged", "a port is 1 to 65535"},
		{"port 65536", host("r.example.org:65536"), "damaged", "a port is 1 to 65535"},
		{"port 0443", host("r.example.org:0443"), "damaged", "a port has no leading zero"},
		{"half an address", host("127.1"), "damaged", "the last label is a number"},
		{"an address in one number", host("0x7f000001"), "damaged", "the last label is a number"},
		{"an address of version 4 in brackets", host("[192.0.2.1]"), "damaged", "brackets are of version 6"},
		{"an address of version 6 without brackets", host("2001:db8::1"), "damaged", "brackets are of version 6"},
		{"an address with a zone", host("[fe80::1%25eth0]"), "damaged", "a link leads to no zone"},
		{"a label of 64 characters", host(strings.Repeat("a", 64) + ".org"), "damaged", "a label has 63 characters at most"},
		{"an empty label", host("r..example.org"), "damaged", "a label has a character at least"},
		{"a full stop behind the host", host("r.example.org."), "damaged", "a name doesn't end in one"},
		{"a hyphen at a label's end", host("r-.example.org"), "damaged", "a label doesn't end in one"},
		{"an escape in the host", host("r%20.example.org"), "damaged", "a host isn't escaped"},
		{"two links", u + " " + other.URL(), "two links", "their secrets differ"},
		{"two links, the second in the next line", u + "\n" + other.URL(), "two links", "their secrets differ"},
		{"kind s2", strings.Replace(u, "/s/", "/s2/", 1), "version", "kept for later versions"},
		{"scheme sparekey-http", "sparekey-http://127.0.0.1:1" + address[len("https://r.example.org"):] + "#" + secret + ".", "version", "the leftmost place counts, and http begins inside it"},
		{"scheme sparekey2", "sparekey2" + strings.TrimPrefix(u, "https"), "version", "kept for later versions"},
		{"plain http", "http" + strings.TrimPrefix(u, "https"), "insecure", "http is for this very machine"},
		{"plain http to a private address", "http" + strings.TrimPrefix(host("10.0.0.1"), "https"), "insecure", "http is for this very machine"},
		{"plain http to what only begins as localhost", "http" + strings.TrimPrefix(host("localhost.example.org"), "https"), "insecure", "http is for this very machine"},
		{"cut, and words follow", u[:len(u)-12] + "\nSee you tomorrow, Ann", "damaged", "with or without the words there is no whole secret"},
		{"cut by an empty line", u[:60] + "\n\n" + u[60:] + "\nAnn", "damaged", "a link doesn't go on behind an empty line when there are other words"},
	} {
		v.Cases = append(v.Cases, vectorCase{Name: c[0], Text: c[1], Refuse: c[2], Why: c[3]})
	}
}
