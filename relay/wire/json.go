package wire

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
)

// readers are the fields that an object may have, and how each is read.
type readers map[string]func(json.RawMessage) error

// object reads one JSON object whose fields all have a reader, each at most
// once, and those that must be there.
func object(b []byte, known readers, must ...string) error {
	if len(b) > MaxJSON {
		return fmt.Errorf("%w: %d bytes; a JSON body has at most %d", ErrMalformed, len(b), MaxJSON)
	}
	d := json.NewDecoder(bytes.NewReader(b))
	if t, err := d.Token(); err != nil || t != json.Delim('{') {
		return fmt.Errorf("%w: the body is no JSON object", ErrMalformed)
	}
	seen := make(map[string]bool, len(known))
	for d.More() {
		if err := field(d, known, seen); err != nil {
			return err
		}
	}
	if _, err := d.Token(); err != nil {
		return fmt.Errorf("%w: the JSON object doesn't end", ErrMalformed)
	}
	if _, err := d.Token(); err != io.EOF {
		return fmt.Errorf("%w: something follows the JSON object", ErrMalformed)
	}
	for _, name := range must {
		if !seen[name] {
			return fmt.Errorf("%w: the field %s is missing", ErrMalformed, name)
		}
	}
	return nil
}

func field(d *json.Decoder, known readers, seen map[string]bool) error {
	t, err := d.Token()
	name, ok := t.(string)
	if err != nil || !ok {
		return fmt.Errorf("%w: the body is no JSON object", ErrMalformed)
	}
	read, ok := known[name]
	if !ok { // its name isn't repeated: it is the client's, and may be anything
		return fmt.Errorf("%w: the JSON object has a field that this call doesn't know", ErrMalformed)
	}
	if seen[name] {
		return fmt.Errorf("%w: the field %s is there twice", ErrMalformed, name)
	}
	seen[name] = true
	var value json.RawMessage
	if err := d.Decode(&value); err != nil {
		return fmt.Errorf("%w: the field %s is no JSON value", ErrMalformed, name)
	}
	if err := read(value); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	return nil
}

// text reads a JSON string.
func text(v json.RawMessage) (string, error) {
	var s *string
	if err := json.Unmarshal(v, &s); err != nil || s == nil {
		return "", fmt.Errorf("%w: not a string", ErrMalformed)
	}
	return *s, nil
}

// fixed reads base64url into b, which sets the length.
func fixed(b []byte) func(json.RawMessage) error {
	return func(v json.RawMessage) error {
		s, err := text(v)
		if err == nil && !ParseText(b, s) {
			err = fmt.Errorf("%w: not %d bytes in base64url without padding", ErrMalformed, len(b))
		}
		return err
	}
}

// number reads a whole number from 1 to most.
func number(n *int64, most int64) func(json.RawMessage) error {
	return func(v json.RawMessage) error {
		u, err := ParseNumber(string(v))
		if err == nil && (u < 1 || int64(u) > most) {
			err = fmt.Errorf("%w: it is 1 to %d", ErrOutOfRange, most)
		}
		*n = int64(u)
		return err
	}
}
