package disk

import (
	"context"
	"encoding/binary"
	"errors"
	"time"

	"github.com/cockroachdb/pebble/v2"
)

// Sweep implements relay.Store.
func (s *Store) Sweep(_ context.Context, now time.Time) (int, error) {
	it, err := s.db.NewIter(&pebble.IterOptions{
		LowerBound: []byte{'e'},
		UpperBound: binary.BigEndian.AppendUint64([]byte{'e'}, uint64(now.Unix())+1),
	})
	if err != nil {
		return 0, err
	}
	b := s.db.NewBatch()
	defer b.Close()
	n := 0
	for ok := it.First(); ok; ok = it.Next() {
		k := it.Key()
		if len(k) != dueSize {
			continue
		}
		n++
		who, expires := name(k[10:]), time.Unix(int64(binary.BigEndian.Uint64(k[1:])), 0)
		if k[9] == 'm' {
			err = errors.Join(err, s.erase(b, who, expires))
		} else {
			err = errors.Join(err, b.Delete(tombKey(who), nil), b.Delete(due(expires, 't', who), nil), b.Set([]byte{'d'}, nil, nil))
		}
	}
	if err = errors.Join(err, it.Close()); err != nil || n == 0 {
		return 0, err
	}
	if err := b.Commit(pebble.Sync); err != nil {
		return 0, err
	}
	s.soil()
	return n, nil
}

// soil says that something was erased whose bytes are still there.
func (s *Store) soil() {
	select {
	case s.dirty <- struct{}{}:
	default:
	}
}

// scrubber makes erased bytes go away, a while after the first of them was
// erased, so that many erasures cost one scrub. The first time it waits for first.
func (s *Store) scrubber(first time.Duration) {
	for wait := first; ; wait = s.scrub {
		select {
		case <-s.closed:
			return
		case <-s.dirty:
		}
		t := time.NewTimer(wait)
		select {
		case <-s.closed:
			t.Stop()
			return
		case <-t.C:
		}
		if err := s.Scrub(context.Background()); err != nil {
			s.log.Error("store: erased bytes are not gone yet", "error", err)
			s.soil()
		}
	}
}

// Scrub makes what was erased before the call go away from every file: the
// write-ahead log is flushed and removed, and the tables are written anew
// without what they had lost. It costs a pass over the store.
func (s *Store) Scrub(ctx context.Context) error {
	if _, err := s.read([]byte{'d'}); errors.Is(err, pebble.ErrNotFound) {
		return nil
	}
	if err := s.db.Delete([]byte{'d'}, pebble.Sync); err != nil {
		return err
	}
	err := s.compact(ctx)
	if err != nil {
		return errors.Join(err, s.db.Set([]byte{'d'}, nil, pebble.Sync))
	}
	return nil
}

func (s *Store) compact(ctx context.Context) error {
	if err := s.db.Flush(); err != nil {
		return err
	}
	if err := s.db.Compact(ctx, []byte{0}, []byte{0xff}, true); err != nil {
		return err
	}
	// A compaction leaves its own last step in the log and in a table: once more.
	return s.db.Flush()
}
