package disk

import (
	"bytes"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
	"pgregory.net/rapid"

	"github.com/sparekey/sparekey/noise/frame"
	"github.com/sparekey/sparekey/relay"
	"github.com/sparekey/sparekey/relay/storetest"
)

// A big is a share whose mailbox holds much that can't be packed, and a mark.
type big struct {
	*storetest.Share
	lane frame.Candidate
	mark []byte
}

// fillBig makes mailboxes of so many bytes each, from a seed on.
func fillBig(t testing.TB, s *Store, clock *storetest.Clock, seed, n, size int) (all []*big) {
	t.Helper()
	for i := range n {
		b := &big{Share: storetest.NewShare(clock, uint64(seed+i), nil), mark: make([]byte, 32)}
		rand.Read(b.mark)
		lane, claim := b.Candidate()
		b.lane = lane
		err := s.Create(t.Context(), b.ID, b.Mailbox)
		for seq := 0; seq*frame.MaxSize < size; seq++ {
			k := frame.Data
			if seq == 0 {
				k = frame.Handshake
			}
			fill := make([]byte, min(size-seq*frame.MaxSize, 60_000))
			rand.Read(fill)
			err = errors.Join(err, s.Open(t.Context(), b.ID, lane, claim, []frame.Frame{b.Frame(k, lane, uint64(seq), append(fill, b.mark...))}))
		}
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, b)
	}
	return all
}

// TestAScrubOfAFewNamesErasesThemAndWritesTheRestNotAnew: in a store of some
// levels, what isn't near an erased name stays in the file where it is.
func TestAScrubOfAFewNamesErasesThemAndWritesTheRestNotAnew(t *testing.T) {
	clock, fs := storetest.NewClock(), vfs.NewMem()
	s := open(t, storeDir, Options{Now: clock.Now, FS: fs, Scrub: time.Hour, tableSize: 32 << 10})
	defer s.Shutdown()
	all := fillBig(t, s, clock, 0, 1500, 4_000)
	if err := errors.Join(s.db.Flush(), s.db.Compact(t.Context(), []byte{0}, []byte{0xff}, true)); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		erased, kept int // mailboxes; parts in a hundred of the tables that must be kept
	}{{1, 50}, {2, 50}, {20, 0}, {700, 0}} {
		gone := all[:c.erased]
		all = all[c.erased:]
		for i, b := range gone {
			err := s.Close(t.Context(), b.ID, frame.Shut(b.lane))
			if i%2 == 0 { // in others the mailbox lives on, without its lane
				err = errors.Join(err, s.Delete(t.Context(), b.ID, b.Proof))
			}
			if err != nil {
				t.Fatal(err)
			}
		}
		before, err := s.tables()
		if err != nil {
			t.Fatal(err)
		}
		var marks [][]byte
		for _, b := range gone[:min(4, len(gone))] {
			marks = append(marks, b.mark)
		}
		if within(t, fs, marks...) == nil {
			t.Fatal("the marks are in no file before the scrub: this would show nothing")
		}
		if err := s.Scrub(t.Context()); err != nil {
			t.Fatal(err)
		}
		after, err := s.tables()
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range within(t, fs, marks...) {
			if after[name] {
				t.Errorf("after a scrub of %d mailboxes a table has their marks", c.erased)
			}
		}
		until(t, fmt.Sprintf("the marks of %d mailboxes are gone", c.erased), func() bool { return within(t, fs, marks...) == nil })
		kept := 0
		for name := range before {
			if after[name] {
				kept++
			}
		}
		if t.Logf("%d mailboxes erased: %d of %d tables kept", c.erased, kept, len(before)); kept*100 < c.kept*len(before) {
			t.Errorf("after %d were erased, %d of %d tables were kept; want %d %%", c.erased, kept, len(before), c.kept)
		}
	}
	for _, b := range all {
		got, err := s.Read(t.Context(), b.ID, b.lane, relay.ReceiverSide, 0)
		if err != nil || len(got) != 1 || !bytes.HasSuffix(got[0], b.mark) {
			t.Fatalf("one that lives is hurt: %d frames, %v", len(got), err)
		}
	}
}

// TestErasedBytesThatAreInTheWayAreScrubbedAtOnce: nobody waits for the time of a
// scrub where an eighth of what the store may hold is erased.
func TestErasedBytesThatAreInTheWayAreScrubbedAtOnce(t *testing.T) {
	clock, fs := storetest.NewClock(), vfs.NewMem()
	s := open(t, storeDir, Options{Now: clock.Now, FS: fs, Scrub: time.Hour, Limits: relay.Limits{Bytes: 16 << 20}})
	defer s.Shutdown()
	all := fillBig(t, s, clock, 0, 60, 200_000)
	if err := s.db.Flush(); err != nil {
		t.Fatal(err)
	}
	var marks [][]byte
	var erased int64
	for i, b := range all {
		err := s.Close(t.Context(), b.ID, frame.Shut(b.lane))
		if i%2 == 1 {
			err = errors.Join(err, s.Delete(t.Context(), b.ID, b.Proof))
		}
		if err != nil {
			t.Fatal(err)
		}
		if len(marks) < 4 {
			marks = append(marks, b.mark)
		}
		if erased += 200_000; erased > 2<<20 {
			break
		}
	}
	until(t, "what was erased is gone, long before its time", func() bool { return within(t, fs, marks...) == nil })
	until(t, "the store has counted it as gone", func() bool { return s.erased.Load() < 1<<20 })
	if within(t, fs, all[len(all)-1].mark) == nil {
		t.Error("and what lives is gone with it")
	}
}

// TestWhatASweepErasesIsCounted, so that a store full of what ran out is scrubbed at once, too.
func TestWhatASweepErasesIsCounted(t *testing.T) {
	clock := storetest.NewClock()
	s := open(t, storeDir, Options{Now: clock.Now, FS: vfs.NewMem(), Scrub: time.Hour})
	defer s.Shutdown()
	fillBig(t, s, clock, 0, 3, 60_000)
	clock.Advance(2 * time.Hour)
	if n, err := s.Sweep(t.Context(), clock.Now()); n != 3 || err != nil {
		t.Fatal(n, err)
	}
	if n := s.erased.Load(); n < 180_000 || n > 185_000 {
		t.Errorf("of three mailboxes of 60 kB %d bytes are counted", n)
	}
}

// TestEveryStainIsWithinWhatIsWrittenAnew holds spans against what it is made of.
func TestEveryStainIsWithinWhatIsWrittenAnew(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		raw := rapid.SliceOfNDistinct(rapid.SliceOfN(rapid.Byte(), 2, 2), 1, 600, func(b []byte) string { return string(b) }).Draw(t, "stains")
		if rapid.Bool().Draw(t, "dense") { // neighbours, up to the last
			for i := range raw {
				raw[i] = []byte{0xff, byte(0xff - i%256)}
			}
		}
		if rapid.Bool().Draw(t, "one of an earlier version") {
			raw = append(raw, nil)
		}
		slices.SortFunc(raw, bytes.Compare)
		raw = slices.CompactFunc(raw, bytes.Equal)
		var stains []stain
		for _, b := range raw {
			stains = append(stains, b)
		}
		most := mostSpans(rapid.IntRange(0, 2000).Draw(t, "tables"))
		all := spans(stains, most)
		covered := func(key []byte) bool {
			return slices.ContainsFunc(all, func(p span) bool { return bytes.Compare(p.from, key) <= 0 && bytes.Compare(key, p.to) < 0 })
		}
		for _, st := range stains {
			for _, kind := range []byte{'m', 't'} {
				first := append([]byte{kind}, st...)
				if last := append(bytes.Clone(first), bytes.Repeat([]byte{0xff}, 40)...); !covered(first) || !covered(last) {
					t.Fatalf("%x isn't covered by %x", first, all)
				}
			}
		}
		if !covered([]byte{'e', 0xff, 0xff}) {
			t.Fatal("what was due isn't")
		}
		for _, p := range all {
			if bytes.Compare(p.from, p.to) >= 0 {
				t.Fatalf("a span from %x to %x", p.from, p.to)
			}
		}
		if len(all) > 2*most+1 {
			t.Fatalf("%d spans", len(all))
		}
	})
}

// TestAStainOfAnEarlierVersionIsScrubbed: it has no name's beginning.
func TestAStainOfAnEarlierVersionIsScrubbed(t *testing.T) {
	clock, fs := storetest.NewClock(), vfs.NewMem()
	s := open(t, storeDir, Options{Now: clock.Now, FS: fs, Scrub: time.Hour})
	defer s.Shutdown()
	sh := storetest.NewShare(clock, 1, marker)
	fill(t, s, sh, marker)
	from, to := s.name(sh.ID).all()
	if err := errors.Join(s.db.Flush(), s.db.DeleteRange(from, to, pebble.Sync), s.db.Set([]byte{'d'}, nil, pebble.Sync), s.Scrub(t.Context())); err != nil {
		t.Fatal(err)
	}
	until(t, "the bytes are gone", func() bool { return within(t, fs, marker) == nil })
	if unclean, err := s.unclean(); unclean || err != nil {
		t.Errorf("a stain is left: %v, %v", unclean, err)
	}
}

// BenchmarkScrub tells how much a scrub writes anew, in a store of 256 MiB that is
// written to, after so many of its mailboxes were deleted.
func BenchmarkScrub(b *testing.B) {
	clock := storetest.NewClock()
	s, err := Open(storeDir, Options{Now: clock.Now, FS: vfs.NewMem(), Scrub: time.Hour})
	if err != nil {
		b.Fatal(err)
	}
	defer s.Shutdown()
	seed := 5000
	all := fillBig(b, s, clock, 0, seed, 50_000)
	if err := errors.Join(s.db.Flush(), s.db.Compact(b.Context(), []byte{0}, []byte{0xff}, true)); err != nil {
		b.Fatal(err)
	}
	written := func() (n float64) {
		for _, l := range s.db.Metrics().Levels {
			n += float64(l.TableBytesCompacted) / (1 << 20)
		}
		return n
	}
	for _, deletes := range []int{1, 16, 256} {
		b.Run(fmt.Sprint(deletes, " deleted"), func(b *testing.B) {
			var anew float64
			for range b.N {
				b.StopTimer()
				all = append(all, fillBig(b, s, clock, seed, 100+deletes, 50_000)...)
				seed += 100 + deletes
				for _, sh := range all[:deletes] {
					if err := s.Delete(b.Context(), sh.ID, sh.Proof); err != nil {
						b.Fatal(err)
					}
				}
				all = all[deletes:]
				before := written()
				b.StartTimer()
				if err := s.Scrub(b.Context()); err != nil {
					b.Fatal(err)
				}
				anew += written() - before
			}
			b.ReportMetric(anew/float64(b.N), "MiB/op")
		})
	}
}
