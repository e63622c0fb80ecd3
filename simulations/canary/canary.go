// Package canary looks through bytes for words that nobody may see there, however
// they are spelled. Tests plant the words, and name them by what they are.
package canary

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
)

// Words are what must not be found, by name. A short word is found by chance.
type Words map[string][]byte

// Find returns a sentence for every word that stands in b.
func (w Words) Find(b []byte) (found []string) {
	for what, word := range w {
		for _, s := range Spellings(word) {
			if bytes.Contains(b, s) {
				found = append(found, fmt.Sprintf("the %s stands there as %q", what, s))
			}
		}
	}
	slices.Sort(found)
	return found
}

// Spellings returns the ways in which a word may stand in other bytes: raw, in
// hex, and in base64 at each of its three alignments, in both alphabets.
func Spellings(word []byte) [][]byte {
	all := [][]byte{word, []byte(hex.EncodeToString(word)), []byte(strings.ToUpper(hex.EncodeToString(word)))}
	for shift := range 3 {
		padded := append(make([]byte, shift), word...)
		for _, e := range []*base64.Encoding{base64.RawStdEncoding, base64.RawURLEncoding} {
			text := e.EncodeToString(padded)
			// The first letters hold bits of what stands before, the last ones of what stands behind.
			from, to := (shift*8+5)/6, len(padded)*8/6
			all = append(all, []byte(text[from:to]))
		}
	}
	return all
}
