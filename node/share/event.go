package share

import (
	"time"

	"github.com/sparekey/sparekey/noise"
	"github.com/sparekey/sparekey/noise/frame"
)

// An Event is something that happened to a share. Those that come with a Key
// are results of tasks; with another key than the outstanding task's they are ignored.
type Event interface{ event() }

// The events.
type (
	// Woken: nothing but time has passed, or the device has started again.
	Woken struct{}

	// Arrived: frames came by some path, in one piece.
	Arrived struct{ Frames []frame.Frame }

	// Over: a mailbox showed the proof that the share has ended.
	Over struct{ Proof frame.Proof }

	// Remaining: a mailbox said how long it will be kept.
	Remaining struct{ Left time.Duration }

	// Accept: the receiver's person accepts the preview.
	Accept struct {
		Claim       [32]byte          // SHA-256 of a device claim made for this share
		Label       string            // what to call this device over there; may be empty
		State       []byte            // the format's first state
		Encapsulate noise.Encapsulate // nil: the standard library's
	}

	// Cancel: the sender's person wants the share back, or its format can't go on.
	Cancel struct{ Reason string }

	// Decline: the receiver's person doesn't want it. While a Look or a
	// Provision is being done, Decline and Redirect have to wait for its result.
	Decline struct{ Reason string }

	// Relinquish: the receiver's person hands the claim back, for another device.
	Relinquish struct{}

	// Redirect: the receiver's person wants it provisioned elsewhere. The format goes
	// on from this state, made of the one that it has by then (Receiver.Placing).
	Redirect struct{ State []byte }

	// Copied: the vault turned out to be a copy or a restored backup.
	Copied struct{}

	// Answered is the result of Ask.
	Answered struct {
		Key    string
		Answer Answer
		Failed string // not empty: the format can't go on, and why
	}

	// Looked is the result of Look.
	Looked struct {
		Key   string
		There bool
	}

	// Placed is the result of Provision.
	Placed struct {
		Key    string
		Failed string // not empty: it can't be done, now or later, and why
	}
)

func (Woken) event()      {}
func (Arrived) event()    {}
func (Over) event()       {}
func (Remaining) event()  {}
func (Accept) event()     {}
func (Cancel) event()     {}
func (Decline) event()    {}
func (Relinquish) event() {}
func (Redirect) event()   {}
func (Copied) event()     {}
func (Answered) event()   {}
func (Looked) event()     {}
func (Placed) event()     {}

// An Answer is what a format says to a turn of its dialogue.
type Answer struct {
	State  []byte
	Out    [][]byte
	Grants bool
	Done   bool
}

// A Task is what the world has to do for a share: at most one at a time. It is
// safe to do it again under the same key.
type Task struct {
	Do    Do
	Key   string
	State []byte // the format's
	In    []byte // for Ask; nil opens a sender's dialogue
}

// Do says what a Task is.
type Do byte

// The tasks and the events that bring their results.
const (
	Ask       Do = iota + 1 // the format's next turn: Answered
	Look                    // is it provisioned already?: Looked
	Provision               // put it in its place: Placed
)

// Effects are what a step leads to, beside what is read off the saved value.
type Effects struct {
	Save  bool          // the value has to be saved before anything else
	Reply []frame.Frame // acks and taken, for the path that the frames came from
	Tell  []Notice
	Wake  time.Duration // step again within; 0: no need
	Bad   bool          // something didn't authenticate: blame the path
	New   bool          // the other device said something that it hadn't said before: nobody else can have
}

// Then returns the effects of two steps, one right after the other, as if they
// were one.
func (e Effects) Then(next Effects) Effects {
	return Effects{
		Save: e.Save || next.Save, Bad: e.Bad || next.Bad, New: e.New || next.New, Wake: next.Wake,
		Reply: append(e.Reply, next.Reply...), Tell: append(e.Tell, next.Tell...),
	}
}

// A Notice is something the person may want to know.
type Notice struct {
	Kind   NoticeKind
	State  State  // with NoticeChanged: the one it changed to, which may be passed already
	Label  string // with NoticeClaimed: what the receiver calls itself
	Reason string // with NoticeChanged and NoticeRecalled: why, if anybody said
}

// A NoticeKind says what a Notice tells.
type NoticeKind byte

// The notices.
const (
	NoticePreview  NoticeKind = iota + 1 // receiver: there is a preview to show
	NoticeChanged                        // the state is another one
	NoticeClaimed                        // sender: a device has been pinned
	NoticeAnother                        // sender: another device came and was refused
	NoticeReleased                       // sender: the receiver has handed its claim back
	NoticeRecalled                       // receiver: the sender asks not to provision; too late if the state stays
)

// A Decision is what mailboxes are to agree with.
type Decision struct {
	Pinned frame.Candidate
	Epoch  uint64 // of the offer that the pinned candidate's claim is for
	Claim  [32]byte
	Closed []frame.Frame
	Over   *frame.Proof
}
