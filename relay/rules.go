package relay

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"maps"
	"slices"
	"time"

	"github.com/sparekey/sparekey/noise/frame"
)

// Limits bound what a Store keeps. Zero values stand for the defaults.
type Limits struct {
	LogFrames int   // frames in one side's log of a lane; 0: 256
	LogBytes  int   // bytes in one side's log of a lane; 0: 4 MiB
	Claims    int   // frames that receivers may append in a mailbox's whole life; 0: 65,536
	LifeBytes int64 // bytes of frames that one side may append in a mailbox's whole life; 0: 32 MiB
	Mailboxes int   // mailboxes at once, tombstones left out; 0: 1,000,000
	Names     int   // mailboxes and tombstones at once; 0: 4 × Mailboxes
	Bytes     int64 // bytes of all frames, or, on a disk, of all files; 0: 16 GiB
}

// WithDefaults returns the limits with the defaults in place of zeros.
func (l Limits) WithDefaults() Limits {
	def := func(v *int, d int) {
		if *v == 0 {
			*v = d
		}
	}
	def(&l.LogFrames, 256)
	def(&l.LogBytes, 4<<20)
	def(&l.Claims, 1<<16)
	def(&l.Mailboxes, 1_000_000)
	def(&l.Names, 4*l.Mailboxes)
	if l.LifeBytes == 0 {
		l.LifeBytes = 32 << 20
	}
	if l.Bytes == 0 {
		l.Bytes = 16 << 30
	}
	return l
}

// Bounds that are not an operator's choice.
const (
	// MaxClosings is how many closing frames a mailbox keeps.
	MaxClosings = 16

	// PieceSize is about how many bytes Read and Claims return at once.
	PieceSize = 1 << 20

	// A log that is full still takes a few small frames: those that end the share.
	reserveFrames = 8
	reserveSize   = 1100
)

// A Record is all of a mailbox but its logs, as plain data: what embedded stores
// keep. Its methods are the rules of a mailbox; they do no I/O, and change
// nothing when they return an error.
type Record struct {
	Offer     frame.Frame              `cbor:"1,keyasint"`
	Epoch     uint64                   `cbor:"2,keyasint"`
	Made      [32]byte                 `cbor:"3,keyasint"` // hash of what it was created with, to know the same again
	View      [32]byte                 `cbor:"4,keyasint"`
	Sender    [32]byte                 `cbor:"5,keyasint"`
	Lanes     int                      `cbor:"6,keyasint"`
	TTL       time.Duration            `cbor:"7,keyasint"`
	Expires   time.Time                `cbor:"8,keyasint"`
	Public    []byte                   `cbor:"9,keyasint"`
	Confirmed frame.Candidate          `cbor:"10,keyasint"`
	Open      map[frame.Candidate]Lane `cbor:"11,keyasint"`
	Closings  []frame.Frame            `cbor:"12,keyasint"`
	Claims    uint64                   `cbor:"13,keyasint"` // number of the next frame that a receiver appends
	Written   [2]uint64                `cbor:"14,keyasint"` // bytes of frames ever appended: the sender's, all receivers'
}

// A Lane is an open lane, but for its logs.
type Lane struct {
	Claim [32]byte  `cbor:"1,keyasint"`
	Logs  [2]Extent `cbor:"2,keyasint"` // sender's, receiver's
}

// An Extent is how much there is in a log.
type Extent struct {
	Frames uint64 `cbor:"1,keyasint"`
	Bytes  uint64 `cbor:"2,keyasint"`
}

// A Slot is where a frame of a log lies.
type Slot struct {
	Lane frame.Candidate
	Side Side
	Seq  uint64
}

// An Entry is a frame to be put into a log. A receiver's has a number among the claims.
type Entry struct {
	Slot
	Number uint64
	Frame  frame.Frame
}

// NewRecord returns the record of a mailbox that is created.
func NewRecord(m Mailbox) Record {
	return Record{
		Offer: m.Offer, Made: made(m), View: m.View, Sender: m.Sender, Lanes: m.Lanes, TTL: m.TTL,
		Expires: m.Expires, Public: m.Public, Open: map[frame.Candidate]Lane{},
	}
}

// made is a hash over what must be the same for a create to be the same again.
func made(m Mailbox) [32]byte {
	h := sha256.New()
	for _, b := range [][]byte{m.Offer, m.View[:], m.Sender[:], m.Public} {
		h.Write(binary.BigEndian.AppendUint64(nil, uint64(len(b))))
		h.Write(b)
	}
	h.Write(binary.BigEndian.AppendUint64(nil, uint64(m.Lanes)))
	h.Write(binary.BigEndian.AppendUint64(nil, uint64(m.TTL)))
	return [32]byte(h.Sum(nil))
}

// Same returns nil if m is what the mailbox was created with.
func (r *Record) Same(m Mailbox) error {
	if r.Made != made(m) {
		return ErrConflict
	}
	return nil
}

// Status returns what View tells.
func (r *Record) Status() Status {
	s := Status{
		Mailbox: Mailbox{Offer: r.Offer, View: r.View, Sender: r.Sender, Lanes: r.Lanes, TTL: r.TTL, Expires: r.Expires, Public: r.Public},
		Epoch:   r.Epoch, Confirmed: r.Confirmed, Lanes: map[frame.Candidate][32]byte{}, Closings: slices.Clone(r.Closings),
	}
	for c, l := range r.Open {
		s.Lanes[c] = l.Claim
	}
	return s
}

// Clone returns a copy that shares no lanes and closings with r.
func (r *Record) Clone() Record {
	c := *r
	c.Open, c.Closings = maps.Clone(r.Open), slices.Clone(r.Closings)
	return c
}

// NextOffer takes the offer of the next epoch, which erases all lanes: erased says which.
func (r *Record) NextOffer(offer frame.Frame) (erased []frame.Candidate, err error) {
	switch {
	case offer.Seq() == r.Epoch && bytes.Equal(offer, r.Offer):
		return nil, nil
	case offer.Seq() != r.Epoch+1:
		return nil, ErrConflict
	}
	erased = slices.Collect(maps.Keys(r.Open))
	r.Offer, r.Epoch = offer, offer.Seq()
	r.Open, r.Closings, r.Confirmed = map[frame.Candidate]Lane{}, nil, frame.Candidate{}
	return erased, nil
}

// OpenLane opens a lane for a claim, or finds it open, and appends to it.
func (r *Record) OpenLane(id frame.Candidate, claim [32]byte, frames []frame.Frame, have func(Slot) (frame.Frame, error), l Limits) ([]Entry, error) {
	lane, open := r.Open[id]
	switch {
	case open && lane.Claim != claim:
		return nil, ErrForbidden
	case open:
		return r.Append(id, ReceiverSide, frames, have, l)
	case r.closing(id) >= 0:
		return nil, &ClosedError{r.Closings[r.closing(id)]}
	case len(r.Open) >= r.Lanes, r.Confirmed != frame.Candidate{}:
		return nil, ErrBusy
	}
	r.Open[id] = Lane{Claim: claim}
	entries, err := r.Append(id, ReceiverSide, frames, have, l)
	if err != nil {
		delete(r.Open, id)
	}
	return entries, err
}

func (r *Record) closing(id frame.Candidate) int {
	return slices.IndexFunc(r.Closings, func(f frame.Frame) bool { return f.Candidate() == id })
}

// Append returns the entries that frames add to a log, none for those that are there.
func (r *Record) Append(id frame.Candidate, side Side, frames []frame.Frame, have func(Slot) (frame.Frame, error), l Limits) ([]Entry, error) {
	lane, open := r.Open[id]
	if !open {
		return nil, r.notOpen(id)
	}
	extent, claims, written := lane.Logs[side-1], r.Claims, r.Written[side-1]
	var entries []Entry
	for _, f := range frames {
		slot := Slot{id, side, f.Seq()}
		if slot.Seq > extent.Frames {
			return nil, ErrConflict
		}
		if slot.Seq < extent.Frames {
			old, err := stored(slot, entries, have)
			if err != nil {
				return nil, err
			}
			if !bytes.Equal(old, f) {
				return nil, ErrConflict
			}
			continue
		}
		if !fits(extent, f, l) || !r.payable(id, side, written, f, l) || side == ReceiverSide && !r.countable(id, claims, f, l) {
			return nil, ErrFull
		}
		e := Entry{Slot: slot, Frame: f}
		if side == ReceiverSide {
			e.Number, claims = claims, claims+1
		}
		entries = append(entries, e)
		extent.Frames++
		extent.Bytes += uint64(len(f))
		written += uint64(len(f))
	}
	lane.Logs[side-1] = extent
	r.Open[id], r.Claims, r.Written[side-1] = lane, claims, written
	return entries, nil
}

// Extent returns how many frames one side's log of an open lane has.
func (r *Record) Extent(id frame.Candidate, side Side) (uint64, error) {
	lane, open := r.Open[id]
	if !open {
		return 0, r.notOpen(id)
	}
	return lane.Logs[side-1].Frames, nil
}

// notOpen is the error for a lane that isn't open.
func (r *Record) notOpen(id frame.Candidate) error {
	if i := r.closing(id); i >= 0 {
		return &ClosedError{r.Closings[i]}
	}
	return &ClosedError{}
}

// stored finds a frame of a log, also among those of the same request.
func stored(s Slot, entries []Entry, have func(Slot) (frame.Frame, error)) (frame.Frame, error) {
	for _, e := range entries {
		if e.Slot == s {
			return e.Frame, nil
		}
	}
	return have(s)
}

func fits(e Extent, f frame.Frame, l Limits) bool {
	if int(e.Frames) < l.LogFrames && int(e.Bytes)+len(f) <= l.LogBytes {
		return true
	}
	reserved := uint64(l.LogFrames + reserveFrames)
	return len(f) <= reserveSize && e.Frames < reserved && e.Bytes+uint64(len(f)) <= uint64(l.LogBytes+reserveFrames*reserveSize)
}

// countable reports whether a receiver's frame may have the next number among
// the claims. The last few are kept for the end of the share: for small frames
// of the one receiver that the sender has confirmed.
func (r *Record) countable(id frame.Candidate, number uint64, f frame.Frame, l Limits) bool {
	ending := r.Confirmed == id && len(f) <= reserveSize
	return number < uint64(l.Claims) || ending && number < uint64(l.Claims+reserveFrames)
}

// payable reports whether a frame is within what its side may append in the
// mailbox's whole life, where erasing gives nothing back: else erased bytes could
// be made without end, and each costs the store a write and an erasure. Receivers
// that aren't confirmed share a half, for anybody with the link may be one. The
// last few frames are kept for the end of the share.
func (r *Record) payable(id frame.Candidate, side Side, written uint64, f frame.Frame, l Limits) bool {
	bound, confirmed := uint64(l.LifeBytes), r.Confirmed == id
	switch {
	case side == ReceiverSide && !confirmed:
		bound /= 2
	case len(f) <= reserveSize:
		bound += reserveFrames * reserveSize
	}
	return written+uint64(len(f)) <= bound
}

// Small reports whether all these entries are so few and small that they may end
// a share: a store that is full to its bound takes them all the same, as long as it can.
func Small(entries []Entry) bool {
	return len(entries) <= reserveFrames && !slices.ContainsFunc(entries, func(e Entry) bool { return len(e.Frame) > reserveSize })
}

// Size returns the bytes that the record's own frames take.
func (r *Record) Size() (n int64) {
	for _, f := range r.Closings {
		n += int64(len(f))
	}
	return n + int64(len(r.Offer)+len(r.Public))
}

// Held returns the bytes of all frames that the mailbox holds.
func (r *Record) Held() int64 {
	n := r.Size()
	for _, l := range r.Open {
		n += int64(l.Logs[0].Bytes + l.Logs[1].Bytes)
	}
	return n
}

// ConfirmLane binds the mailbox to a claim under the offer of an epoch: late, after
// the next offer, it would bind it to one that was handed back. erased reports that
// the lane stood under another claim and has lost its logs.
func (r *Record) ConfirmLane(epoch uint64, id frame.Candidate, claim [32]byte) (erased bool, err error) {
	if epoch != r.Epoch {
		return false, ErrConflict
	}
	lane, open := r.Open[id]
	if (r.Confirmed != frame.Candidate{}) {
		if r.Confirmed == id && lane.Claim == claim {
			return false, nil
		}
		return false, ErrConflict
	}
	if i := r.closing(id); i >= 0 {
		r.Closings = slices.Delete(slices.Clone(r.Closings), i, i+1)
	}
	if !open || lane.Claim != claim {
		r.Open[id] = Lane{Claim: claim}
	}
	r.Confirmed = id
	return open && lane.Claim != claim, nil
}

// CloseLane closes a lane, open or not; erased reports that it was open.
func (r *Record) CloseLane(closing frame.Frame) (erased bool, err error) {
	id := closing.Candidate()
	if r.Confirmed == id {
		return false, ErrConflict
	}
	_, erased = r.Open[id]
	delete(r.Open, id)
	if len(closing.Sealed()) > 0 && r.closing(id) < 0 {
		r.Closings = append(slices.Clone(r.Closings), closing)
		r.Closings = r.Closings[max(0, len(r.Closings)-MaxClosings):]
	}
	return erased, nil
}
