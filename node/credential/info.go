package credential

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
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
// wrong with it no waiting mends: errors wrap ErrFinal.
func DecodeInfo(b []byte, format string, content any) error {
	if len(b) > MaxMessage {
		return fmt.Errorf("%w: provisioning information of %d bytes, at most %d", ErrFinal, len(b), MaxMessage)
	}
	if err := wellFormed(b); err != nil {
		return fmt.Errorf("%w: the provisioning information can't be read: %w", ErrFinal, err)
	}
	var info Info
	if err := json.Unmarshal(b, &info); err != nil {
		return fmt.Errorf("%w: the provisioning information can't be read: %w", ErrFinal, err)
	}
	if info.Format != format {
		return fmt.Errorf("%w: provisioning information for %q came where %q was announced", ErrFinal, Display(info.Format, 40), format)
	}
	if len(info.Content) == 0 {
		return fmt.Errorf("%w: the provisioning information has no content", ErrFinal)
	}
	if err := json.Unmarshal(info.Content, content); err != nil {
		return fmt.Errorf("%w: the content is none of format %s: %w", ErrFinal, format, err)
	}
	return nil
}

// wellFormed checks what encoding/json lets pass: other text than UTF-8, doubled
// keys, depth, and a second value behind the first.
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
	return nil
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
			name = strings.ToLower(strings.ToUpper(name)) // encoding/json takes names in any case
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
