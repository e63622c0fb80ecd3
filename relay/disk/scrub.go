package disk

import (
	"context"
	"errors"
	"time"

	"github.com/cockroachdb/pebble/v2"

	"github.com/sparekey/sparekey/fault"
)

// scrubRetry is how soon a scrub that has failed is tried again.
const scrubRetry = 20 * time.Second

// soil says that something may have been erased whose bytes are still there.
func (s *Store) soil() {
	select {
	case s.dirty <- struct{}{}:
	default:
	}
}

// scrubber makes erased bytes go away, a while after the first of them was
// erased, so that many erasures cost one scrub. What an earlier process has left
// goes at once: nobody knows how long it has been there.
func (s *Store) scrubber(unclean bool) {
	for wait := s.scrub; ; wait = s.scrub {
		if unclean {
			wait, unclean = 0, false
		} else {
			select {
			case <-s.open.Done():
				return
			case <-s.dirty:
			}
		}
		for again := true; again; wait = min(scrubRetry, s.scrub) {
			t := time.NewTimer(wait)
			select {
			case <-s.open.Done():
				t.Stop()
				return
			case <-t.C:
			}
			err := s.Scrub(s.open)
			if again = err != nil && s.open.Err() == nil; again {
				s.log.Error("store: erased bytes are not gone yet", "error", err)
			}
		}
	}
}

// unclean reports whether something was erased whose bytes may still be there.
func (s *Store) unclean() (bool, error) {
	for _, key := range []byte{'d', 's'} {
		switch _, err := s.read([]byte{key}); {
		case err == nil:
			return true, nil
		case !errors.Is(err, pebble.ErrNotFound):
			return false, err
		}
	}
	return false, nil
}

// Scrub makes what was erased before the call go away from every file: the
// write-ahead log is flushed and removed, and the tables are written anew
// without what they had lost. It costs a pass over the store. What is erased
// meanwhile marks the store anew; a scrub that is cut off has left its own mark.
func (s *Store) Scrub(ctx context.Context) error {
	if unclean, err := s.unclean(); err != nil || !unclean {
		return err
	}
	b := s.db.NewBatch()
	defer b.Close()
	if err := errors.Join(b.Delete([]byte{'d'}, nil), b.Set([]byte{'s'}, nil, nil)); err != nil {
		return err
	}
	if err := b.Commit(pebble.Sync); err != nil {
		return err
	}
	fault.Point("disk.scrub", "begin")
	if err := s.compact(ctx); err != nil {
		return err
	}
	fault.Point("disk.scrub", "compacted")
	return s.db.Delete([]byte{'s'}, pebble.Sync)
}

func (s *Store) compact(ctx context.Context) error {
	if err := s.db.Flush(); err != nil {
		return err
	}
	fault.Point("disk.scrub", "flushed")
	if err := s.db.Compact(ctx, []byte{0}, []byte{0xff}, true); err != nil {
		return err
	}
	// A compaction leaves its own last step in the log and in a table: once more.
	return s.db.Flush()
}
