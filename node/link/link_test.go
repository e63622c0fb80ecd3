package link

import (
	"encoding/hex"
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
		"broken twice, quoted":  u[:30] + "\n> "[:1] + u[30:60] + "\n" + u[60:],
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
	for _, s := range []string{fmt.Sprint(l), fmt.Sprintf("%v %+v %#v %s", l, l, l, l), l.LogValue().String()} {
		if strings.Contains(s, secret) || strings.Contains(s, hex.EncodeToString(l.Secret[:])) {
			t.Errorf("the secret is shown: %s", s)
		}
	}
}

// TestPrivateRelaysAreTold is a part of LNK-04: who follows the link asks first.
func TestPrivateRelaysAreTold(t *testing.T) {
	for host, want := range map[string]bool{
		"r.example.org": false, "93.184.216.34": false, "[2606:2800::1]:8443": false,
		"localhost": true, "127.0.0.1:80": true, "10.1.2.3": true, "192.168.1.1:22": true, "169.254.169.254": true,
		"[fe80::1]": true, "[fd00::1]": true, "[::ffff:10.0.0.1]": true, "100.64.1.1": true, "printer": true, "nas.local": true, "0.0.0.0": true,
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
		if again, err := Parse(l.URL()); err != nil || again != l {
			t.Errorf("%q opens, but what it prints doesn't read back: %v", s, err)
		}
	})
}
