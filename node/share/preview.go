package share

import (
	"errors"
	"fmt"
	"time"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// A Preview is what whoever holds the link may see before accepting. It says
// nothing of the credential itself. In an offer it is CBOR (CoreDet, RFC 8949
// section 4.2.1), a map with these integer keys; unknown keys are ignored, for
// later versions to use:
//
//	1 format   text, 1 to 64 bytes: which format the provisioning information has
//	2 title    text, at most 120 bytes
//	3 note     text, at most 240 bytes; absent if empty
//	4 issuer   text, at most 120 bytes; absent if empty
//	5 life     unsigned: seconds from the offer's making until it can't be claimed
//	6 grace    unsigned: seconds after that in which a claimed share may end
//	7 factor   text: what the receiver must prove besides; absent if nothing.
//	           Version 1 knows none: it writes none, and claims no share with one
//
// Texts are UTF-8 in NFC. The whole is at most 700 bytes.
type Preview struct {
	Format string `cbor:"1,keyasint"`
	Title  string `cbor:"2,keyasint"`
	Note   string `cbor:"3,keyasint,omitempty"`
	Issuer string `cbor:"4,keyasint,omitempty"`
	Life   uint32 `cbor:"5,keyasint"`
	Grace  uint32 `cbor:"6,keyasint"`
	Factor string `cbor:"7,keyasint,omitempty"`
}

// ErrPreview is wrapped by what is wrong with a preview.
var ErrPreview = errors.New("the preview is not valid")

// Encode returns the preview's bytes, its texts normalised.
func (p Preview) Encode() ([]byte, error) {
	for _, s := range []*string{&p.Title, &p.Note, &p.Issuer} {
		*s = norm.NFC.String(*s)
	}
	if err := p.check(); err != nil {
		return nil, err
	}
	if p.Factor != "" {
		return nil, fmt.Errorf("%w: it asks for the factor %q, and this version knows none", ErrPreview, p.Factor)
	}
	return encode(p), nil
}

// DecodePreview reads a preview and checks its bounds.
func DecodePreview(b []byte) (Preview, error) {
	var p Preview
	if _, err := previewShape.read(b); err != nil {
		return Preview{}, fmt.Errorf("%w: %w", ErrPreview, err)
	}
	if err := decode(b, &p); err != nil {
		return Preview{}, fmt.Errorf("%w: %w", ErrPreview, err)
	}
	return p, p.check()
}

func (p Preview) check() error {
	for _, t := range []struct {
		name, text string
		max        int
	}{{"format", p.Format, 64}, {"title", p.Title, 120}, {"note", p.Note, 240}, {"issuer", p.Issuer, 120}, {"factor", p.Factor, 16}} {
		switch {
		case len(t.text) > t.max:
			return fmt.Errorf("%w: its %s has %d bytes, at most %d fit", ErrPreview, t.name, len(t.text), t.max)
		case !utf8.ValidString(t.text):
			return fmt.Errorf("%w: its %s is not UTF-8", ErrPreview, t.name)
		case !norm.NFC.IsNormalString(t.text):
			return fmt.Errorf("%w: its %s is not in NFC", ErrPreview, t.name)
		}
	}
	switch {
	case p.Format == "":
		return fmt.Errorf("%w: it names no format", ErrPreview)
	case p.Life == 0 || time.Duration(p.Life)*time.Second+time.Duration(p.Grace)*time.Second > MaxLife:
		return fmt.Errorf("%w: a life of %d s and %d s of grace; together at most %v", ErrPreview, p.Life, p.Grace, MaxLife)
	}
	return nil
}

// MaxLife bounds an offer's life and grace together: what a relay keeps a
// mailbox for at the most.
const MaxLife = 7 * 24 * time.Hour

// Grace is how long a claimed share may take to end once its offer is over.
const Grace = 24 * time.Hour
