package relay_test

import (
	"context"
	"errors"
	"slices"
	"sync"

	"github.com/sparekey/sparekey/noise/frame"
	"github.com/sparekey/sparekey/relay"
)

// A faulty Store tells what it was asked, and can be made to fail.
type faulty struct {
	relay.Store
	watched chan struct{} // a value for each Watch that somebody waits for here

	mu    sync.Mutex
	err   error
	calls []asked
}

// asked is one call of a store.
type asked struct {
	call string
	id   frame.ShareID
}

func newFaulty(s relay.Store) *faulty { return &faulty{Store: s, watched: make(chan struct{}, 1)} }

// fail makes every call return err, but a read where the store is only full;
// nil mends the store.
func (f *faulty) fail(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.err = err
}

// asked returns what the store was asked since this was asked last.
func (f *faulty) asked() []asked {
	f.mu.Lock()
	defer f.mu.Unlock()
	calls := f.calls
	f.calls = nil
	return calls
}

// names returns the calls without the mailboxes that they were for.
func names(calls []asked) (out []string) {
	for _, c := range calls {
		out = append(out, c.call)
	}
	return out
}

// errPanic makes the store panic instead.
var errPanic = errors.New("panic")

func (f *faulty) now(call string, id frame.ShareID) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.calls = append(f.calls, asked{call, id})
	reads := slices.Contains([]string{"View", "Read", "Claims", "Watch"}, call)
	if f.err == nil || reads && errors.Is(f.err, relay.ErrStorage) {
		return nil
	}
	if f.err == errPanic {
		panic("secret-in-a-panic")
	}
	return f.err
}

// Watch tells a test that somebody watches. It never fails.
func (f *faulty) Watch(id frame.ShareID) (<-chan struct{}, func()) {
	f.mu.Lock()
	f.calls = append(f.calls, asked{"Watch", id})
	f.mu.Unlock()
	changed, stop := f.Store.Watch(id)
	select {
	case f.watched <- struct{}{}:
	default:
	}
	return changed, stop
}

func (f *faulty) Create(ctx context.Context, id frame.ShareID, m relay.Mailbox) error {
	if err := f.now("Create", id); err != nil {
		return err
	}
	return f.Store.Create(ctx, id, m)
}

func (f *faulty) Room() error {
	if err := f.now("Room", frame.ShareID{}); err != nil {
		return err
	}
	return f.Store.Room()
}

func (f *faulty) View(ctx context.Context, id frame.ShareID) (relay.Status, error) {
	if err := f.now("View", id); err != nil {
		return relay.Status{}, err
	}
	return f.Store.View(ctx, id)
}

func (f *faulty) Offer(ctx context.Context, id frame.ShareID, offer frame.Frame) error {
	if err := f.now("Offer", id); err != nil {
		return err
	}
	return f.Store.Offer(ctx, id, offer)
}

func (f *faulty) Open(ctx context.Context, id frame.ShareID, lane frame.Candidate, claim [32]byte, frames []frame.Frame) error {
	if err := f.now("Open", id); err != nil {
		return err
	}
	return f.Store.Open(ctx, id, lane, claim, frames)
}

func (f *faulty) Append(ctx context.Context, id frame.ShareID, lane frame.Candidate, side relay.Side, frames []frame.Frame) error {
	if err := f.now("Append", id); err != nil {
		return err
	}
	return f.Store.Append(ctx, id, lane, side, frames)
}

func (f *faulty) Read(ctx context.Context, id frame.ShareID, lane frame.Candidate, side relay.Side, from uint64) ([]frame.Frame, error) {
	if err := f.now("Read", id); err != nil {
		return nil, err
	}
	return f.Store.Read(ctx, id, lane, side, from)
}

func (f *faulty) Claims(ctx context.Context, id frame.ShareID, after uint64) ([]frame.Frame, error) {
	if err := f.now("Claims", id); err != nil {
		return nil, err
	}
	return f.Store.Claims(ctx, id, after)
}

func (f *faulty) Confirm(ctx context.Context, id frame.ShareID, epoch uint64, lane frame.Candidate, claim [32]byte) error {
	if err := f.now("Confirm", id); err != nil {
		return err
	}
	return f.Store.Confirm(ctx, id, epoch, lane, claim)
}

func (f *faulty) Close(ctx context.Context, id frame.ShareID, closing frame.Frame) error {
	if err := f.now("Close", id); err != nil {
		return err
	}
	return f.Store.Close(ctx, id, closing)
}

func (f *faulty) Delete(ctx context.Context, id frame.ShareID, p frame.Proof) error {
	if err := f.now("Delete", id); err != nil {
		return err
	}
	return f.Store.Delete(ctx, id, p)
}
