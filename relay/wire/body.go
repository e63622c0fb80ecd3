package wire

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"time"
)

// A Create is the body that makes a mailbox.
type Create struct {
	Preimage [32]byte // c
	Offer    []byte   // the frame of epoch 0
	View     [32]byte // SHA-256 of the link capability
	Sender   [32]byte // SHA-256 of the sender's capability
	Lanes    int      // 0: DefaultLanes
	TTL      time.Duration
	Public   []byte // a JSON object, compact; nil: none
}

type createJSON struct {
	Preimage string          `json:"preimage"`
	Offer    string          `json:"offer"`
	View     string          `json:"view"`
	Sender   string          `json:"sender"`
	Lanes    int             `json:"lanes,omitempty"`
	TTL      int64           `json:"ttl,omitempty"`
	Public   json.RawMessage `json:"public,omitempty"`
}

// Body returns the create as JSON. A TTL of 0 is left out and means
// DefaultTTL; parts of a second are cut off.
func (c Create) Body() []byte {
	return body(createJSON{
		Preimage: Text(c.Preimage[:]), Offer: Text(c.Offer), View: Text(c.View[:]), Sender: Text(c.Sender[:]),
		Lanes: c.Lanes, TTL: int64(c.TTL / time.Second), Public: c.Public,
	})
}

// ParseCreate reads a create, with its defaults filled in. That the preimage
// makes the id and that the offer is one is for the relay to see.
func ParseCreate(b []byte) (Create, error) {
	var c Create
	lanes, ttl := int64(DefaultLanes), int64(DefaultTTL/time.Second)
	err := object(b, readers{
		"preimage": fixed(c.Preimage[:]),
		"offer":    c.offer,
		"view":     fixed(c.View[:]),
		"sender":   fixed(c.Sender[:]),
		"lanes":    number(&lanes, MaxLanes),
		"ttl":      number(&ttl, maxSeconds),
		"public":   c.public,
	}, "preimage", "offer", "view", "sender")
	if err != nil {
		return Create{}, err
	}
	c.Lanes, c.TTL = int(lanes), time.Duration(ttl)*time.Second
	return c, nil
}

func (c *Create) offer(v json.RawMessage) error {
	s, err := text(v)
	if err != nil {
		return err
	}
	b, ok := ParseBytes(s)
	if !ok || len(b) == 0 || len(b) > MaxOffer {
		return fmt.Errorf("%w: not 1 to %d bytes in base64url without padding", ErrMalformed, MaxOffer)
	}
	c.Offer = b
	return nil
}

// public keeps the object compact, so that the same preview again is the same
// mailbox whatever its white space.
func (c *Create) public(v json.RawMessage) error {
	var b bytes.Buffer
	if err := json.Compact(&b, v); err != nil || b.Bytes()[0] != '{' || b.Len() > MaxPublic {
		return fmt.Errorf("%w: not a JSON object of at most %d bytes", ErrMalformed, MaxPublic)
	}
	c.Public = b.Bytes()
	return nil
}

// A Binding is the body that confirms a lane for a device claim, under the offer
// of an epoch and no other.
type Binding struct {
	Epoch uint64
	Lane  [8]byte
	Claim [32]byte // SHA-256 of the device claim
}

// Body returns the binding as JSON.
func (c Binding) Body() []byte {
	return body(map[string]any{"epoch": c.Epoch, "lane": hex.EncodeToString(c.Lane[:]), "claim": Text(c.Claim[:])})
}

// ParseBinding reads a binding.
func ParseBinding(b []byte) (Binding, error) {
	var c Binding
	err := object(b, readers{
		"epoch": func(v json.RawMessage) (err error) {
			c.Epoch, err = ParseNumber(string(v))
			return err
		},
		"lane": func(v json.RawMessage) error {
			s, err := text(v)
			if err == nil && !ParseLane(&c.Lane, s) {
				err = fmt.Errorf("%w: not the 16 hex digits of a lane", ErrMalformed)
			}
			return err
		},
		"claim": fixed(c.Claim[:]),
	}, "epoch", "lane", "claim")
	if err != nil {
		return Binding{}, err
	}
	return c, nil
}

// A Proof is the body that deletes a mailbox, and what a relay shows of one
// that was deleted: the pair (h, over).
type Proof struct{ H, Over [32]byte }

// Body returns the proof as JSON.
func (p Proof) Body() []byte {
	return body(map[string]string{"h": Text(p.H[:]), "over": Text(p.Over[:])})
}

// ParseProof reads a proof. Whether it proves anything is for the reader to see.
func ParseProof(b []byte) (Proof, error) {
	var p Proof
	err := object(b, readers{
		"h": fixed(p.H[:]), "over": fixed(p.Over[:]),
	}, "h", "over")
	if err != nil {
		return Proof{}, err
	}
	return p, nil
}

// body writes v as JSON, without the escapes for HTML: a Public keeps its bytes.
func body(v any) []byte {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		panic("wire: " + err.Error()) // only a Public that is no JSON comes here
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n"))
}
