package credential

import (
	"strings"
	"unicode"
)

// Display makes a foreign text harmless for a terminal: no control characters,
// no escapes, nothing invisible or that turns the direction of writing, one
// line, at most max characters.
func Display(s string, max int) string {
	var b strings.Builder
	n := 0
	for _, r := range s {
		switch {
		case unicode.IsSpace(r):
			r = ' '
		case r == unicode.ReplacementChar, !unicode.IsPrint(r):
			r = '·'
		case unicode.Is(unicode.Mn, r) && n == 0:
			continue
		}
		if n++; n > max {
			b.WriteString("…")
			break
		}
		b.WriteRune(r)
	}
	return strings.TrimSpace(b.String())
}
