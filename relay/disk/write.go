package disk

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"github.com/cockroachdb/pebble/v2"

	"github.com/sparekey/sparekey/noise/frame"
	"github.com/sparekey/sparekey/relay"
)

// change applies a rule to a mailbox under its lock, and waits for the disk
// outside of it: the next change of the same mailbox stands behind this one in
// the log, and both are synced together.
func (s *Store) change(id frame.ShareID, rule func(*relay.Record, *pebble.Batch) error) error {
	b := s.db.NewBatch()
	defer b.Close()
	if err := s.apply(id, b, rule); err != nil {
		return err
	}
	if err := b.SyncWait(); err != nil {
		return err
	}
	s.watch.Tell(id)
	return nil
}

func (s *Store) apply(id frame.ShareID, b *pebble.Batch, rule func(*relay.Record, *pebble.Batch) error) error {
	mu := s.stripe(id)
	mu.Lock()
	defer mu.Unlock()
	r, err := s.box(id)
	if err != nil {
		return err
	}
	if err := rule(r, b); err != nil {
		return err
	}
	if err := s.put(b, id, r); err != nil {
		return err
	}
	return s.db.ApplyNoSyncWait(b, pebble.Sync)
}

// put writes a mailbox's record, also where nothing has changed: an answer that
// repeats another must not overtake the sync of that one.
func (s *Store) put(b *pebble.Batch, id frame.ShareID, r *relay.Record) error {
	v, err := encodeRecord(r)
	if err != nil {
		return err
	}
	return b.Set(s.name(id).key('r'), v, nil)
}

// Create implements relay.Store.
func (s *Store) Create(_ context.Context, id frame.ShareID, m relay.Mailbox) error {
	b := s.db.NewBatch()
	defer b.Close()
	if err := s.create(id, m, b); err != nil {
		return err
	}
	if err := b.SyncWait(); err != nil {
		return err
	}
	s.watch.Tell(id)
	return nil
}

func (s *Store) create(id frame.ShareID, m relay.Mailbox, b *pebble.Batch) error {
	mu := s.stripe(id)
	mu.Lock()
	defer mu.Unlock()
	n := s.name(id)
	r, err := s.box(id)
	switch {
	case err == nil:
		if err := r.Same(m); err != nil {
			return err
		}
	case !errors.Is(err, relay.ErrAbsent):
		return err
	case s.boxes.Load() >= int64(s.limits.Mailboxes):
		return relay.ErrStorage
	default:
		if err := s.hasRoom(); err != nil {
			return err
		}
		if err := s.eraseStale(b, n); err != nil {
			return err
		}
		m.Expires = m.Expires.Truncate(time.Second)
		fresh := relay.NewRecord(m)
		r = &fresh
		if err := b.Set(due(m.Expires, 'm', n), nil, nil); err != nil {
			return err
		}
		s.boxes.Add(1)
	}
	if err := s.put(b, id, r); err != nil {
		return err
	}
	return s.db.ApplyNoSyncWait(b, pebble.Sync)
}

// eraseStale erases a mailbox or tombstone of the same name whose time is up and
// that no sweep has met yet.
func (s *Store) eraseStale(b *pebble.Batch, n name) error {
	if v, err := s.read(n.key('r')); err == nil {
		old, err := decodeRecord(v)
		if err != nil {
			return err
		}
		return s.erase(b, n, old.Expires)
	}
	if v, err := s.read(tombKey(n)); err == nil && len(v) >= 8 {
		old := time.Unix(int64(binary.BigEndian.Uint64(v)), 0)
		return errors.Join(b.Delete(tombKey(n), nil), b.Delete(due(old, 't', n), nil))
	}
	return nil
}

// erase adds to a batch the erasure of a mailbox, tombstone left out.
func (s *Store) erase(b *pebble.Batch, n name, expires time.Time) error {
	from, to := n.all()
	s.boxes.Add(-1)
	return errors.Join(b.DeleteRange(from, to, nil), b.Delete(due(expires, 'm', n), nil), b.Set([]byte{'d'}, nil, nil))
}

// eraseLane adds to a batch the erasure of a lane's logs.
func (s *Store) eraseLane(b *pebble.Batch, id frame.ShareID, lane frame.Candidate) error {
	from := s.name(id).key('f', s.laneName(id, lane))
	return errors.Join(b.DeleteRange(from, after(from), nil), b.Set([]byte{'d'}, nil, nil))
}

// Offer implements relay.Store.
func (s *Store) Offer(_ context.Context, id frame.ShareID, offer frame.Frame) error {
	defer s.soil()
	return s.change(id, func(r *relay.Record, b *pebble.Batch) error {
		erased, err := r.NextOffer(offer)
		for _, lane := range erased {
			err = errors.Join(err, s.eraseLane(b, id, lane))
		}
		return err
	})
}

// Open implements relay.Store.
func (s *Store) Open(_ context.Context, id frame.ShareID, lane frame.Candidate, claim [32]byte, frames []frame.Frame) error {
	return s.add(id, func(r *relay.Record, have func(relay.Slot) (frame.Frame, error)) ([]relay.Entry, error) {
		return r.OpenLane(lane, claim, frames, have, s.limits)
	})
}

// Append implements relay.Store.
func (s *Store) Append(_ context.Context, id frame.ShareID, lane frame.Candidate, side relay.Side, frames []frame.Frame) error {
	return s.add(id, func(r *relay.Record, have func(relay.Slot) (frame.Frame, error)) ([]relay.Entry, error) {
		return r.Append(lane, side, frames, have, s.limits)
	})
}

func (s *Store) add(id frame.ShareID, rule func(*relay.Record, func(relay.Slot) (frame.Frame, error)) ([]relay.Entry, error)) error {
	return s.change(id, func(r *relay.Record, b *pebble.Batch) error {
		entries, err := rule(r, func(slot relay.Slot) (frame.Frame, error) { return s.frame(id, slot) })
		if err != nil {
			return err
		}
		if len(entries) > 0 {
			if err := s.hasRoom(); err != nil && len(entries[0].Frame) > 1100 {
				return err // small frames still fit: those that end a share
			}
		}
		for _, e := range entries {
			if err := s.putEntry(b, id, e); err != nil {
				return err
			}
		}
		return nil
	})
}

func (s *Store) slotKey(id frame.ShareID, slot relay.Slot) []byte {
	return s.name(id).key('f', s.laneName(id, slot.Lane), []byte{byte(slot.Side)}, u64(slot.Seq))
}

func (s *Store) putEntry(b *pebble.Batch, id frame.ShareID, e relay.Entry) error {
	if err := b.Set(s.slotKey(id, e.Slot), e.Frame, nil); err != nil {
		return err
	}
	if e.Side != relay.ReceiverSide {
		return nil
	}
	return b.Set(s.name(id).key('n', u64(e.Number)), append(e.Lane[:], u64(e.Seq)...), nil)
}

// frame reads a frame of a log.
func (s *Store) frame(id frame.ShareID, slot relay.Slot) (frame.Frame, error) {
	v, err := s.read(s.slotKey(id, slot))
	if err != nil {
		return nil, err
	}
	f, err := frame.Parse(v)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	return f, nil
}

const pieceBytes = 1 << 20

// Read implements relay.Store.
func (s *Store) Read(_ context.Context, id frame.ShareID, lane frame.Candidate, side relay.Side, from uint64) ([]frame.Frame, error) {
	r, err := s.box(id)
	if err != nil {
		return nil, err
	}
	end, err := r.Extent(lane, side)
	if err != nil {
		return nil, err
	}
	var out []frame.Frame
	for size := 0; from < end && size < pieceBytes; from++ {
		f, err := s.frame(id, relay.Slot{Lane: lane, Side: side, Seq: from})
		if errors.Is(err, pebble.ErrNotFound) {
			return out, nil // the lane was erased in between; the next look says so
		}
		if err != nil {
			return nil, err
		}
		out, size = append(out, f), size+len(f)
	}
	return out, nil
}

// Claims implements relay.Store.
func (s *Store) Claims(_ context.Context, id frame.ShareID, after uint64) ([]frame.Frame, error) {
	r, err := s.box(id)
	if err != nil {
		return nil, err
	}
	var out []frame.Frame
	for size := 0; after < r.Claims && size < pieceBytes; after++ {
		f, err := s.claim(id, after)
		if err != nil {
			return nil, err
		}
		out, size = append(out, f), size+len(f)
	}
	return out, nil
}

func (s *Store) claim(id frame.ShareID, number uint64) (frame.Frame, error) {
	v, err := s.read(s.name(id).key('n', u64(number)))
	if err == nil && len(v) == 16 {
		slot := relay.Slot{Lane: frame.Candidate(v[:8]), Side: relay.ReceiverSide, Seq: binary.BigEndian.Uint64(v[8:])}
		var f frame.Frame
		if f, err = s.frame(id, slot); err == nil {
			return f, nil
		}
	}
	if errors.Is(err, pebble.ErrNotFound) {
		return frame.Shut(frame.Candidate{}), nil
	}
	return nil, err
}

// Confirm implements relay.Store.
func (s *Store) Confirm(_ context.Context, id frame.ShareID, lane frame.Candidate, claim [32]byte) error {
	return s.change(id, func(r *relay.Record, b *pebble.Batch) error {
		erased, err := r.ConfirmLane(lane, claim)
		if err == nil && erased {
			err = s.eraseLane(b, id, lane)
		}
		return err
	})
}

// Close implements relay.Store.
func (s *Store) Close(_ context.Context, id frame.ShareID, closing frame.Frame) error {
	defer s.soil()
	return s.change(id, func(r *relay.Record, b *pebble.Batch) error {
		erased, err := r.CloseLane(closing)
		if err == nil && erased {
			err = s.eraseLane(b, id, closing.Candidate())
		}
		return err
	})
}

// Delete implements relay.Store.
func (s *Store) Delete(_ context.Context, id frame.ShareID, proof frame.Proof) error {
	b := s.db.NewBatch()
	defer b.Close()
	err := s.entomb(id, proof, b)
	if gone := (*relay.GoneError)(nil); errors.As(err, &gone) {
		return s.db.LogData(nil, pebble.Sync) // not before the first one's sync
	}
	if err != nil {
		return err
	}
	if err := b.SyncWait(); err != nil {
		return err
	}
	s.soil()
	s.watch.Tell(id)
	return nil
}

func (s *Store) entomb(id frame.ShareID, proof frame.Proof, b *pebble.Batch) error {
	mu := s.stripe(id)
	mu.Lock()
	defer mu.Unlock()
	r, err := s.box(id)
	if err != nil {
		return err
	}
	n := s.name(id)
	v := u64(uint64(r.Expires.Unix()))
	v = append(append(v, proof.H[:]...), proof.Over[:]...)
	err = errors.Join(s.erase(b, n, r.Expires), b.Set(tombKey(n), v, nil), b.Set(due(r.Expires, 't', n), nil, nil))
	if err != nil {
		return err
	}
	return s.db.ApplyNoSyncWait(b, pebble.Sync)
}
