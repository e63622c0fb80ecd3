package disk

import (
	"context"
	"errors"
	"fmt"
	"path"
	"slices"
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
	s.scrubbing.Lock() // the mark is one scrub's
	defer s.scrubbing.Unlock()
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
	before, err := s.fs.List(s.dir)
	if err != nil {
		return err
	}
	if err := s.db.Flush(); err != nil {
		return err
	}
	fault.Point("disk.scrub", "flushed")
	if err := s.db.Compact(ctx, []byte{0}, []byte{0xff}, true); err != nil {
		return err
	}
	// A compaction leaves its own last step in the log and in a table: once more.
	if err := s.db.Flush(); err != nil {
		return err
	}
	return s.removed(ctx, before)
}

// removed waits until the logs that were there before, and the tables that are not
// in use any more, are no files any more. Pebble removes them in the background.
func (s *Store) removed(ctx context.Context, before []string) error {
	t := time.NewTicker(5 * time.Millisecond)
	defer t.Stop()
	for {
		left, err := s.left(before)
		if err != nil || !left {
			return err
		}
		select {
		case <-t.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func (s *Store) left(before []string) (bool, error) {
	used, err := s.tables()
	if err != nil {
		return false, err
	}
	now, err := s.fs.List(s.dir)
	if err != nil {
		return false, err
	}
	return slices.ContainsFunc(before, func(name string) bool {
		old := path.Ext(name) == ".log" || path.Ext(name) == ".sst" && !used[name]
		return old && slices.Contains(now, name)
	}), nil
}

// tables are the names of the tables in use.
func (s *Store) tables() (map[string]bool, error) {
	levels, err := s.db.SSTables()
	if err != nil {
		return nil, err
	}
	used := map[string]bool{}
	for _, tables := range levels {
		for _, t := range tables {
			used[fmt.Sprintf("%06d.sst", t.BackingSSTNum)] = true
		}
	}
	return used, nil
}
