// Package discovery is the vocabulary between those who find ways to carry a
// share and those who use them: Path, Direct, Early, Weighed, Mailbox, Finder, Meeting. It does nothing.
//
// A path replicates frames and nothing else. It may deliver them in any order,
// any number of times, and it never reads them.
package discovery

import (
	"context"
	"errors"
	"time"

	"github.com/sparekey/sparekey/noise/frame"
)

// A Path carries the frames of one share between this device and the other.
// Its methods may be called at the same time.
type Path interface {
	// Send hands over all the frames, as one request where the carrier can: a
	// handshake and the claim behind it arrive together or not at all. It is
	// safe to repeat. An ErrRetired error means never to use the path again.
	Send(context.Context, ...frame.Frame) error

	// Receive waits for frames of any candidate on this path. What was there
	// in one piece comes in one piece, so that whoever judges a claim sees
	// whether it has been taken back since. A path may repeat frames.
	Receive(context.Context) ([]frame.Frame, error)

	// Close ends the path and every call on it. It may be called again.
	Close() error

	// String describes the path for people: "lan quic 192.0.2.7:4311".
	String() string
}

// A Direct path ends at the other device, or at somebody who knows the link as well. Its
// Send returns nil once that end says that it has taken the frames: what follows from
// them is saved there. That spares sending them again. Nothing else rests on it: what
// a session has acknowledged, its frames say.
type Direct interface {
	Path
	// Taken answers the pieces that Receive gave, in their order: whether each
	// authenticated and what follows is saved. The Send at the other end waits for it,
	// and returns an error, with the path as good as before, where it is false.
	// It doesn't wait. Close lets what it has said still go out, if it soon can.
	Taken(ok bool)
}

// An Early path has carried frames before it was found: a listener's first flight.
// Nobody answers for them.
type Early interface {
	Path
	Early() []frame.Frame // of Meeting.First
}

// A Weighed path is one of the few that a finder keeps of those it found: anybody who
// holds the link can be at the end of one.
type Weighed interface {
	Path
	// Bore says that the path has just brought something of the other device's that was
	// new. Nobody else can have said it. It doesn't wait.
	Bore()
}

// ErrRetired is wrapped by errors after which a path is of no more use, such
// as a mailbox that holds other bytes where ours belong.
var ErrRetired = errors.New("path retired")

// A Mailbox is a path that stores, and so must be told what was decided.
type Mailbox interface {
	Path
	// Settle makes the mailbox agree with the decision: lanes closed, then the
	// pinned candidate confirmed; or, where the share has ended, all deleted.
	// It is idempotent; nil means that the mailbox agrees, durably, or that an offer
	// sent on this path meanwhile, with a later epoch, has made the decision void.
	Settle(context.Context, Decision) error

	// Again has everything given once more by Receive, soon and ever more
	// rarely: something that came did not open. It may have been damaged on the
	// way, and what the mailbox holds be genuine.
	Again()
}

// A Decision is what a mailbox has to be made to agree with; the zero Decision
// asks for nothing.
type Decision struct {
	Pinned frame.Candidate // whose lane is confirmed; zero: nobody's
	Epoch  uint64          // of the offer that the pinned candidate's claim is for
	Claim  [32]byte        // SHA-256 of the pinned receiver's device claim
	Closed []frame.Frame   // closing frames of candidates not chosen: frame.Taken, sealed or a frame.Shut
	Over   *frame.Proof    // the share has ended: delete the mailbox
}

// A Role is which side of a share this device is.
type Role byte

// The two roles.
const (
	Sender   Role = 1
	Receiver Role = 2
)

func (r Role) String() string {
	if r == Sender {
		return "sender"
	}
	return "receiver"
}

// A Finder finds paths for a share.
type Finder interface {
	// Find calls found for each path it finds, until ctx ends, and returns
	// once nothing it started is left but the paths it gave away. It returns
	// early only with an error that no waiting mends. It gives a new path when
	// one it gave has failed and been closed.
	Find(ctx context.Context, m Meeting, found func(Path)) error
}

// A Meeting is what this device knows of one share, for those who find paths.
type Meeting struct {
	ID         [16]byte
	Role       Role
	Topic, Key [32]byte // found under, and proved with, on direct paths

	Relay  string   // the mailbox's base URL, such as https://relay.example; empty: none
	View   [32]byte // the link capability: a receiver views and claims with it
	Token  [32]byte // the sender's capability, or the receiver's device claim
	Create *Create  // a sender's; what makes the mailbox

	First  func() []frame.Frame // a listener's first flight, at most 4 kB
	Chosen func() bool          // a sender's: it has chosen a receiver, whom it may look for; nil: it hasn't
	Waits  func() time.Duration // how long this device has waited for what the other alone can give: an offer, or an acknowledgement; 0: it doesn't; nil: that isn't known
	Tell   func(hint []byte)    // hands the other side a direct path's addresses, inside the session
	Hints  <-chan []byte        // what the other side told
	Report func(Report)         // what people should see; may be called from any goroutine
}

// Create is what a sender's mailbox is made from. The offer of epoch 0 is sent
// as a frame like any other, and creates the mailbox.
type Create struct {
	Preimage [32]byte      // c, which the share id commits to
	TTL      time.Duration // until the mailbox is deleted unasked
	Lanes    int
}

// A Report is what a finder or a path has to tell people, or, with Over, the
// machine. All but Over is hearsay: shown, never the end of a share.
type Report struct {
	Path  string // what it is about, for people
	State ReportState
	Left  time.Duration // with Living: time left at the mailbox; may shorten the share's time, never prolong it
	Err   error         // with Failing: why
	Over  *frame.Proof  // with Ended
}

// A ReportState says what is the matter with a path.
type ReportState byte

// The states of a path.
const (
	Living  ReportState = iota + 1 // it answers
	Missing                        // the mailbox isn't there (yet, or any more)
	Busy                           // every lane is taken for now
	Failing                        // it doesn't work at the moment; it is tried again
	Ended                          // it showed a proof that the sender has ended the share
)
