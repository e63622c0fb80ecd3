package link

import (
	"errors"
	"fmt"
	"strings"
	"unicode"
)

// What can be wrong with a link. All are found before any request.
var (
	ErrNoLink   = errors.New("there is no sparekey link in this")
	ErrNoSecret = errors.New("the secret part after # is missing")
	ErrDamaged  = errors.New("the link is damaged")
	ErrTwoLinks = errors.New("there is more than one link in this")
	ErrVersion  = errors.New("the link was made by a newer version of sparekey")
	ErrInsecure = errors.New("the link leads to a relay without encryption")
)

// MaxText bounds what Parse reads: a message with a link in it.
const MaxText = 16 << 10

// Parse reads a link, or a message with one in it, as mail and chat programs
// leave it: in angle brackets or quotes, with a full stop behind it, broken over
// lines, with soft hyphens. It opens only if there is one reading; its errors
// show nothing of the link.
func Parse(s string) (Link, error) {
	if len(s) > MaxText {
		return Link{}, fmt.Errorf("%w: it has %d bytes, far more than a link", ErrNoLink, len(s))
	}
	s = clean(s)
	l, err := choose(readings(s))
	if err == nil || errors.Is(err, ErrTwoLinks) {
		return l, err
	}
	// A terminal may have put blanks into it. Without any other words there is
	// still but one reading.
	if joined := strings.Join(strings.Fields(s), ""); joined != s {
		if l, err := choose(readings(joined)); err == nil {
			return l, nil
		}
	}
	return Link{}, err
}

// choose returns the one link that the texts can be read as.
func choose(texts []string) (Link, error) {
	found := map[Link]bool{}
	var first error
	for _, text := range texts {
		l, err := parse(text)
		switch {
		case err == nil:
			found[l] = true
		case first == nil, errors.Is(first, ErrNoLink) && !errors.Is(err, ErrNoLink):
			first = err // another site's link says less than a broken one of ours
		}
	}
	switch {
	case len(found) > 1:
		return Link{}, ErrTwoLinks
	case len(found) == 0 && first != nil:
		return Link{}, first
	case len(found) == 0:
		return Link{}, ErrNoLink
	}
	for l := range found {
		return l, nil
	}
	panic("unreachable")
}

// clean takes out what can't be seen, and mail's marks at the ends of lines.
func clean(s string) string {
	s = strings.Map(func(r rune) rune {
		switch {
		case r == '\r':
			return '\n'
		case r != '\n' && (unicode.IsControl(r) || unicode.IsSpace(r)):
			return ' '
		case unicode.Is(unicode.Cf, r): // zero-width, soft hyphen, marks of direction
			return -1
		}
		return r
	}, strings.ReplaceAll(s, "\r\n", "\n"))
	lines := strings.Split(s, "\n")
	for i, line := range lines {
		line = strings.TrimSpace(strings.TrimLeft(line, "> |")) // a quoted message's
		lines[i] = strings.TrimSuffix(line, "=")                // quoted-printable: goes on in the next line
	}
	return strings.TrimSpace(strings.Join(lines, "\n"))
}

// Texts are taken apart by hand here: patterns would be compiled at every start of
// the program (docs/bench.md).

const (
	digits      = "0123456789"
	letters     = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
	schemeChars = letters + digits + "+.-"
)

// only reports whether a text has no other characters than these.
func only(s, chars string) bool { return strings.Trim(s, chars) == "" }

// starts returns where in s a link may start: with http, https, or a scheme that
// begins as ours do. Unknown ones of these are read, to be refused by name.
func starts(s string) (all []int) {
	for from := 0; ; {
		n := strings.Index(s[from:], "://")
		if n < 0 {
			return all
		}
		end := from + n
		run := end - len(s[from:end]) + len(strings.TrimRight(s[from:end], schemeChars))
		if at := startOf(strings.ToLower(s[run:end])); at >= 0 {
			all = append(all, run+at)
		}
		from = end + len("://")
	}
}

// startOf returns where in a scheme with letters before it the link starts; -1: nowhere.
func startOf(run string) int {
	if at := strings.Index(run, appScheme); at >= 0 {
		return at
	}
	for _, web := range []string{"https", "http"} {
		if strings.HasSuffix(run, web) {
			return len(run) - len(web)
		}
	}
	return -1
}

// maxLines is over how many lines a link may be broken.
const maxLines = 12

// readings returns the texts in s that may be links: from each scheme to the end
// of the word, and where that is the end of its line, also with the first words
// of the next lines, as long as each of them is all of its line.
func readings(s string) (all []string) {
	at := starts(s)
	for i, start := range at {
		end := len(s)
		if i+1 < len(at) {
			end = at[i+1]
		}
		text := ""
		for n, line := range strings.Split(s[start:end], "\n") {
			word, more := firstWord(line)
			if n == maxLines || word == "" && n > 0 {
				break
			}
			text += word
			all = append(all, trim(text))
			if more {
				break
			}
		}
	}
	return all
}

// firstWord cuts a line where a link must end, and reports whether it went on.
func firstWord(line string) (word string, more bool) {
	end := strings.IndexFunc(line, func(r rune) bool {
		return r <= ' ' || r > '~' || strings.ContainsRune(`<>"`, r)
	})
	if end < 0 {
		return line, false
	}
	return line[:end], true
}

// trim takes off what is put behind a link. A link itself ends in none of these.
func trim(s string) string { return strings.TrimRight(s, ".,;:!?)]}'*`\\") }

// parts are what a link is made of: scheme://authority/kind/id?query#secret.
type parts struct{ scheme, authority, kind, id, query, secret string }

// split takes a link apart, or what has become of one.
func split(s string) (p parts, ok bool) {
	if p.scheme, s, ok = strings.Cut(s, "://"); !ok || p.scheme == "" || !only(p.scheme, schemeChars) {
		return p, false
	}
	n := strings.IndexAny(s, "/?#")
	if n < 0 || s[n] != '/' {
		return p, false
	}
	p.authority, s = s[:n], s[n+1:]
	p.kind, s, ok = strings.Cut(s, "/")
	version, isOurs := strings.CutPrefix(p.kind, "s")
	if !ok || !isOurs || len(version) > 3 || !only(version, digits) {
		return p, false
	}
	s, p.secret, _ = strings.Cut(s, "#")
	p.id, p.query, _ = strings.Cut(s, "?")
	return p, true
}

// parse reads exactly one link.
func parse(s string) (Link, error) {
	if !strings.Contains(s, "#") {
		s = strings.Replace(s, "%23", "#", 1) // some programs escape it
	}
	p, ok := split(s)
	if !ok {
		return Link{}, ErrNoLink
	}
	l := Link{App: strings.EqualFold(p.scheme, appScheme)}
	if err := l.follow(strings.ToLower(p.scheme), strings.ToLower(p.authority)); err != nil {
		return Link{}, err
	}
	switch {
	case p.kind != "s":
		return Link{}, fmt.Errorf("%w: it is of kind %q, this version knows \"s\"", ErrVersion, p.kind)
	case p.secret == "":
		return Link{}, ErrNoSecret
	}
	var err error
	if l.ID, err = untext(p.id); err != nil {
		return Link{}, fmt.Errorf("%w: the share id %w", ErrDamaged, err)
	}
	if l.Secret, err = untext(p.secret); err != nil {
		return Link{}, fmt.Errorf("%w: the secret part after # %w", ErrDamaged, err)
	}
	for param := range strings.SplitSeq(p.query, "&") {
		if v, ok := strings.CutPrefix(param, "v="); ok && isVertical(v) {
			l.Vertical = v
		}
	}
	return l, nil
}

func isVertical(s string) bool {
	return s != "" && len(s) <= 8 && only(s, digits+"abcdefghijklmnopqrstuvwxyz")
}

// follow sets where a link of this scheme and authority leads.
func (l *Link) follow(scheme, authority string) (err error) {
	switch {
	case scheme != "http" && scheme != "https" && scheme != appScheme:
		return fmt.Errorf("%w: its scheme is not known", ErrVersion)
	case strings.Contains(authority, "@"):
		return fmt.Errorf("%w: it names a user, which no link does", ErrDamaged)
	case authority == "" && l.App:
		return nil
	}
	if l.App {
		scheme = "https"
		if (Link{Relay: "https://" + authority}).Loopback() {
			scheme = "http" // a relay on this very machine has no certificate
		}
	}
	l.Relay, err = ParseRelay(scheme + "://" + authority)
	return err
}
