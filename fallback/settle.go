package fallback

import (
	"reflect"
	"time"

	"github.com/sparekey/sparekey/discovery"
)

// settle tells when nothing is left to do for the newest load, and returns how long
// it is until that may be so by time alone.
func (r *run) settle(now time.Time) time.Duration {
	if r.told == r.version || r.version == 0 {
		return time.Hour
	}
	if !r.stored() {
		if left := r.owing(now); left > 0 {
			return left
		}
	}
	r.told = r.version
	select { // replace what nobody has taken
	case <-r.c.settled:
	default:
	}
	r.c.settled <- r.version
	return time.Hour
}

// stored reports whether a mailbox has all of the load and agrees with the
// decision, or there is nothing to do for it.
func (r *run) stored() bool {
	if len(r.items) == 0 && !r.load.Answers && reflect.DeepEqual(r.load.Decision, discovery.Decision{}) {
		return true
	}
	for _, t := range r.tracks {
		if t.box != nil && t.agreed(r.load.Decision) && (r.load.Decision.Over != nil || t.hasAll(r.items)) {
			return true
		}
	}
	return false
}

func (t *track) hasAll(items []item) bool {
	for _, it := range items {
		if _, has := t.has[it.sum]; !has {
			return false
		}
	}
	return true
}

// owing returns how long this device has to stay for a share that no mailbox has.
// An hour: until something happens. It is nothing once the share has ended and all
// there was to say has left the load, as far as it can be known here:
//
//   - that the other device needs it no more only that device can show. A path says
//     what was taken; anybody who knows the link can be at its end;
//   - while a mailbox works, the share is owed to it: others may wait there;
//   - one that doesn't answer in boxPatience, or fails, is left to its own time, where the
//     other device was told. Who is in a room without internet can't do more, and nothing
//     is lost by it: the mailbox holds nothing that could still be claimed;
//   - who hasn't the last word stays until the other side has gone, or been quiet
//     for a while: its last word may come again;
//   - who owes an answer stays until a path has taken it, for a while;
//   - and all this for no longer than such a while: whoever knows the link can go on
//     saying things that want an answer.
func (r *run) owing(now time.Time) time.Duration {
	if !r.load.over() || len(r.items) > 0 || r.mailbox && !r.load.Told {
		r.free = time.Time{}
		return time.Hour
	}
	if r.free.IsZero() {
		r.free = now
	}
	most := answerFor - now.Sub(r.free)
	left := time.Duration(0)
	if !r.mailbox && !r.c.config.NoMailbox {
		left = boxPatience - now.Sub(r.began) // it may be on its way
	}
	if r.load.Answers && !r.answered {
		left = max(left, most)
	}
	for _, t := range r.tracks {
		if t.box != nil {
			left = max(left, t.patience(now))
			continue
		}
		if t.direct != nil && r.load.Stay {
			left = max(left, min(linger-now.Sub(t.heard), most))
		}
		if t.replying || len(t.replies) > 0 {
			left = max(left, min(answerFor-now.Sub(t.owed), most))
		}
	}
	return left
}

// boxWorks reports whether there is a mailbox that works.
func (r *run) boxWorks(now time.Time) bool {
	for _, t := range r.tracks {
		if t.box != nil && t.patience(now) > 0 {
			return true
		}
	}
	return false
}

// patience returns how long a mailbox may still take to answer what it was asked;
// 0: it doesn't work.
func (t *track) patience(now time.Time) time.Duration {
	left := boxPatience
	if len(t.failed) > 0 {
		return 0
	}
	if t.sending {
		left = min(left, boxPatience-now.Sub(t.begun))
	}
	if t.settling {
		left = min(left, boxPatience-now.Sub(t.asked))
	}
	return max(left, 0)
}
