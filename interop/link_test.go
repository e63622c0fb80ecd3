package interop

import (
	"encoding/base64"
	"errors"
	"net/netip"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode"
)

// node/link/PROTOCOL.md: reading a link.

// An invitation is what a link says.
type invitation struct {
	relay      string // empty: none
	id, secret [16]byte
	vertical   string
	app        bool
}

// url writes the link in its one spelling.
func (l invitation) url() string {
	scheme, host, _ := strings.Cut(l.relay, "://")
	if l.app {
		scheme = "sparekey"
	}
	hint := ""
	if l.vertical != "" {
		hint = "?v=" + l.vertical
	}
	return scheme + "://" + host + "/s/" + b64(l.id[:]) + hint + "#" + b64(l.secret[:])
}

// The reasons to refuse a link, in the words of the page.
var (
	errNoLink   = errors.New("no link")
	errNoSecret = errors.New("no secret")
	errDamaged  = errors.New("damaged")
	errTwoLinks = errors.New("two links")
	errVersion  = errors.New("version")
	errInsecure = errors.New("insecure")
)

// readLink reads a text with a link in it.
func readLink(text string) (invitation, error) {
	if len(text) > 16384 {
		return invitation{}, errNoLink
	}
	text = cleaned(text)
	l, err := chosen(readings(text))
	if err == nil || errors.Is(err, errTwoLinks) {
		return l, err
	}
	if l, again := chosen(readings(strings.NewReplacer(" ", "", "\n", "").Replace(text))); again == nil {
		return l, nil
	}
	return invitation{}, err
}

func cleaned(text string) string {
	text = strings.NewReplacer("\r\n", "\n", "\r", "\n").Replace(text)
	var b strings.Builder
	for _, r := range text {
		switch {
		case r == '\n':
			b.WriteRune(r)
		case unicode.Is(unicode.Cf, r):
		case unicode.IsControl(r) || unicode.IsSpace(r):
			b.WriteRune(' ')
		default:
			b.WriteRune(r)
		}
	}
	lines := strings.Split(b.String(), "\n")
	for i, line := range lines {
		lines[i] = strings.TrimSuffix(strings.TrimRight(strings.TrimLeft(line, ">| "), " "), "=")
	}
	return strings.Trim(strings.Join(lines, "\n"), " \n")
}

var begins = regexp.MustCompile(`(?i)(?:https?|sparekey[a-z0-9+.-]*)://`)

func readings(text string) (all []string) {
	places := begins.FindAllStringIndex(text, -1)
	for i, place := range places {
		end := len(text)
		if i+1 < len(places) {
			end = places[i+1][0]
		}
		reading := ""
		for n, line := range strings.Split(text[place[0]:end], "\n") {
			word := line
			if i := strings.IndexFunc(line, func(r rune) bool { return r < '!' || r > '~' || strings.ContainsRune(`<>"`, r) }); i >= 0 {
				word = line[:i]
			}
			if n == 12 || n > 0 && word == "" {
				break
			}
			reading += word
			all = append(all, strings.TrimRight(reading, ".,;:!?)]}'*`\\"))
			if word != line {
				break
			}
		}
	}
	return all
}

func chosen(readings []string) (invitation, error) {
	var found []invitation
	refusal := errNoLink
	for _, r := range readings {
		l, err := readOne(r)
		if err == nil && !slices.Contains(found, l) {
			found = append(found, l)
		}
		if err != nil && errors.Is(refusal, errNoLink) {
			refusal = err
		}
	}
	switch len(found) {
	case 0:
		return invitation{}, refusal
	case 1:
		return found[0], nil
	}
	return invitation{}, errTwoLinks
}

var parts = regexp.MustCompile(`^([A-Za-z0-9+.-]+)://([^/?#]*)/(s[0-9]{0,3})/([^?#]*)(?:\?([^#]*))?(?:#(.*))?$`)

func readOne(reading string) (invitation, error) {
	if !strings.Contains(reading, "#") {
		reading = strings.Replace(reading, "%23", "#", 1)
	}
	p := parts.FindStringSubmatch(reading)
	if p == nil {
		return invitation{}, errNoLink
	}
	scheme, authority, kind, id, query, secret := strings.ToLower(p[1]), strings.ToLower(p[2]), p[3], p[4], p[5], p[6]
	l := invitation{app: scheme == "sparekey"}
	if scheme != "http" && scheme != "https" && !l.app {
		return invitation{}, errVersion
	}
	var err error
	if l.relay, err = relayOf(scheme, authority); err != nil {
		return invitation{}, err
	}
	switch {
	case kind != "s":
		return invitation{}, errVersion
	case secret == "":
		return invitation{}, errNoSecret
	}
	if l.id, err = sixteen(id); err == nil {
		l.secret, err = sixteen(secret)
	}
	for _, q := range strings.Split(query, "&") {
		if v, ok := strings.CutPrefix(q, "v="); ok && hint.MatchString(v) {
			l.vertical = v
		}
	}
	return l, err
}

var hint = regexp.MustCompile(`^[a-z0-9]{1,8}$`)

func sixteen(text string) (b [16]byte, err error) {
	got, err := base64.RawURLEncoding.Strict().DecodeString(text)
	if err != nil || len(got) != 16 {
		return b, errDamaged
	}
	return [16]byte(got), nil
}

var (
	hostPort = regexp.MustCompile(`^(\[[^\]]*\]|[^:\[\]]*)(?::([1-9][0-9]{0,4}))?$`)
	dnsName  = regexp.MustCompile(`^[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?(\.[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?)*$`)
	likeIP   = regexp.MustCompile(`^([0-9]+|0x[0-9a-f]*)$`)
)

// relayOf says where a link of this scheme and authority leads.
func relayOf(scheme, authority string) (string, error) {
	if scheme == "sparekey" && authority == "" {
		return "", nil
	}
	p := hostPort.FindStringSubmatch(authority)
	if p == nil {
		return "", errDamaged
	}
	host, this, err := hostOf(p[1])
	if err != nil {
		return "", err
	}
	port := p[2]
	if n, _ := strconv.Atoi(port); n > 65535 {
		return "", errDamaged
	}
	if scheme == "sparekey" {
		scheme = map[bool]string{true: "http", false: "https"}[this]
	}
	if scheme == "http" && !this {
		return "", errInsecure
	}
	if port == map[string]string{"http": "80", "https": "443"}[scheme] {
		port = ""
	}
	if port != "" {
		port = ":" + port
	}
	return scheme + "://" + host + port, nil
}

// hostOf brings a host to its one form, and says whether it is this very machine.
func hostOf(host string) (one string, this bool, err error) {
	if inside, ok := strings.CutPrefix(host, "["); ok {
		a, err := netip.ParseAddr(strings.TrimSuffix(inside, "]"))
		if err != nil || !a.Is6() || a.Zone() != "" {
			return "", false, errDamaged
		}
		return "[" + a.String() + "]", a.Unmap().IsLoopback(), nil
	}
	if a, err := netip.ParseAddr(host); err == nil {
		return a.String(), a.IsLoopback(), nil
	}
	if len(host) > 253 || !dnsName.MatchString(host) || likeIP.MatchString(host[strings.LastIndex(host, ".")+1:]) {
		return "", false, errDamaged
	}
	return host, host == "localhost", nil
}
