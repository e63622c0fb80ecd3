package relay

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"sync"
	"time"

	"github.com/sparekey/sparekey/noise/frame"
)

// Memory is a Store that keeps nothing beyond the process: for tests, trials,
// and as the measure that durable ones are held against.
type Memory struct {
	now    func() time.Time
	limits Limits
	key    [32]byte // names tombstones, so that they say nothing of their mailboxes
	watch  Watchers

	mu    sync.Mutex
	boxes map[idKey]*memoryBox
	tombs map[[32]byte]tomb
	bytes int64
}

type memoryBox struct {
	Record
	frames map[Slot]frame.Frame
	claims []Slot // by number; the zero Slot stands for what is erased
}

type tomb struct {
	proof   frame.Proof
	expires time.Time
}

// NewMemory returns an empty Memory. now tells the time; nil: time.Now.
func NewMemory(now func() time.Time, l Limits) *Memory {
	if now == nil {
		now = time.Now
	}
	m := &Memory{now: now, limits: l.WithDefaults(), boxes: map[idKey]*memoryBox{}, tombs: map[[32]byte]tomb{}}
	rand.Read(m.key[:])
	return m
}

// TombName is the name under which a deleted mailbox's tombstone is kept:
// HMAC-SHA256 under a key of the relay's own.
func TombName(key [32]byte, id frame.ShareID) [32]byte {
	h := hmac.New(sha256.New, key[:])
	h.Write(id[:])
	return [32]byte(h.Sum(nil))
}

// box returns a mailbox that lives; the caller holds mu.
func (m *Memory) box(id frame.ShareID) (*memoryBox, error) {
	if b := m.boxes[idKey{id: id}]; b != nil && m.now().Before(b.Expires) {
		return b, nil
	}
	if t, ok := m.tombs[TombName(m.key, id)]; ok && m.now().Before(t.expires) {
		return nil, &GoneError{t.proof}
	}
	return nil, ErrAbsent
}

// change runs f on a mailbox and tells its watchers if f went well.
func (m *Memory) change(id frame.ShareID, f func(*memoryBox) error) error {
	m.mu.Lock()
	b, err := m.box(id)
	if err == nil {
		before := b.Size()
		err = f(b)
		m.bytes += b.Size() - before
	}
	m.mu.Unlock()
	if err == nil {
		m.watch.Tell(id)
	}
	return err
}

// Create implements Store.
func (m *Memory) Create(_ context.Context, id frame.ShareID, mb Mailbox) error {
	m.mu.Lock()
	b, err := m.box(id)
	switch {
	case err == nil:
		err = b.Same(mb)
	case err == ErrAbsent:
		err = m.add(id, mb)
	}
	m.mu.Unlock()
	if err == nil {
		m.watch.Tell(id)
	}
	return err
}

// add makes a mailbox; the caller holds mu.
func (m *Memory) add(id frame.ShareID, mb Mailbox) error {
	m.erase(id)
	delete(m.tombs, TombName(m.key, id))
	b := &memoryBox{Record: NewRecord(mb), frames: map[Slot]frame.Frame{}}
	if err := m.fits(b.Size()); err != nil {
		return err
	}
	m.boxes[idKey{id: id}] = b
	m.bytes += b.Size()
	return nil
}

// fits returns ErrStorage if another mailbox of so many bytes doesn't; the caller holds mu.
func (m *Memory) fits(size int64) error {
	l := &m.limits
	if len(m.boxes) >= l.Mailboxes || len(m.boxes)+len(m.tombs) >= l.Names || m.bytes+size > l.Bytes {
		return ErrStorage
	}
	return nil
}

// Room implements Store.
func (m *Memory) Room() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.fits(1)
}

// View implements Store.
func (m *Memory) View(_ context.Context, id frame.ShareID) (Status, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	b, err := m.box(id)
	if err != nil {
		return Status{}, err
	}
	return b.Status(), nil
}

// Offer implements Store.
func (m *Memory) Offer(_ context.Context, id frame.ShareID, offer frame.Frame) error {
	return m.change(id, func(b *memoryBox) error {
		erased, err := b.NextOffer(offer)
		for _, lane := range erased {
			m.eraseLane(b, lane)
		}
		return err
	})
}

// Open implements Store.
func (m *Memory) Open(_ context.Context, id frame.ShareID, lane frame.Candidate, claim [32]byte, frames []frame.Frame) error {
	return m.change(id, func(b *memoryBox) error {
		return m.put(b, func() ([]Entry, error) { return b.OpenLane(lane, claim, frames, b.get, m.limits) })
	})
}

// Append implements Store.
func (m *Memory) Append(_ context.Context, id frame.ShareID, lane frame.Candidate, side Side, frames []frame.Frame) error {
	return m.change(id, func(b *memoryBox) error {
		return m.put(b, func() ([]Entry, error) { return b.Append(lane, side, frames, b.get, m.limits) })
	})
}

func (b *memoryBox) get(s Slot) (frame.Frame, error) { return b.frames[s], nil }

// put stores what a rule adds, or nothing.
func (m *Memory) put(b *memoryBox, rule func() ([]Entry, error)) error {
	before := b.Clone()
	entries, err := rule()
	if err != nil {
		return err
	}
	var size int64
	for _, e := range entries {
		size += int64(len(e.Frame))
	}
	if m.bytes+size > m.limits.Bytes && !Small(entries) {
		b.Record = before
		return ErrStorage
	}
	m.bytes += size
	for _, e := range entries {
		b.frames[e.Slot] = e.Frame
		if e.Side == ReceiverSide {
			b.claims = append(b.claims, e.Slot)
		}
	}
	return nil
}

// Read implements Store.
func (m *Memory) Read(_ context.Context, id frame.ShareID, lane frame.Candidate, side Side, from uint64) ([]frame.Frame, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	b, err := m.box(id)
	if err != nil {
		return nil, err
	}
	end, err := b.Extent(lane, side)
	if err != nil {
		return nil, err
	}
	var out []frame.Frame
	for size := 0; from < end && size < PieceSize; from++ {
		f := b.frames[Slot{lane, side, from}]
		out, size = append(out, f), size+len(f)
	}
	return out, nil
}

// Claims implements Store.
func (m *Memory) Claims(_ context.Context, id frame.ShareID, after uint64) ([]frame.Frame, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	b, err := m.box(id)
	if err != nil {
		return nil, err
	}
	var out []frame.Frame
	for size := 0; after < uint64(len(b.claims)) && size < PieceSize; after++ {
		f, ok := b.frames[b.claims[after]]
		if !ok {
			f = frame.Shut(frame.Candidate{})
		}
		out, size = append(out, f), size+len(f)
	}
	return out, nil
}

// Confirm implements Store.
func (m *Memory) Confirm(_ context.Context, id frame.ShareID, epoch uint64, lane frame.Candidate, claim [32]byte) error {
	return m.change(id, func(b *memoryBox) error {
		erased, err := b.ConfirmLane(epoch, lane, claim)
		if erased {
			m.eraseLane(b, lane)
		}
		return err
	})
}

// Close implements Store.
func (m *Memory) Close(_ context.Context, id frame.ShareID, closing frame.Frame) error {
	return m.change(id, func(b *memoryBox) error {
		erased, err := b.CloseLane(closing)
		if erased {
			m.eraseLane(b, closing.Candidate())
		}
		return err
	})
}

// eraseLane forgets a lane's frames; the caller holds mu.
func (m *Memory) eraseLane(b *memoryBox, lane frame.Candidate) {
	for s, f := range b.frames {
		if s.Lane == lane {
			m.bytes -= int64(len(f))
			delete(b.frames, s)
		}
	}
	for i, s := range b.claims {
		if s.Lane == lane {
			b.claims[i] = Slot{}
		}
	}
}

// erase forgets a mailbox; the caller holds mu.
func (m *Memory) erase(id frame.ShareID) {
	b := m.boxes[idKey{id: id}]
	if b == nil {
		return
	}
	for _, f := range b.frames {
		m.bytes -= int64(len(f))
	}
	m.bytes -= b.Size()
	delete(m.boxes, idKey{id: id})
}

// Delete implements Store.
func (m *Memory) Delete(_ context.Context, id frame.ShareID, proof frame.Proof) error {
	m.mu.Lock()
	b, err := m.box(id)
	if err == nil {
		m.tombs[TombName(m.key, id)] = tomb{proof, b.Expires}
		m.erase(id)
	}
	m.mu.Unlock()
	if err == nil {
		m.watch.Tell(id)
	}
	if _, gone := err.(*GoneError); gone {
		return nil
	}
	return err
}

// Watch implements Store.
func (m *Memory) Watch(id frame.ShareID) (<-chan struct{}, func()) { return m.watch.Add(id) }

// Sweep implements Store.
func (m *Memory) Sweep(_ context.Context, now time.Time) (int, error) {
	m.mu.Lock()
	var swept []frame.ShareID
	for key, b := range m.boxes {
		if !now.Before(b.Expires) {
			m.erase(key.id)
			swept = append(swept, key.id)
		}
	}
	n := len(swept)
	for name, t := range m.tombs {
		if !now.Before(t.expires) {
			delete(m.tombs, name)
			n++
		}
	}
	m.mu.Unlock()
	for _, id := range swept {
		m.watch.Tell(id)
	}
	return n, nil
}

// Shutdown implements Store.
func (m *Memory) Shutdown() error { return nil }
