package disk

import (
	"context"
	"encoding/binary"
	"errors"
	"time"

	"github.com/cockroachdb/pebble/v2"

	"github.com/sparekey/sparekey/fault"
)

// Sweep implements relay.Store. Each erasure is a change of its own, under the
// mailbox's lock, and looks again at what is there by then: the mailbox may have
// been deleted since, and its name be in use by another. One that fails holds up
// none of the others; the next sweep meets it again.
func (s *Store) Sweep(ctx context.Context, now time.Time) (n int, err error) {
	it, err := s.db.NewIter(&pebble.IterOptions{
		LowerBound: []byte{'e'},
		UpperBound: binary.BigEndian.AppendUint64([]byte{'e'}, uint64(now.Unix())+1),
	})
	if err != nil {
		return 0, err
	}
	var failed error
	var erased int64
	for ok := it.First(); ok && ctx.Err() == nil; ok = it.Next() {
		k := it.Key()
		if len(k) != dueSize {
			continue
		}
		swept, bytes, err := s.sweepOne(time.Unix(int64(binary.BigEndian.Uint64(k[1:])), 0), k[9], name(k[10:]))
		if erased += bytes; swept {
			n++
		}
		if err != nil && failed == nil {
			failed = err
		}
	}
	err = errors.Join(failed, it.Close(), ctx.Err())
	if n > 0 {
		fault.Point("disk.sweep", "applied")
		if err := s.db.LogData(nil, pebble.Sync); err != nil {
			s.refused(err)
		}
		fault.Point("disk.sweep", "synced")
		s.soil(erased)
	}
	return n, err
}

// sweepOne erases what was due at a time, if it still is. It doesn't wait for the disk.
func (s *Store) sweepOne(expires time.Time, kind byte, n name) (swept bool, erased int64, err error) {
	mu := s.stripe(n)
	mu.Lock()
	defer mu.Unlock()
	d := &draft{Batch: s.db.NewBatch()}
	defer d.Close()
	_, err = s.read(due(expires, kind, n))
	if errors.Is(err, pebble.ErrNotFound) {
		return false, 0, nil // it went between the scan and now
	}
	if err == nil && kind == 'm' {
		err = s.erase(d, n, expires)
	} else if err == nil {
		err = s.eraseTomb(d, n, expires)
	}
	if err != nil {
		return false, 0, err
	}
	fault.Point("disk.sweep", "begin")
	if err := s.db.Apply(d.Batch, pebble.NoSync); err != nil {
		s.refused(err)
	}
	s.boxes.Add(d.boxes)
	s.tombs.Add(d.tombs)
	return true, d.erased, nil
}
