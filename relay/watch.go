package relay

import (
	"sync"

	"github.com/sparekey/sparekey/noise/frame"
)

// Watchers tell those who wait that a mailbox has changed. It holds nothing for
// mailboxes that nobody watches. The zero Watchers is ready.
type Watchers struct {
	mu   sync.Mutex
	byID map[frame.ShareID]map[chan struct{}]struct{}
}

// Add returns a channel that gets a value after each Tell of id; values that
// nobody has taken yet are merged. stop ends it, and may be called again.
func (w *Watchers) Add(id frame.ShareID) (changed <-chan struct{}, stop func()) {
	ch := make(chan struct{}, 1)
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.byID == nil {
		w.byID = map[frame.ShareID]map[chan struct{}]struct{}{}
	}
	if w.byID[id] == nil {
		w.byID[id] = map[chan struct{}]struct{}{}
	}
	w.byID[id][ch] = struct{}{}
	return ch, func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		delete(w.byID[id], ch)
		if len(w.byID[id]) == 0 {
			delete(w.byID, id)
		}
	}
}

// Tell tells the watchers of id.
func (w *Watchers) Tell(id frame.ShareID) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for ch := range w.byID[id] {
		select {
		case ch <- struct{}{}:
		default:
		}
	}
}
