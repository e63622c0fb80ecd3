package credential

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"
)

// MaxMessage is the largest message of a dialogue, in bytes.
const MaxMessage = 1 << 20

// Info is provisioning information: what the receiver needs to add a
// credential, as one message. On the wire it is a JSON object with "format" and
// "content"; other top-level keys are tolerated, doubled ones are not. PROTOCOL.md has the rest.
type Info struct {
	Format  string          `json:"format"`
	Content json.RawMessage `json:"content"`
}

// maxDepth is far more than any content needs.
const maxDepth = 64

// EncodeInfo returns provisioning information as a message.
func EncodeInfo(format string, content any) ([]byte, error) {
	c, err := json.Marshal(content)
	if err != nil {
		return nil, err
	}
	b, err := json.Marshal(Info{format, c})
	if err == nil && len(b) > MaxMessage {
		err = fmt.Errorf("%w: the credential is too large: %d bytes as a message, at most %d fit", ErrFinal, len(b), MaxMessage)
	}
	return b, err
}

// DecodeInfo reads provisioning information of a format into content. What is
// wrong with it no waiting mends: errors wrap ErrFinal. Names count as they are
// written, which encoding/json doesn't hold a struct to: a content whose names
// matter is best read into a map.
func DecodeInfo(b []byte, format string, content any) error {
	if len(b) > MaxMessage {
		return fmt.Errorf("%w: provisioning information of %d bytes, at most %d", ErrFinal, len(b), MaxMessage)
	}
	if err := wellFormed(b); err != nil {
		return fmt.Errorf("%w: the provisioning information can't be read: %w", ErrFinal, err)
	}
	var info fields
	if err := json.Unmarshal(b, &info); err != nil {
		return fmt.Errorf("%w: the provisioning information can't be read: %w", ErrFinal, err)
	}
	is, err := info.text("format")
	if err != nil {
		return err
	}
	if is != format {
		return fmt.Errorf("%w: provisioning information for %q came where %q was announced", ErrFinal, Display(is, 40), format)
	}
	if len(info["content"]) == 0 {
		return fmt.Errorf("%w: the provisioning information has no content", ErrFinal)
	}
	if err := json.Unmarshal(info["content"], content); err != nil {
		return fmt.Errorf("%w: the content is none of format %s: %w", ErrFinal, format, err)
	}
	return nil
}

// fields are an object's values by their names, just as these are written.
type fields map[string]json.RawMessage

// text returns a string that has to be there; null is none.
func (f fields) text(name string) (s string, err error) {
	if raw := f[name]; len(raw) == 0 || raw[0] != '"' || json.Unmarshal(raw, &s) != nil {
		return "", fmt.Errorf("%w: %q is missing, or no string", ErrFinal, name)
	}
	return s, nil
}

// mode returns a number that has to be there, in digits alone.
func (f fields) mode(name string) (fs.FileMode, error) {
	n, err := strconv.ParseUint(string(f[name]), 10, 32)
	if err != nil {
		return 0, fmt.Errorf("%w: %q is missing, or no whole number below 2³²", ErrFinal, name)
	}
	return fs.FileMode(n), nil
}

// bytes returns what a string that has to be there holds in base64. It has one
// spelling: the library lets line ends pass, and bits behind the last byte.
func (f fields) bytes(name string) ([]byte, error) {
	s, err := f.text(name)
	if err != nil {
		return nil, err
	}
	b, err := base64.StdEncoding.Strict().DecodeString(s)
	if err != nil || strings.ContainsAny(s, "\r\n") {
		return nil, fmt.Errorf("%w: %q is no base64", ErrFinal, name) // the library's error shows bytes of it
	}
	return b, nil
}

// wellFormed checks what encoding/json lets pass: other text than UTF-8, halves
// of surrogate pairs, doubled keys, depth, and a second value behind the first.
func wellFormed(b []byte) error {
	if !utf8.Valid(b) {
		return errors.New("it isn't UTF-8")
	}
	d := json.NewDecoder(bytes.NewReader(b))
	d.UseNumber()
	if err := value(d, 0); err != nil {
		return err
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return errors.New("something stands behind it")
	}
	if halfPair(b) {
		return errors.New("an escape in it is half a character")
	}
	return nil
}

// halfPair reports whether JSON has an escape of one surrogate without the other,
// which stands for no character. Readers differ in what they make of it.
func halfPair(b []byte) bool {
	unit := func(at int) rune {
		n, _ := strconv.ParseUint(string(b[at:at+4]), 16, 16)
		return rune(n)
	}
	for i := 0; i < len(b); i++ {
		if b[i] != '\\' {
			continue
		}
		if i++; b[i] != 'u' || !utf16.IsSurrogate(unit(i+1)) {
			continue
		}
		first := unit(i + 1)
		i += 4
		if !bytes.HasPrefix(b[i+1:], []byte(`\u`)) || utf16.DecodeRune(first, unit(i+3)) == unicode.ReplacementChar {
			return true
		}
		i += 6
	}
	return false
}

func value(d *json.Decoder, depth int) error {
	if depth > maxDepth {
		return fmt.Errorf("it is nested deeper than %d levels", maxDepth)
	}
	t, err := d.Token()
	if err != nil {
		return err
	}
	open, ok := t.(json.Delim)
	if !ok {
		return nil
	}
	keys := map[string]bool{}
	for d.More() {
		if open == '{' {
			k, err := d.Token()
			if err != nil {
				return err
			}
			name, _ := k.(string)
			name = strings.Map(fold, name) // many libraries take names in any case
			if keys[name] {
				return fmt.Errorf("a key stands in it twice")
			}
			keys[name] = true
		}
		if err := value(d, depth+1); err != nil {
			return err
		}
	}
	_, err = d.Token()
	return err
}

// fold returns one and the same rune for all that differ in case alone (Unicode's
// simple case folding).
func fold(r rune) rune {
	least := r
	for x := unicode.SimpleFold(r); x != r; x = unicode.SimpleFold(x) {
		least = min(least, x)
	}
	return least
}
