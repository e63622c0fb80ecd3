package relay

import (
	"context"
	"errors"
	"time"

	"github.com/sparekey/sparekey/noise/frame"
)

// A Store keeps mailboxes. Each method is atomic, and what it changed is
// durable when it returns nil. Package storetest holds what every Store must
// do; Memory and disk.Store pass it.
//
// A Store checks what can be right or wrong about the mailbox's state, as its
// methods say; the handler has already checked sizes, headers and capabilities.
type Store interface {
	// Create makes a mailbox. The same Mailbox again succeeds, whatever has
	// happened to it since; another one under this id is an ErrConflict.
	Create(ctx context.Context, id frame.ShareID, m Mailbox) error

	// Room returns ErrStorage while there is no room for another mailbox. It goes by
	// what the store knows of itself, and writes nothing.
	Room() error

	// View returns what is known of the mailbox but its logs.
	View(ctx context.Context, id frame.ShareID) (Status, error)

	// Offer replaces the offer by the next epoch's, and erases all lanes and
	// closings and the confirmation. The same offer again succeeds; any epoch
	// but the current (same bytes) and the next is an ErrConflict.
	Offer(ctx context.Context, id frame.ShareID, offer frame.Frame) error

	// Open opens a lane for a device claim (its SHA-256) and appends the
	// receiver's first frames, all or nothing. An open lane of the same claim
	// takes the frames as Append does; of another claim: ErrForbidden. A closed
	// one is a *ClosedError. No free lane, or another lane is confirmed: ErrBusy.
	Open(ctx context.Context, id frame.ShareID, lane frame.Candidate, claim [32]byte, frames []frame.Frame) error

	// Append adds frames to one side's log of an open lane, in the order of
	// their seqs without a gap, all or nothing. A frame that is there already
	// succeeds; other bytes at its seq, or a gap, are an ErrConflict; beyond the bounds: ErrFull.
	Append(ctx context.Context, id frame.ShareID, lane frame.Candidate, side Side, frames []frame.Frame) error

	// Read returns the frames of one side's log of a lane, from seq number
	// from on, in order, at most a megabyte of them (but at least one if there is one).
	// All of them are durable.
	Read(ctx context.Context, id frame.ShareID, lane frame.Candidate, side Side, from uint64) ([]frame.Frame, error)

	// Claims returns what receivers appended on any lane in the order in which
	// it came, from the after-th (from 0) on, in pieces as Read does. Numbers are never
	// used again: in place of a frame that has been erased stands a frame.Shut
	// of the zero candidate.
	Claims(ctx context.Context, id frame.ShareID, after uint64) ([]frame.Frame, error)

	// Confirm binds the mailbox to one device claim: its lane stays or opens,
	// even if it was closed before, and no other may open until the next offer.
	// The same again succeeds; another lane or claim while confirmed, or an epoch
	// that isn't the offer's: ErrConflict.
	Confirm(ctx context.Context, id frame.ShareID, epoch uint64, lane frame.Candidate, claim [32]byte) error

	// Close erases a lane, open or not, and keeps its closing frame (the last
	// MaxClosings of them) unless it is a frame.Shut. It doesn't close a
	// confirmed lane: ErrConflict.
	Close(ctx context.Context, id frame.ShareID, closing frame.Frame) error

	// Delete erases the mailbox and leaves a tombstone with the proof until the
	// mailbox's time is up. Again: success. An id nobody created: ErrAbsent.
	Delete(ctx context.Context, id frame.ShareID, proof frame.Proof) error

	// Watch returns a channel that gets a value after each change of the
	// mailbox, also of one that doesn't exist yet. Changes may be merged into
	// one value. Read after Watch misses nothing. stop ends it.
	Watch(id frame.ShareID) (changed <-chan struct{}, stop func())

	// Sweep erases every mailbox and tombstone whose time is up, and says how
	// many. What is gone is in no file 10 minutes later.
	Sweep(ctx context.Context, now time.Time) (int, error)

	// Close-down: everything acknowledged is on disk already.
	Shutdown() error
}

// A Side is whose log.
type Side byte

// The two sides of a lane.
const (
	SenderSide   Side = 1
	ReceiverSide Side = 2
)

// A Mailbox is what one is created with.
type Mailbox struct {
	Offer   frame.Frame // epoch 0
	View    [32]byte    // SHA-256 of the link capability
	Sender  [32]byte    // SHA-256 of the sender's capability
	Lanes   int
	TTL     time.Duration
	Expires time.Time // now + TTL at the first Create; not compared
	Public  []byte    // the public preview for the page, JSON as sent; mostly nil
}

// A Status is what a mailbox is at the moment, but for its logs.
type Status struct {
	Mailbox   // with the newest offer
	Epoch     uint64
	Confirmed frame.Candidate              // zero: none
	Lanes     map[frame.Candidate][32]byte // the open ones and their claims
	Closings  []frame.Frame                // of lanes closed since the last offer, oldest first
}

// Errors of a Store. What isn't one of them is the store's own trouble.
var (
	ErrAbsent    = errors.New("no such mailbox") // also: its time is up
	ErrForbidden = errors.New("not with this claim")
	ErrConflict  = errors.New("something else is there")
	ErrBusy      = errors.New("no free lane")
	ErrFull      = errors.New("a bound of the mailbox is reached")
	ErrStorage   = errors.New("the store has no room")
)

// A ClosedError is the answer for a lane that isn't open: it was closed, or
// never opened (then Closing is nil).
type ClosedError struct{ Closing frame.Frame }

func (*ClosedError) Error() string { return "the lane is closed" }

// A GoneError is the answer for a mailbox that its share's end has deleted.
type GoneError struct{ Proof frame.Proof }

func (*GoneError) Error() string { return "the share has ended" }
