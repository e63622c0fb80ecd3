package link

import (
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func example() Link {
	l := Link{Relay: "https://r.example.org"}
	for i := range l.ID {
		l.ID[i], l.Secret[i] = byte(i*7), byte(200-i)
	}
	return l
}

func TestLinkReadsBackAsItWasPrinted(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		l := Link{
			Relay:    rapid.SampledFrom([]string{"https://r.example.org", "https://192.0.2.7:8443", "https://[2001:db8::1]", "http://127.0.0.1:8080", "http://[::1]:9", ""}).Draw(t, "relay"),
			ID:       [16]byte(rapid.SliceOfN(rapid.Byte(), 16, 16).Draw(t, "id")),
			Secret:   [16]byte(rapid.SliceOfN(rapid.Byte(), 16, 16).Draw(t, "secret")),
			Vertical: rapid.SampledFrom([]string{"", "a", "h", "c"}).Draw(t, "vertical"),
			App:      rapid.Bool().Draw(t, "app"),
		}
		if l.Relay == "" {
			l.App = true
		}
		got, err := Parse(l.URL())
		if err != nil || got != l {
			t.Fatalf("%q reads as %#v, %v", l.URL(), got, err)
		}
		if n := len(l.URL()) - len(l.Host()); n > 100 {
			t.Fatalf("beside the host a link has %d characters, at most 100 are promised", n)
		}
	})
}

// TestLinkBrokenByMailOpensIfOneReadingIsPossible is LNK-01.
func TestLinkBrokenByMailOpensIfOneReadingIsPossible(t *testing.T) {
	l := example()
	u := l.URL()
	for name, s := range map[string]string{
		"alone":                 u,
		"in angle brackets":     "<" + u + ">",
		"quoted":                `"` + u + `"`,
		"a full stop behind":    u + ".",
		"in parentheses":        "(" + u + ").",
		"a line break in it":    u[:40] + "\r\n" + u[40:],
		"broken twice":          u[:30] + "\n" + u[30:60] + "\n" + u[60:],
		"in a quoted answer":    "> Here it is: " + u[:30] + "\n> " + u[30:60] + "\n>\t" + u[60:] + "\n> See you",
		"broken and indented":   "  " + u[:50] + "\n  " + u[50:] + ".\n",
		"quoted-printable":      u[:60] + "=\r\n" + u[60:],
		"blanks of a terminal":  u[:33] + " " + u[33:60] + "  \n " + u[60:],
		"of a page":             `<p>Key: <a href="` + u + `">` + u + `</a>`,
		"of Markdown":           "[the key](" + u + ")",
		"in typographic quotes": "\u201e" + u + "\u201c",
		"beside other sites":    "See https://example.org/help, then " + u + " or www.example.org",
		"beside its own stump":  u[:60] + "\n\n" + u,
		"# escaped":             strings.Replace(u, "#", "%23", 1),
		"a mailer's parameters": strings.Replace(u, "#", "?utm_source=mail#", 1),
		"the usual port":        strings.Replace(u, "/s/", ":443/s/", 1),
		"soft hyphens":          u[:30] + "\u00ad" + u[30:50] + "\u200b" + u[50:],
		"a message around it":   "Here is the spare key:\n\n" + u + "\n\nSee you, Ann",
		"twice the same":        u + "\n" + u,
		"upper case scheme":     "HTTPS" + u[5:],
		"words right behind it": u + ", and call me",
	} {
		if got, err := Parse(s); err != nil || got != l {
			t.Errorf("%s: got %v, %v", name, got, err)
		}
	}
}

func TestWhatIsNoLinkIsRefusedBeforeAnyRequest(t *testing.T) {
	l := example()
	u := l.URL()
	other := l
	other.Secret[0]++
	address, secret, _ := strings.Cut(u, "#")
	for name, c := range map[string]struct {
		s    string
		want error
	}{
		"nothing":                    {"", ErrNoLink},
		"prose":                      {"the key is under the mat", ErrNoLink},
		"another site":               {"https://example.org/", ErrNoLink},
		"no secret":                  {address, ErrNoSecret}, // LNK-02
		"an empty secret":            {address + "#", ErrNoSecret},
		"a character short":          {u[:len(u)-1], ErrDamaged},
		"a character more":           {u + "A", ErrDamaged},
		"a character that can't be":  {u[:len(u)-3] + "*" + u[len(u)-2:], ErrDamaged},
		"trailing bits":              {address + "#" + secret[:21] + "B", ErrDamaged},
		"cut, and words follow":      {u[:len(u)-12] + "\nSee you tomorrow, Ann", ErrDamaged},
		"cut, and its tail is gone":  {u[:60] + "\n\n" + u[61:], ErrDamaged},
		"words and an empty line":    {"Hello,\n" + u[:60] + "\n\n" + u[60:] + "\nAnn", ErrDamaged},
		"no secret, and words":       {address + "\nSee you tomorrow", ErrNoSecret},
		"no port":                    {strings.Replace(u, ".org/", ".org:/", 1), ErrDamaged},
		"port zero":                  {strings.Replace(u, ".org/", ".org:0/", 1), ErrDamaged},
		"a port too high":            {strings.Replace(u, ".org/", ".org:65536/", 1), ErrDamaged},
		"half an address":            {strings.Replace(u, "r.example.org", "127.1", 1), ErrDamaged},
		"an address in one number":   {strings.Replace(u, "r.example.org", "0x7f000001", 1), ErrDamaged},
		"letters of another script":  {strings.Replace(u, "example", "ex\u0430mple", 1), ErrNoLink},
		"a newer scheme":             {"sparekey2" + u[5:], ErrVersion},
		"two links":                  {u + " " + other.URL(), ErrTwoLinks},
		"a newer kind":               {strings.Replace(u, "/s/", "/s2/", 1), ErrVersion},
		"plain http":                 {"http" + u[5:], ErrInsecure},
		"a user in it":               {strings.Replace(u, "//", "//me:pw@", 1), ErrDamaged},
		"a file":                     {"file:///s/" + strings.SplitN(u, "/s/", 2)[1], ErrNoLink},
		"far too long":               {strings.Repeat(" ", MaxText) + u, ErrNoLink},
		"a host with spaces in it":   {strings.Replace(u, "r.example", "r%20example", 1), ErrDamaged},
		"an escape in the id":        {strings.Replace(u, "/s/", "/s/%41", 1), ErrDamaged},
		"a path behind the id":       {address + "/x#" + secret, ErrDamaged},
		"a link without host, https": {"https:///s/" + strings.SplitN(u, "/s/", 2)[1], ErrDamaged},
	} {
		got, err := Parse(c.s)
		if !errors.Is(err, c.want) {
			t.Errorf("%s: %v, %v; want %v", name, got, err, c.want)
		}
		if err != nil && strings.Contains(err.Error(), secret[:8]) {
			t.Errorf("%s: the error shows the secret: %v", name, err)
		}
	}
}

func TestPrintingALinkShowsNoSecret(t *testing.T) {
	l := example()
	_, secret, _ := strings.Cut(l.URL(), "#")
	for _, s := range []string{fmt.Sprint(l), fmt.Sprintf("%v %+v %#v %s %q", l, l, l, l, l), l.LogValue().String(), marshalled(t, l)} {
		if strings.Contains(s, secret) || strings.Contains(s, hex.EncodeToString(l.Secret[:])) {
			t.Errorf("the secret is shown: %s", s)
		}
	}
	k := l.Keys()
	for _, s := range []string{fmt.Sprintf("%v %+v %#v %x %d", k, k, k, k, k), fmt.Sprintf("%x %d", l, l), k.LogValue().String(), marshalled(t, k)} {
		for _, shown := range []string{hex.EncodeToString(k.PSK[:]), fmt.Sprint(k.PSK[:3])[1:], fmt.Sprint(l.Secret[:3])[1:], hex.EncodeToString(l.Secret[:])} {
			if strings.Contains(s, strings.TrimSuffix(shown, "]")) {
				t.Errorf("a key is shown: %s", s)
			}
		}
	}
}

func marshalled(t *testing.T, v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// TestRelaysAreGivenInOneForm is a part of LNK-04: what leads elsewhere than it
// seems to is refused, and two forms of one relay are not two relays.
func TestRelaysAreGivenInOneForm(t *testing.T) {
	for given, want := range map[string]string{
		"https://R.Example.org/": "https://r.example.org", "https://r.example.org:443": "https://r.example.org",
		"https://r.example.org:8443": "https://r.example.org:8443", "https://[2001:DB8:0::1]": "https://[2001:db8::1]",
		"http://127.0.0.1:8080": "http://127.0.0.1:8080", "http://localhost:80": "http://localhost", "http://[::1]:9": "http://[::1]:9",
	} {
		if got, err := ParseRelay(given); err != nil || got != want {
			t.Errorf("%s is %q, %v; want %s", given, got, err, want)
		}
	}
	for given, want := range map[string]error{
		"http://r.example.org": ErrInsecure, "http://10.0.0.1": ErrInsecure, "http://localhost.example.org": ErrInsecure,
		"r.example.org": ErrDamaged, "": ErrDamaged, "ftp://r.example.org": ErrDamaged, "https://": ErrDamaged,
		"https://a@b": ErrDamaged, "https://a/b": ErrDamaged, "https://2001:db8::1": ErrDamaged, "https://[fe80::1%25eth0]": ErrDamaged,
		"https://-a": ErrDamaged, "https://a..b": ErrDamaged, "https://" + strings.Repeat("a.", 127): ErrDamaged, "https://1.2.3.4.5": ErrDamaged,
	} {
		if got, err := ParseRelay(given); !errors.Is(err, want) {
			t.Errorf("%s is %q, %v; want %v", given, got, err, want)
		}
	}
}

func TestNeighboursOfALinkAreNeverAnotherOne(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		l := example()
		before := rapid.SampledFrom([]string{"", "<", "(", "\"", "text ", "a\nb\n", "> "}).Draw(t, "before")
		after := rapid.SampledFrom([]string{"", ">", ").", "\"", " text", "\nmore", "\n\nAAAA", ",", "...", "\u200b"}).Draw(t, "after")
		u := l.URL()
		for range rapid.IntRange(0, 4).Draw(t, "breaks") {
			at := rapid.IntRange(len("https://"), len(u)).Draw(t, "at")
			u = u[:at] + rapid.SampledFrom([]string{"\n", "\r\n", "\n  ", "\u00ad", "\u200b"}).Draw(t, "break") + u[at:]
		}
		got, err := Parse(before + u + after)
		if err == nil && got != l {
			t.Fatalf("%q is read as another link", before+u+after)
		}
	})
}

// TestPrivateRelaysAreTold is a part of LNK-04: who follows the link asks first.
func TestPrivateRelaysAreTold(t *testing.T) {
	for host, want := range map[string]bool{
		"r.example.org": false, "93.184.216.34": false, "[2606:2800::1]:8443": false,
		"localhost": true, "127.0.0.1:80": true, "10.1.2.3": true, "192.168.1.1:22": true, "169.254.169.254": true,
		"[fe80::1]": true, "[fd00::1]": true, "[::ffff:10.0.0.1]": true, "100.64.1.1": true, "printer": true, "nas.local": true, "0.0.0.0": true,
		"[64:ff9b::a00:1]": true, "[2002:a00:1::1]": true, "198.18.0.1": true, "0.1.2.3": true, "nas.lan": true, "x.home.arpa": true, "lan.example": false,
	} {
		if got := (Link{Relay: "https://" + host}).Private(); got != want {
			t.Errorf("%s: private is %v, want %v", host, got, want)
		}
	}
	if (Link{}).Private() {
		t.Error("a link without relay asks for nothing")
	}
	if !(Link{Relay: "http://127.0.0.1:1"}).Loopback() || (Link{Relay: "https://r.example.org"}).Loopback() {
		t.Error("loopback is this very machine, and nothing else is")
	}
}

// TestKeysAreThoseOfTheProtocol holds the derivation against values made apart
// from this code (RFC 5869 by another implementation).
func TestKeysAreThoseOfTheProtocol(t *testing.T) {
	k := example().Keys()
	seen := map[[32]byte]bool{}
	for _, key := range [][32]byte{k.PSK, k.Offer, k.View, k.Topic, k.Path, k.Unattended} {
		seen[key] = true
	}
	if len(seen) != 6 {
		t.Error("two labels give one key")
	}
	other := example()
	other.ID[3] ^= 1
	if other.Keys().PSK == k.PSK {
		t.Error("the keys are not bound to the share id")
	}
	for name, c := range map[string]struct {
		got  [32]byte
		want string
	}{"psk": {k.PSK, wantPSK}, "view": {k.View, wantView}} {
		if hex.EncodeToString(c.got[:]) != c.want {
			t.Errorf("%s is %x, want %s", name, c.got, c.want)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add(example().URL())
	f.Add("<https://r.example.org/s/AAAA#B>")
	f.Add("sparekey:///s/AAAAAAAAAAAAAAAAAAAAAA#AAAAAAAAAAAAAAAAAAAAAA?v=a")
	f.Fuzz(func(t *testing.T, s string) {
		l, err := Parse(s)
		if err != nil {
			return
		}
		if l.Relay != "" {
			if relay, err := ParseRelay(l.Relay); err != nil || relay != l.Relay {
				t.Errorf("%q leads to %q, which isn't a relay's one form: %v", s, l.Relay, err)
			}
		}
		if again, err := Parse(l.URL()); err != nil || again != l {
			t.Errorf("%q opens, but what it prints doesn't read back: %v", s, err)
		}
	})
}
