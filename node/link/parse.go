package link

import (
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"regexp"
	"strings"
	"unicode"
)

// What can be wrong with a link. All are found before any request.
var (
	ErrNoLink   = errors.New("there is no sparekey link in this")
	ErrNoSecret = errors.New("the secret part after # is missing")
	ErrDamaged  = errors.New("the link is damaged")
	ErrTwoLinks = errors.New("there is more than one link in this")
	ErrVersion  = errors.New("the link was made by another version of sparekey")
	ErrInsecure = errors.New("the link leads to a relay without encryption")
)

// MaxText bounds what Parse reads: a message with a link in it.
const MaxText = 16 << 10

// Parse reads a link, or a message with one in it, as mail and chat programs
// leave it: in angle brackets or quotes, with a full stop behind it, broken over
// lines, with soft hyphens. It opens only if there is one reading.
func Parse(s string) (Link, error) {
	if len(s) > MaxText {
		return Link{}, fmt.Errorf("%w: it has %d bytes, far more than a link", ErrNoLink, len(s))
	}
	readings := map[string]Link{}
	var first error
	for _, candidate := range candidates(s) {
		l, err := parse(candidate)
		if err == nil {
			readings[l.URL()] = l
		} else if first == nil || errors.Is(first, ErrDamaged) && !errors.Is(err, ErrDamaged) {
			first = err
		}
	}
	switch {
	case len(readings) == 1:
		for _, l := range readings {
			return l, nil
		}
	case len(readings) > 1:
		return Link{}, ErrTwoLinks
	case first != nil:
		return Link{}, first
	}
	return Link{}, ErrNoLink
}

var start = regexp.MustCompile(`(?i)(https?|sparekey)://`)

// candidates returns the pieces of a text that may be links: from each scheme
// to the next white space, and, for links broken over lines, the same with all
// white space up to the next scheme taken out and cut to a link's length.
func candidates(s string) []string {
	s = strings.Map(func(r rune) rune {
		if unicode.Is(unicode.Cf, r) || r == '\u00ad' {
			return -1
		}
		return r
	}, s)
	at := start.FindAllStringIndex(s, -1)
	var out []string
	for i, m := range at {
		end := len(s)
		if i+1 < len(at) {
			end = at[i+1][0]
		}
		piece := s[m[0]:end]
		if whole, broken := firstWord(piece); whole != "" {
			out = append(out, trim(whole))
			if broken != "" && !complete.MatchString(trim(whole)) {
				out = append(out, trim(broken))
			}
		}
	}
	return out
}

// complete matches what needs no mending.
var complete = regexp.MustCompile(`/s[0-9]*/[A-Za-z0-9_-]{22}(\?[^#\s]*)?#[A-Za-z0-9_-]{22}$`)

var broken = regexp.MustCompile(`^[^#]*/s[0-9]*/[A-Za-z0-9_-]{22}(\?[^#]*?)?#[A-Za-z0-9_-]{22}`)

// firstWord returns the piece up to white space, and the piece with its line
// breaks taken out, as far as a whole link goes.
func firstWord(piece string) (whole, mended string) {
	fields := strings.Fields(piece)
	if len(fields) == 0 {
		return "", ""
	}
	if joined := strings.Join(fields, ""); len(fields) > 1 {
		mended = broken.FindString(joined)
	}
	return fields[0], mended
}

// trim takes off what mail puts around a link.
func trim(s string) string { return strings.TrimRight(s, ".,;:!?)]}>\"'*`”’»") }

func parse(s string) (Link, error) {
	u, err := url.Parse(s)
	if err != nil {
		return Link{}, ErrDamaged // the parser's own error shows the text, and so the secret
	}
	l := Link{App: strings.EqualFold(u.Scheme, "sparekey")}
	if err := l.relay(u); err != nil {
		return Link{}, err
	}
	prefix, id, ok := strings.Cut(strings.TrimPrefix(u.Path, "/"), "/")
	switch {
	case !ok || !strings.HasPrefix(u.Path, "/"):
		return Link{}, ErrNoLink
	case prefix != "s" && versioned.MatchString(prefix):
		return Link{}, fmt.Errorf("%w: it is of kind %q, this program knows \"s\"", ErrVersion, prefix)
	case prefix != "s":
		return Link{}, ErrNoLink
	case u.Fragment == "":
		return Link{}, ErrNoSecret
	}
	if l.ID, err = untext(id); err != nil {
		return Link{}, err
	}
	if l.Secret, err = untext(u.Fragment); err != nil {
		return Link{}, err
	}
	if v := u.Query().Get("v"); vertical.MatchString(v) {
		l.Vertical = v
	}
	return l, nil
}

var (
	versioned = regexp.MustCompile(`^s[0-9]{1,3}$`)
	vertical  = regexp.MustCompile(`^[a-z0-9]{1,8}$`)
	hostForm  = regexp.MustCompile(`^(\[[0-9a-fA-F:.]+\]|[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?\.?)(:[0-9]{1,5})?$`)
)

// relay takes the relay's base URL out of u.
func (l *Link) relay(u *url.URL) error {
	host := strings.ToLower(u.Host)
	switch {
	case u.User != nil:
		return fmt.Errorf("%w: it names a user, which no link does", ErrDamaged)
	case host == "" && l.App:
		return nil
	case !hostForm.MatchString(host):
		return fmt.Errorf("%w: what should be the relay's host isn't one", ErrDamaged)
	}
	scheme := strings.ToLower(u.Scheme)
	here := loopback(hostname(host))
	switch {
	case scheme == "http" && !here:
		return fmt.Errorf("%w: plain http is for a relay on this very machine", ErrInsecure)
	case l.App && here:
		scheme = "http" // a relay on this machine has no certificate
	case l.App:
		scheme = "https"
	}
	l.Relay = scheme + "://" + host
	return nil
}

func loopback(name string) bool {
	a, err := netip.ParseAddr(name)
	return err == nil && a.Unmap().IsLoopback() || name == "localhost"
}
