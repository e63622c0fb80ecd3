package node

import (
	"sync/atomic"
	"time"

	"github.com/sparekey/sparekey/noise/frame"
)

// A wanted thing is what only the other device can give, and once: the offer, or the
// acknowledgement of the oldest frame that has none. The zero wanted is nothing.
type wanted struct {
	kind frame.Kind // Offer, or Data for its acknowledgement
	of   frame.Candidate
	seq  uint64
}

// unacknowledged returns the oldest frame of an outbox that waits for an acknowledgement.
func unacknowledged(out []frame.Frame) wanted {
	for _, f := range out {
		if f.Kind() == frame.Data {
			return wanted{frame.Data, f.Candidate(), f.Seq()}
		}
	}
	return wanted{}
}

// A want is what a share waits for, and since when. One goroutine renews it; any may
// ask how long it has lasted.
type want struct{ now atomic.Pointer[waiting] }

type waiting struct {
	wanted
	since time.Time
}

// renew notes what is wanted now. What was wanted before has been waited for since then:
// a device that answers falsely, or says again what was said, gives nothing of it.
func (w *want) renew(what wanted, now time.Time) {
	if old := w.now.Load(); old == nil || old.wanted != what {
		w.now.Store(&waiting{what, now})
	}
}

// waited returns for how long the share has waited; 0: it doesn't.
func (w *want) waited() time.Duration {
	now := w.now.Load()
	if now == nil || now.wanted == (wanted{}) {
		return 0
	}
	return max(time.Since(now.since), 1)
}
