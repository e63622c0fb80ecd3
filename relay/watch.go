package relay

import (
	"sync"

	"github.com/sparekey/sparekey/noise/frame"
)

// Watchers tell those who wait that a mailbox has changed. It holds nothing for
// mailboxes that nobody watches. The zero Watchers is ready.
type Watchers struct {
	mu   sync.Mutex
	byID map[idKey]map[chan struct{}]struct{}
}

// An idKey is a share id as a map's key. Of a key that is deleted a map leaves
// the bytes where they are, unless there is a pointer in it; so there is one,
// always nil, and what is forgotten is in no memory either.
type idKey struct {
	id frame.ShareID
	_  *byte
}

// Add returns a channel that gets a value after each Tell of id; values that
// nobody has taken yet are merged. stop ends it, and may be called again.
func (w *Watchers) Add(id frame.ShareID) (changed <-chan struct{}, stop func()) {
	ch, key := make(chan struct{}, 1), idKey{id: id}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.byID == nil {
		w.byID = map[idKey]map[chan struct{}]struct{}{}
	}
	if w.byID[key] == nil {
		w.byID[key] = map[chan struct{}]struct{}{}
	}
	w.byID[key][ch] = struct{}{}
	return ch, func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		delete(w.byID[key], ch)
		if len(w.byID[key]) == 0 {
			delete(w.byID, key)
		}
	}
}

// Tell tells the watchers of id.
func (w *Watchers) Tell(id frame.ShareID) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for ch := range w.byID[idKey{id: id}] {
		select {
		case ch <- struct{}{}:
		default:
		}
	}
}
