package disk

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"github.com/cockroachdb/pebble/v2"

	"github.com/sparekey/sparekey/fault"
	"github.com/sparekey/sparekey/noise/frame"
	"github.com/sparekey/sparekey/relay"
)

// A draft is a change of the store that is being put together: a batch, and what
// becomes of the counts when it is applied.
type draft struct {
	*pebble.Batch
	synced       chan struct{} // closed when it is on the disk
	boxes, tombs int64
	erased       int64 // bytes of frames that it erases
}

// write puts a draft together and applies it under the lock of a mailbox, and
// waits for the disk outside of it: the next change of the same mailbox stands
// behind this one in the log, and both are synced together.
func (s *Store) write(n name, rule func(*draft) error) error {
	d := &draft{Batch: s.db.NewBatch(), synced: make(chan struct{})}
	defer d.Close()
	if err := s.apply(n, d, rule); err != nil {
		return err
	}
	if err := d.SyncWait(); err != nil {
		s.refused(err)
	}
	close(d.synced)
	s.syncing.CompareAndDelete(n, d.synced)
	fault.Point("disk.commit", "synced")
	s.soil(d.erased)
	return nil
}

func (s *Store) apply(n name, d *draft, rule func(*draft) error) error {
	mu := s.stripe(n)
	mu.Lock()
	defer mu.Unlock()
	if err := rule(d); err != nil {
		return err
	}
	fault.Point("disk.commit", "begin")
	s.syncing.Store(n, d.synced)
	if err := s.db.ApplyNoSyncWait(d.Batch, pebble.Sync); err != nil {
		s.refused(err)
	}
	fault.Point("disk.commit", "applied")
	s.boxes.Add(d.boxes)
	s.tombs.Add(d.tombs)
	return nil
}

// settled returns frames that were read once they are on the disk: they may have been
// read before their own write has got there. Writes get there in their order, so the
// mailbox's last one is waited for, if any is under way.
func (s *Store) settled(id frame.ShareID, frames []frame.Frame) []frame.Frame {
	if synced, under := s.syncing.Load(s.name(id)); under && len(frames) > 0 {
		<-synced.(chan struct{})
	}
	return frames
}

// change applies a rule to a mailbox.
func (s *Store) change(id frame.ShareID, rule func(*relay.Record, *draft) error) error {
	err := s.write(s.name(id), func(d *draft) error {
		r, err := s.box(id)
		if err != nil {
			return err
		}
		held := r.Held()
		if err := rule(r, d); err != nil {
			return err
		}
		d.erased = max(0, held-r.Held())
		return s.put(d, id, r)
	})
	if err == nil {
		s.watch.Tell(id)
	}
	return err
}

// put writes a mailbox's record, also where nothing has changed: an answer that
// repeats another must not overtake the sync of that one.
func (s *Store) put(d *draft, id frame.ShareID, r *relay.Record) error {
	v, err := encodeRecord(r)
	if err != nil {
		return err
	}
	return d.Set(s.name(id).key('r'), v, nil)
}

// Create implements relay.Store.
func (s *Store) Create(_ context.Context, id frame.ShareID, m relay.Mailbox) error {
	err := s.write(s.name(id), func(d *draft) error { return s.create(id, m, d) })
	if err == nil {
		s.watch.Tell(id)
	}
	return err
}

func (s *Store) create(id frame.ShareID, m relay.Mailbox, d *draft) error {
	r, err := s.box(id)
	if err == nil {
		if err := r.Same(m); err != nil {
			return err
		}
		return s.put(d, id, r)
	}
	if !errors.Is(err, relay.ErrAbsent) {
		return err
	}
	n := s.name(id)
	if err := s.eraseStale(d, n); err != nil {
		return err
	}
	m.Expires = m.Expires.Truncate(time.Second)
	fresh := relay.NewRecord(m)
	if err := s.fits(s.boxes.Load()+d.boxes, s.tombs.Load()+d.tombs, int(fresh.Size())); err != nil {
		return err
	}
	d.boxes++
	return errors.Join(d.Set(due(m.Expires, 'm', n), nil, nil), s.put(d, id, &fresh))
}

// fits returns relay.ErrStorage if another mailbox of so many bytes doesn't, beside so
// many mailboxes and tombstones.
func (s *Store) fits(boxes, tombs int64, size int) error {
	if boxes >= int64(s.limits.Mailboxes) || boxes+tombs >= int64(s.limits.Names) {
		return relay.ErrStorage
	}
	return s.hasRoom(size)
}

// Room implements relay.Store. What there is of the disk is asked for once a second at
// most, as for a Create.
func (s *Store) Room() error { return s.fits(s.boxes.Load(), s.tombs.Load(), 0) }

// eraseStale erases a mailbox or tombstone of the same name whose time is up and
// that no sweep has met yet.
func (s *Store) eraseStale(d *draft, n name) error {
	if v, err := s.read(n.key('r')); err == nil {
		old, err := decodeRecord(v)
		if err != nil {
			return err
		}
		return s.erase(d, n, old.Expires)
	}
	if v, err := s.read(tombKey(n)); err == nil && len(v) >= 8 {
		return s.eraseTomb(d, n, time.Unix(int64(binary.BigEndian.Uint64(v)), 0))
	}
	return nil
}

// erase adds the erasure of a mailbox, tombstone left out.
func (s *Store) erase(d *draft, n name, expires time.Time) error {
	if v, err := s.read(n.key('r')); err == nil {
		if r, err := decodeRecord(v); err == nil { // what is damaged is erased, too
			d.erased += r.Held()
		}
	}
	from, to := n.all()
	d.boxes--
	return errors.Join(d.DeleteRange(from, to, nil), d.Delete(due(expires, 'm', n), nil), d.stain(n))
}

func (s *Store) eraseTomb(d *draft, n name, expires time.Time) error {
	d.tombs--
	return errors.Join(d.Delete(tombKey(n), nil), d.Delete(due(expires, 't', n), nil), d.stain(n))
}

// eraseLane adds the erasure of a lane's logs.
func (s *Store) eraseLane(d *draft, id frame.ShareID, lane frame.Candidate) error {
	n := s.name(id)
	from := n.key('f', s.laneName(id, lane))
	return errors.Join(d.DeleteRange(from, after(from), nil), d.stain(n))
}

// Offer implements relay.Store.
func (s *Store) Offer(_ context.Context, id frame.ShareID, offer frame.Frame) error {
	return s.change(id, func(r *relay.Record, d *draft) error {
		erased, err := r.NextOffer(offer)
		for _, lane := range erased {
			err = errors.Join(err, s.eraseLane(d, id, lane))
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
	return s.change(id, func(r *relay.Record, d *draft) error {
		entries, err := rule(r, func(slot relay.Slot) (frame.Frame, error) { return s.frame(id, slot) })
		if err != nil {
			return err
		}
		size := 0
		for _, e := range entries {
			size += len(e.Frame)
			if err := s.putEntry(d, id, e); err != nil {
				return err
			}
		}
		if size == 0 {
			return nil
		}
		if err := s.hasRoom(size); err != nil && !relay.Small(entries) {
			return err // small frames still fit: those that end a share
		}
		return nil
	})
}

func (s *Store) slotKey(id frame.ShareID, slot relay.Slot) []byte {
	return s.name(id).key('f', s.laneName(id, slot.Lane), []byte{byte(slot.Side)}, u64(slot.Seq))
}

func (s *Store) putEntry(d *draft, id frame.ShareID, e relay.Entry) error {
	if err := d.Set(s.slotKey(id, e.Slot), e.Frame, nil); err != nil {
		return err
	}
	if e.Side != relay.ReceiverSide {
		return nil
	}
	return errors.Join(
		d.Set(s.name(id).key('n', u64(e.Number)), append(e.Lane[:], u64(e.Seq)...), nil),
		d.Set(s.slotKey(id, numberOf(e.Slot)), u64(e.Number), nil))
}

// numberOf is where the number of a receiver's frame lies: among its lane's frames,
// so that it is erased with them.
func numberOf(s relay.Slot) relay.Slot {
	s.Side = 3
	return s
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
	for size := 0; from < end && size < relay.PieceSize; from++ {
		f, err := s.frame(id, relay.Slot{Lane: lane, Side: side, Seq: from})
		if errors.Is(err, pebble.ErrNotFound) {
			break // the lane was erased in between; the next look says so
		}
		if err != nil {
			return nil, err
		}
		out, size = append(out, f), size+len(f)
	}
	return s.settled(id, out), nil
}

// Claims implements relay.Store.
func (s *Store) Claims(_ context.Context, id frame.ShareID, after uint64) ([]frame.Frame, error) {
	r, err := s.box(id)
	if err != nil {
		return nil, err
	}
	var out []frame.Frame
	for size := 0; after < r.Claims && size < relay.PieceSize; after++ {
		f, err := s.claim(id, after)
		if err != nil {
			return nil, err
		}
		out, size = append(out, f), size+len(f)
	}
	return s.settled(id, out), nil
}

func (s *Store) claim(id frame.ShareID, number uint64) (frame.Frame, error) {
	v, err := s.read(s.name(id).key('n', u64(number)))
	if err == nil && len(v) == 16 {
		slot := relay.Slot{Lane: frame.Candidate(v[:8]), Side: relay.ReceiverSide, Seq: binary.BigEndian.Uint64(v[8:])}
		var f frame.Frame
		if f, err = s.frame(id, slot); err == nil {
			return s.unlessNewer(id, slot, number, f)
		}
	}
	if errors.Is(err, pebble.ErrNotFound) {
		return hole, nil
	}
	return nil, err
}

// hole stands among the claims for what was erased.
var hole = frame.Shut(frame.Candidate{})

// unlessNewer gives the frame of a slot for its own number alone: under an older one
// stood what was erased before the lane was opened again. The frame was read before
// the number is, so it is no newer than that.
func (s *Store) unlessNewer(id frame.ShareID, slot relay.Slot, number uint64, f frame.Frame) (frame.Frame, error) {
	v, err := s.read(s.slotKey(id, numberOf(slot)))
	switch {
	case errors.Is(err, pebble.ErrNotFound): // it is being erased
		return f, nil
	case err != nil:
		return nil, err
	case len(v) != 8:
		return nil, fmt.Errorf("%w: a number of %d bytes", ErrDamaged, len(v))
	case binary.BigEndian.Uint64(v) != number:
		return hole, nil
	}
	return f, nil
}

// Confirm implements relay.Store.
func (s *Store) Confirm(_ context.Context, id frame.ShareID, epoch uint64, lane frame.Candidate, claim [32]byte) error {
	return s.change(id, func(r *relay.Record, d *draft) error {
		erased, err := r.ConfirmLane(epoch, lane, claim)
		if err == nil && erased {
			err = s.eraseLane(d, id, lane)
		}
		return err
	})
}

// Close implements relay.Store.
func (s *Store) Close(_ context.Context, id frame.ShareID, closing frame.Frame) error {
	return s.change(id, func(r *relay.Record, d *draft) error {
		erased, err := r.CloseLane(closing)
		if err == nil && erased {
			err = s.eraseLane(d, id, closing.Candidate())
		}
		return err
	})
}

// Delete implements relay.Store.
func (s *Store) Delete(_ context.Context, id frame.ShareID, proof frame.Proof) error {
	err := s.write(s.name(id), func(d *draft) error { return s.entomb(id, proof, d) })
	if gone := (*relay.GoneError)(nil); errors.As(err, &gone) {
		if err := s.db.LogData(nil, pebble.Sync); err != nil { // not before the first one's sync
			s.refused(err)
		}
		return nil
	}
	if err == nil {
		s.watch.Tell(id)
	}
	return err
}

func (s *Store) entomb(id frame.ShareID, proof frame.Proof, d *draft) error {
	r, err := s.box(id)
	if err != nil {
		return err
	}
	n := s.name(id)
	v := u64(uint64(r.Expires.Unix()))
	v = append(append(v, proof.H[:]...), proof.Over[:]...)
	d.tombs++
	return errors.Join(s.erase(d, n, r.Expires), d.Set(tombKey(n), v, nil), d.Set(due(r.Expires, 't', n), nil, nil))
}
