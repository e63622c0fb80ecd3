package share

import (
	"fmt"
	"slices"

	"github.com/sparekey/sparekey/noise/frame"
)

// A dialogue is the format's side of a share: messages that have come and wait
// for the format, and what its last answer left.
type dialogue struct {
	State []byte   `cbor:"1,keyasint"`
	Turns uint32   `cbor:"2,keyasint"` // answers saved so far
	Inbox [][]byte `cbor:"3,keyasint"` // whole messages, oldest first
	Part  []byte   `cbor:"4,keyasint"` // the message being put together
	Done  bool     `cbor:"5,keyasint"` // the format has said its last
}

func (d dialogue) clone() dialogue {
	d.Inbox = slices.Clone(d.Inbox)
	d.Part = slices.Clip(d.Part)
	return d
}

// add takes a piece of a message. whole says that it was the last one; bad
// that the other side has broken a bound.
func (d *dialogue) add(b body) (whole, bad bool) {
	if len(d.Part)+len(b.Piece) > MaxMessage || len(d.Inbox) >= maxInbox {
		return false, true
	}
	d.Part = append(d.Part, b.Piece...)
	if b.More {
		return false, false
	}
	if d.Part == nil {
		d.Part = []byte{} // an empty message is a message
	}
	d.Inbox, d.Part = append(d.Inbox, d.Part), nil
	return true, false
}

// next returns the message the format is to be asked about.
func (d *dialogue) next() ([]byte, bool) {
	if d.Done || len(d.Inbox) == 0 {
		return nil, false
	}
	return d.Inbox[0], true
}

// answered takes the format's answer to the next message; opening says that it
// was asked without one.
func (d *dialogue) answered(a Answer, opening bool) {
	if !opening {
		d.Inbox = slices.Clone(d.Inbox[1:])
	}
	d.State, d.Done = a.State, a.Done
	d.Turns++
}

// key is the idempotency key of the next turn: the share, the candidate it is
// held with, and the turn's number.
func (d *dialogue) key(id frame.ShareID, c frame.Candidate) string {
	return fmt.Sprintf("%x/%v/%d", id[:], c, d.Turns)
}
