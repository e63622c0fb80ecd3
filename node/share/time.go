package share

import "time"

// A Time is a moment as a device knows it: the boot it runs in, the time since
// that boot with suspension counted, and what the wall clock says, for what it
// is worth.
type Time struct {
	Boot [16]byte      `cbor:"1,keyasint"`
	Up   time.Duration `cbor:"2,keyasint"` // since Boot; counts suspension
	Wall time.Duration `cbor:"3,keyasint"` // since 1970 by the wall clock
}

// since returns the time from then to t: by the boot-time clock within one
// boot, across a reboot by the wall clock's advance. It is never negative.
func (t Time) since(then Time) time.Duration {
	d := t.Wall - then.Wall
	if t.Boot == then.Boot {
		d = t.Up - then.Up
	}
	return max(d, 0)
}

// A life is the time that a share has left. It only ever gets shorter.
type life struct {
	Left  time.Duration `cbor:"1,keyasint"` // at Mark, grace included
	Grace time.Duration `cbor:"2,keyasint"` // the last part of it: no new claim is pinned
	Mark  Time          `cbor:"3,keyasint"`
}

// at returns the life at a later moment, marked anew, so that a reboot costs
// no more certainty than the time since the last save.
func (l life) at(now Time) life {
	l.Left -= now.since(l.Mark)
	l.Mark = now
	return l
}

// shorten takes a mailbox's word for how long it will keep the share; longer
// than what is left, it is ignored.
func (l life) shorten(left time.Duration) life {
	l.Left = min(l.Left, left)
	return l
}

// offer returns how long a claim can still be pinned.
func (l life) offer() time.Duration { return max(l.Left-l.Grace, 0) }

func (l life) offerOver() bool { return l.Left <= l.Grace }
func (l life) over() bool      { return l.Left <= 0 }

// An end may come at the very last, and there may be a word to say about it. So
// what an ended share owes is owed for a grace more. No mailbox keeps it by then.
func (l life) forgotten() bool { return l.Left <= -Grace }

// owed returns how long an ended share still owes its last words.
func (l life) owed() time.Duration { return max(l.Left+Grace, 0) }

// wake returns how long until something changes, 0 for never.
func (l life) wake() time.Duration {
	switch {
	case l.over():
		return 0
	case l.offerOver():
		return l.Left
	}
	return l.Left - l.Grace
}
