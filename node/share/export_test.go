package share

import (
	"fmt"
	"testing"
)

// RecordRows notes for the rest of a test which rows of the tables are taken;
// the function it returns names those that were not.
func RecordRows(t *testing.T) (untaken func() []string) {
	var missing []func() string
	record(t, "sender", senderRules, &missing)
	record(t, "receiver", receiverRules, &missing)
	return func() (rows []string) {
		for _, m := range missing {
			if row := m(); row != "" {
				rows = append(rows, row)
			}
		}
		return rows
	}
}

func record[M any](t *testing.T, side string, rules []rule[M], missing *[]func() string) {
	for i := range rules {
		r, taken := rules[i], false
		rules[i].do = func(m *M, c *cause) {
			taken = true
			if r.do != nil {
				r.do(m, c)
			}
		}
		*missing = append(*missing, func() string {
			if taken {
				return ""
			}
			return fmt.Sprintf("%s: %s, %q [%s] → %s", side, r.from, r.on, r.when, r.to)
		})
		t.Cleanup(func() { rules[i] = r })
	}
}

// A Body is what a data frame carries.
type Body = body

// DecodeBody reads a body as a device does; a word that isn't known is no error.
func DecodeBody(b []byte) (Body, error) { return decodeBody(b) }

// EncodeBody writes a body as a device does.
func EncodeBody(b Body) []byte { return encode(b) }

// Pieces splits a message over bodies.
func Pieces(msg []byte, grants bool) []Body { return pieces(msg, grants) }
