package disk

import (
	"fmt"

	"github.com/fxamacker/cbor/v2"

	"github.com/sparekey/sparekey/noise/frame"
	"github.com/sparekey/sparekey/relay"
)

var encMode, decMode = modes()

func modes() (cbor.EncMode, cbor.DecMode) {
	o := cbor.CoreDetEncOptions()
	o.Time = cbor.TimeUnix
	enc, err := o.EncMode()
	if err != nil {
		panic(err) // constant options
	}
	dec, err := cbor.DecOptions{
		DupMapKey: cbor.DupMapKeyEnforcedAPF, IndefLength: cbor.IndefLengthForbidden, TagsMd: cbor.TagsForbidden,
		MaxNestedLevels: 8, MaxArrayElements: 1 << 10, MaxMapPairs: 1 << 10,
	}.DecMode()
	if err != nil {
		panic(err)
	}
	return enc, dec
}

func encodeRecord(r *relay.Record) ([]byte, error) { return encMode.Marshal(r) }

// decodeRecord reads a record that this program wrote; anything else is refused.
func decodeRecord(b []byte) (*relay.Record, error) {
	r := &relay.Record{}
	if err := decMode.Unmarshal(b, r); err != nil {
		return nil, fmt.Errorf("%w: a mailbox's record: %v", ErrDamaged, err)
	}
	if _, err := frame.Parse(r.Offer); err != nil {
		return nil, fmt.Errorf("%w: a mailbox's offer: %v", ErrDamaged, err)
	}
	for _, f := range r.Closings {
		if _, err := frame.Parse(f); err != nil {
			return nil, fmt.Errorf("%w: a closing frame: %v", ErrDamaged, err)
		}
	}
	if r.Open == nil {
		r.Open = map[frame.Candidate]relay.Lane{}
	}
	return r, nil
}
