package noise

import (
	"crypto/mlkem"
	"crypto/subtle"

	"github.com/sparekey/sparekey/noise/frame"
)

// MaxPreview is the length of the longest preview that fits an offer.
const MaxPreview = 700

// Sizes within an offer.
const (
	message1Size = 32 + 16
	offerFixed   = 32 + mlkem.EncapsulationKeySize768 + 32 + message1Size + 1
	offerPadded  = 2048
)

// An Offer is an opened offer: one epoch of one share, as its receiver saves it.
// OpenOffer makes it. Its plaintext is padded to 2048 bytes, always:
//
//	0        32                1216        1248         1296    1297
//	+--------+-----------------+-----------+------------+-------+---------+---------+---------+
//	| X25519 | ML-KEM-768      | SHA-256   | Noise      | cpace | CPace   | preview | padding |
//	| public | encaps. key     | (over)    | message 1  | 0, 1  | share   |         |         |
//	+--------+-----------------+-----------+------------+-------+---------+---------+---------+
//	  32       1184              32          48           1       0 or 32   0…700     0x80 0…
type Offer struct {
	Epoch    uint64                              `cbor:"1,keyasint"`
	Preview  []byte                              `cbor:"2,keyasint"`
	CPace    *[32]byte                           `cbor:"3,keyasint"` // the sender's CPace share; nil: no PIN
	X25519   [32]byte                            `cbor:"4,keyasint"`
	MLKEM    [mlkem.EncapsulationKeySize768]byte `cbor:"5,keyasint"`
	OverHash [32]byte                            `cbor:"6,keyasint"`
	Message1 [message1Size]byte                  `cbor:"7,keyasint"`
}

func (o *Offer) marshal() []byte {
	b := make([]byte, 0, offerPadded)
	b = append(b, o.X25519[:]...)
	b = append(b, o.MLKEM[:]...)
	b = append(b, o.OverHash[:]...)
	b = append(b, o.Message1[:]...)
	if o.CPace == nil {
		b = append(b, 0)
	} else {
		b = append(append(b, 1), o.CPace[:]...)
	}
	return append(b, o.Preview...)
}

func (o *Offer) unmarshal(b []byte) error {
	if len(b) < offerFixed {
		return refuse("the offer is too short")
	}
	b = b[copy(o.X25519[:], b):]
	b = b[copy(o.MLKEM[:], b):]
	b = b[copy(o.OverHash[:], b):]
	b = b[copy(o.Message1[:], b):]
	flag, rest := b[0], b[1:]
	switch {
	case flag == 1 && len(rest) >= 32:
		o.CPace = (*[32]byte)(rest[:32:32])
		rest = rest[32:]
	case flag != 0:
		return refuse("the offer's CPace share is malformed")
	}
	if len(rest) > MaxPreview {
		return refuse("the offer's preview is too long")
	}
	o.Preview = rest[:len(rest):len(rest)]
	return nil
}

// OpenOffer opens an offer and checks it: the share id must commit to its keys,
// preview and SHA-256(over), its message 1 must fit the secrets, and its keys must
// be ones that can be claimed. So what it returns can be claimed, whoever made it:
// that this was the sender is not shown; see the package comment.
func OpenOffer(s Secrets, f frame.Frame) (Offer, error) {
	if s.OfferKey == [32]byte{} {
		return Offer{}, errNoOfferKey
	}
	f, err := parse(f, frame.Offer)
	if err != nil {
		return Offer{}, err
	}
	plain, err := open(s.OfferKey, f)
	if err != nil {
		return Offer{}, err
	}
	o := Offer{Epoch: f.Seq()}
	if err := o.unmarshal(plain); err != nil {
		return Offer{}, err
	}
	if !o.commitsTo(s.ID) {
		return Offer{}, refuse("the keys or the preview are not those that the link names")
	}
	if lowOrder(o.X25519) || lowOrder([32]byte(o.Message1[:32])) {
		return Offer{}, refuse("the offer has a low-order point")
	}
	if !reduced(o.MLKEM[:]) {
		return Offer{}, refuse("the offer's ML-KEM key is not valid")
	}
	if _, err := o.read(s, nil); err != nil {
		return Offer{}, err
	}
	return o, nil
}

// commitsTo reports whether id is made from this offer's keys and preview.
func (o *Offer) commitsTo(id frame.ShareID) bool {
	keys := publicKeys{o.X25519, o.MLKEM}
	got := frame.ID(frame.Preimage(keys.commit(o.Preview), o.OverHash))
	return subtle.ConstantTimeCompare(got[:], id[:]) == 1
}

// reduced is the check of FIPS 203, section 7.2, on an encapsulation key of the
// right length: each of its 768 coefficients, packed in 12 bits, is below 3329. The
// library checks the same when it reads the key, but takes a claim's time to do it.
func reduced(key []byte) bool {
	const q = 3329
	for b := key[:len(key)-32]; len(b) > 0; b = b[3:] {
		low := uint16(b[0]) | uint16(b[1]&0x0f)<<8
		high := uint16(b[1])>>4 | uint16(b[2])<<4
		if low >= q || high >= q {
			return false
		}
	}
	return true
}
