package fallback

import (
	"time"
)

// The policy, in one place: which path gets a frame when, and each number with
// its reason. hedge.go follows the first part, settle.go the last rule.
//
//	frame                         a mailbox gets it           a direct path gets it
//	offer, handshake              at once                     at once
//	claim that isn't judged yet   at once                     at once
//	end of the share              at once                     at once
//	any other, one path carries   when it is overdue there    at once where it carries and where it is new, else when it is overdue there
//	any other, none carries       at once                     at once; on a shunned route, when it is overdue at a mailbox that works
//	decision                      at once                     never
//	ack, taken                    never                       at once, where the frames came from
//
// A direct path carries a candidate's frames once it has brought something of this
// candidate that authenticated, for then the other device is at its end; of several,
// the fastest. One that has brought nothing of it yet is new: it may be another
// device's, or the best. A path carries no more while it is silent: a
// frame is under way there for longer than would be overdue. Nor does
// it carry, or count as new, while what it was last given was refused, or while its
// route is shunned.
//
// A frame is overdue that one path was given and that has not left the load after
// twice the round trip, or after minHedge. The round trip is what a direct path takes
// to answer, and what it took for a frame to leave the load that one path alone was
// given. A frame leaves the load by an acknowledgement from end to end, so what a path
// says of itself doesn't matter: one that swallows frames costs this time. Where one
// frame of a candidate is due, so are those before it, as a reader takes them in turn.
const (
	// An acknowledgement comes after a round trip and a save at the other device.
	// Twice the round trip leaves room for a slow disk; below minHedge nobody
	// notices, and every hedge costs the relay a request.
	minHedge = 150 * time.Millisecond

	// Before there is a sample a direct path counts as one of a room.
	firstRound = 20 * time.Millisecond

	// A direct path that carried frames with its first flight is given them after
	// minHedge if they are still in the load; offers, which always are, not again.
	//
	// A direct path keeps what it has taken. What isn't acknowledged all the same
	// was taken and then dropped over there, as a frame far ahead of its turn is.
	// That is rare, so it is mended rarely.
	repeatAfter = 10 * time.Second

	// One piece on a direct path: large enough to fill a room's Wi-Fi, small
	// enough that it isn't overdue on it when all goes well.
	maxPiece = 256 << 10

	// A path that fails is tried again soon, for most failures are short, and
	// ever later, so that a dead one costs nothing to speak of.
	firstRetry = 100 * time.Millisecond
	lastRetry  = 5 * time.Second

	// A direct path that ended younger than this has flapped. From the second time
	// its route is shunned, after each flap for twice as long: frames don't wait
	// there for each end to be noticed. A route that held for so long is like new.
	steady    = 10 * time.Second
	firstShun = 4 * time.Second
	lastShun  = time.Minute
	maxRoutes = 32 // that are remembered; a device has a handful

	// A handshake costs a key agreement and a decapsulation: an honest path
	// brings a handful a share, a stranger could bring thousands. Those beyond
	// wait; nothing is dropped, for a mailbox gives each frame once.
	handshakesPerSecond = 10

	// After so many pieces in a row that did not authenticate, a direct path is
	// given up: it isn't the other device.
	maxBlame = 16

	// Replies are acks and refusals, one a kind and candidate: a later one says
	// all that an earlier one did. What doesn't fit is asked for again.
	maxReplies = 16

	// Candidates that a path is remembered to have brought. A sender has one
	// pinned, a receiver has 8 at most.
	maxMet = 64

	// Where a share has ended and the other device needs nothing more, a mailbox is
	// given so long to hear of it too. Who has no internet doesn't wait for more.
	boxPatience = 2 * time.Second

	// Who hasn't the last word stays for so long after the last thing that came by
	// a direct path: the word is on its way, or comes again if the answer was lost.
	linger = time.Second

	// Who has ended by the other side's last word, or answers it, waits for so long until
	// a path has taken the answer: time to find each other again, where a path or a
	// process has died in between. Behind that it helps nobody.
	answerFor = 10 * time.Second
)

// A backoff is how long to leave alone what has failed. The zero backoff is for
// what hasn't.
type backoff struct {
	delay time.Duration
	until time.Time
}

// again returns the backoff after one more failure; jitter is in [0,1).
func (b backoff) again(now time.Time, jitter float64) backoff {
	b.delay = min(max(2*b.delay, firstRetry), lastRetry)
	b.until = now.Add(b.delay/2 + time.Duration(jitter*float64(b.delay/2)))
	return b
}
