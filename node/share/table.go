package share

import (
	"io"

	"github.com/sparekey/sparekey/noise/frame"
)

// A State is where a share stands on one device.
type State string

// The states of a sender, those of a receiver, and those that both know.
const (
	Offered State = "offered" // the link is out, nobody is pinned
	Pinned  State = "pinned"  // one candidate is chosen for good, nothing has left that grants
	Granted State = "granted" // the credential may exist over there

	Opened       State = "opened"       // the link is known, the offer isn't yet
	Viewed       State = "viewed"       // the preview is known; nobody has heard of us
	Claimed      State = "claimed"      // the person has accepted; the sender may pin us
	Provisioning State = "provisioning" // the grant is here
	Provisioned  State = "provisioned"  // the credential is in its place
	Taken        State = "taken"        // handed over to another device, withdrawn, or out of time; nothing was received
	Failed       State = "failed"       // the format could not take it, and the sender has been told
	Relinquished State = "relinquished" // handed back before any grant

	Done       State = "done"       // both know that it was handed over
	Cancelled  State = "cancelled"  // by the sender; nothing was granted, or the receiver has answered so
	Declined   State = "declined"   // by the receiver
	Expired    State = "expired"    // the time was up before any grant
	Unresolved State = "unresolved" // a halt: whether the receiver has it isn't known here
)

// Ended reports whether nothing can change the state any more.
func (s State) Ended() bool {
	switch s {
	case Done, Cancelled, Declined, Expired, Taken, Failed, Relinquished:
		return true
	}
	return false
}

// A trigger is what a transition waits for.
type trigger string

const (
	onClaim       trigger = "a claim opens"
	onOther       trigger = "another candidate"
	onMessage     trigger = "a message"
	onGrant       trigger = "a message that grants"
	onAnswer      trigger = "the format answers"
	onGives       trigger = "the format grants"
	onFails       trigger = "the format fails"
	onProvisioned trigger = "provisioned"
	onDecline     trigger = "decline"
	onRelinquish  trigger = "relinquish"
	onCancel      trigger = "cancel"
	onOfferOver   trigger = "the offer's time is up"
	onTimeOver    trigger = "the grace is up"
	onCopied      trigger = "I am a copy"
	onPair        trigger = "the proof (h, over)"

	onOffer     trigger = "an offer"
	onAccept    trigger = "the person accepts"
	onPlaced    trigger = "in its place"
	onMisplaced trigger = "can't be placed"
	onTaken     trigger = "taken"
	onDone      trigger = "done"
	onCancelled trigger = "cancelled"
	onDeclined  trigger = "declined"
	onExpired   trigger = "expired"
	onRecall    trigger = "recall"
	onRedirect  trigger = "the person redirects"
)

// A rule is one transition. The first rule of a state and trigger whose guard
// holds is taken; where there is none, nothing happens, and ignored says why
// that is right.
type rule[M any] struct {
	from State
	on   trigger
	when string // the guard in words; "" with a nil ok
	ok   func(*M, *cause) bool
	to   State
	does string // the action in words
	do   func(*M, *cause)
}

// A cause is what set a transition off, and where its effects go.
type cause struct {
	now    Time
	rnd    io.Reader
	eff    *Effects
	event  Event
	body   body
	reason string
	log    *log        // the candidate that is spoken of
	frame  frame.Frame // with onTaken, onOffer: the frame itself
	proof  frame.Proof
}

func (c *cause) tell(n Notice) { c.eff.Tell = append(c.eff.Tell, n) }

// fire takes the transition of a state and trigger, if there is one. Every
// transition is saved.
func fire[M any](rules []rule[M], m *M, state *State, on trigger, c *cause) {
	for _, r := range rules {
		if r.from != *state || r.on != on || r.ok != nil && !r.ok(m, c) {
			continue
		}
		*state = r.to
		if r.do != nil {
			r.do(m, c)
		}
		c.eff.Save = true
		if r.to != r.from {
			c.tell(Notice{Kind: NoticeChanged, State: r.to, Reason: c.reason})
		}
		return
	}
}

// settled are the rules of the ends: with the proof at hand, what was still to be
// sent is owed to nobody, for whoever asks a mailbox is shown it.
func settled[M any](on trigger, do func(*M, *cause), ends ...State) (rules []rule[M]) {
	for _, s := range ends {
		rules = append(rules, rule[M]{s, on, "", nil, s, "nothing is owed any more", do})
	}
	return rules
}
