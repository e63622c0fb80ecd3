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

// soil says that something may have been erased whose bytes are still there, and
// how much about. Once that is an eighth of the store's bound its scrub doesn't
// wait: these bytes are in the way of others.
func (s *Store) soil(erased int64) {
	tell(s.dirty)
	if s.erased.Add(erased) > s.limits.Bytes/8 {
		tell(s.urgent)
	}
}

func tell(c chan<- struct{}) {
	select {
	case c <- struct{}{}:
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
		urgent := s.urgent
		for again := true; again; wait, urgent = min(scrubRetry, s.scrub), nil {
			t := time.NewTimer(wait)
			select {
			case <-s.open.Done():
				t.Stop()
				return
			case <-urgent:
				t.Stop()
			case <-t.C:
			}
			err := s.Scrub(s.open)
			if again = err != nil && s.open.Err() == nil; again {
				s.log.Error("store: erased bytes are not gone yet", "error", err)
			}
		}
	}
}

// Scrub makes what was erased before the call go away from every file: the
// write-ahead log is flushed and removed, and the tables that hold anything near
// are written anew without what they had lost. What is erased meanwhile stains the
// store anew; a scrub that is cut off has left its own marks.
func (s *Store) Scrub(ctx context.Context) error {
	s.scrubbing.Lock() // the marks are one scrub's
	defer s.scrubbing.Unlock()
	select {
	case <-s.urgent:
	default:
	}
	erased := s.erased.Swap(0)
	err := s.scrubOnce(ctx)
	if err != nil {
		s.erased.Add(erased)
	}
	return err
}

func (s *Store) scrubOnce(ctx context.Context) error {
	stains, err := s.takeStains()
	if err != nil || len(stains) == 0 {
		return err
	}
	fault.Point("disk.scrub", "begin")
	used, err := s.tables()
	if err != nil {
		return err
	}
	if err := s.compact(ctx, spans(stains, mostSpans(len(used)))); err != nil {
		return err
	}
	fault.Point("disk.scrub", "compacted")
	return s.db.DeleteRange([]byte{'s'}, []byte{'s' + 1}, pebble.Sync)
}

// maxPasses is how often a scrub compacts before it is tried again later.
const maxPasses = 8

var errErasuresLeft = errors.New("erasures are left in tables above the lowest level")

// compact writes spans of keys anew, from the log to the lowest level: there meets
// every erasure what it has erased, and both go. One pass isn't enough where Pebble
// compacts by itself at that moment: it plans its way down from the levels that hold
// tables when it is asked, and what arrives deeper meanwhile isn't met.
func (s *Store) compact(ctx context.Context, all []span) error {
	before, err := s.fs.List(s.dir)
	if err != nil {
		return err
	}
	if err := s.db.Flush(); err != nil {
		return err
	}
	fault.Point("disk.scrub", "flushed")
	last, err := s.lastSeq()
	if err != nil {
		return err
	}
	for left, pass := true, 0; left; pass++ {
		if pass == maxPasses {
			return errErasuresLeft
		}
		for _, k := range all {
			if err := s.db.Compact(ctx, k.from, k.to, true); err != nil {
				return err
			}
		}
		if left, err = s.erasuresLeft(all, last); err != nil {
			return err
		}
	}
	// A compaction leaves its own last step in the log and in a table: once more.
	if err := s.db.Flush(); err != nil {
		return err
	}
	return s.removed(ctx, before)
}

// lastSeq is the number of the latest change that is in a table.
func (s *Store) lastSeq() (last uint64, err error) {
	levels, err := s.db.SSTables()
	for _, tables := range levels {
		for _, t := range tables {
			last = max(last, uint64(t.LargestSeqNum))
		}
	}
	return last, err
}

// erasuresLeft reports whether a table within the spans, above the lowest level, holds
// an erasure that may be as old as last. In the lowest one it has nothing beneath it,
// and what it erased in its own table went when that was written.
func (s *Store) erasuresLeft(all []span, last uint64) (bool, error) {
	for _, k := range all {
		levels, err := s.db.SSTables(pebble.WithProperties(), pebble.WithKeyRangeFilter(k.from, k.to))
		if err != nil {
			return false, err
		}
		for _, tables := range levels[:len(levels)-1] {
			for _, t := range tables {
				if t.Properties.NumDeletions > 0 && uint64(t.SmallestSeqNum) <= last {
					return true, nil
				}
			}
		}
	}
	return false, nil
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
