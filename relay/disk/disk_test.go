package disk

import (
	"bytes"
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"go.uber.org/goleak"

	"github.com/sparekey/sparekey/noise/frame"
	"github.com/sparekey/sparekey/relay"
	"github.com/sparekey/sparekey/relay/storetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func open(t *testing.T, dir string, o Options) *Store {
	t.Helper()
	o.Logger = slog.New(slog.DiscardHandler)
	s, err := Open(dir, o)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestDiskKeepsWhatAStorePromises(t *testing.T) {
	storetest.Test(t, func(t *testing.T, c *storetest.Clock, l relay.Limits) relay.Store {
		s := open(t, t.TempDir(), Options{Now: c.Now, Limits: l})
		t.Cleanup(func() { s.Shutdown() })
		return s
	})
}

// fill makes a mailbox with a marker in every field.
func fill(t *testing.T, s *Store, sh *storetest.Share, marker []byte) frame.Candidate {
	t.Helper()
	sh.Mailbox.Public = marker
	c, claim := sh.Candidate()
	other, _ := sh.Candidate()
	for what, err := range map[string]error{
		"create": s.Create(t.Context(), sh.ID, sh.Mailbox),
		"open":   s.Open(t.Context(), sh.ID, c, claim, sh.Hello(c, marker)),
		"append": s.Append(t.Context(), sh.ID, c, relay.SenderSide, []frame.Frame{sh.Frame(frame.Data, c, 0, marker)}),
		"close":  s.Close(t.Context(), sh.ID, sh.Frame(frame.Taken, other, 0, marker)),
	} {
		if err != nil {
			t.Fatal(what, err)
		}
	}
	return c
}

// files returns those files of a folder that hold any of the words.
func files(t *testing.T, dir string, words ...[]byte) (with []string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) || err == nil && d.IsDir() {
			return nil // the store removes files as it goes
		}
		b, err := os.ReadFile(path)
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		for _, w := range words {
			if bytes.Contains(b, w) {
				with = append(with, filepath.Base(path))
			}
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return with
}

var marker = []byte("MARKER that no relay may keep, 48 bytes long, say")

// TestDeletedBytesAreInNoFile is RET-01 for the disk.
func TestDeletedBytesAreInNoFile(t *testing.T) {
	dir, clock := t.TempDir(), storetest.NewClock()
	s := open(t, dir, Options{Now: clock.Now})
	defer s.Shutdown()
	keep, drop := storetest.NewShare(clock, 1, []byte("KEPT")), storetest.NewShare(clock, 2, marker)
	fill(t, s, keep, []byte("KEPT"))
	lane := fill(t, s, drop, marker)
	if len(files(t, dir, marker)) == 0 {
		t.Fatal("the marker is in no file before the deletion: this test would show nothing")
	}
	if err := s.Delete(t.Context(), drop.ID, drop.Proof); err != nil {
		t.Fatal(err)
	}
	if err := s.Scrub(t.Context()); err != nil {
		t.Fatal(err)
	}
	until(t, "the bytes of a deleted mailbox are gone", func() bool { return files(t, dir, marker, drop.ID[:], lane[:]) == nil })
	if _, err := s.View(t.Context(), keep.ID); err != nil {
		t.Errorf("the other mailbox is hurt: %v", err)
	}
}

func TestErasedLaneIsInNoFile(t *testing.T) {
	dir, clock := t.TempDir(), storetest.NewClock()
	s := open(t, dir, Options{Now: clock.Now})
	defer s.Shutdown()
	sh := storetest.NewShare(clock, 1, nil)
	if err := s.Create(t.Context(), sh.ID, sh.Mailbox); err != nil {
		t.Fatal(err)
	}
	c, claim := sh.Candidate()
	if err := errors.Join(s.Open(t.Context(), sh.ID, c, claim, sh.Hello(c, marker)), s.Close(t.Context(), sh.ID, frame.Shut(c)), s.Scrub(t.Context())); err != nil {
		t.Fatal(err)
	}
	until(t, "an erased lane's bytes are gone", func() bool { return files(t, dir, marker) == nil })
}

// TestExpiredBytesAreInNoFileAfterTheRelayWasDown is RET-02.
func TestExpiredBytesAreInNoFileAfterTheRelayWasDown(t *testing.T) {
	dir, clock := t.TempDir(), storetest.NewClock()
	s := open(t, dir, Options{Now: clock.Now})
	sh := storetest.NewShare(clock, 1, marker)
	fill(t, s, sh, marker)
	s.Shutdown()
	clock.Advance(2 * time.Hour)
	s = open(t, dir, Options{Now: clock.Now})
	defer s.Shutdown()
	if _, err := s.View(t.Context(), sh.ID); !errors.Is(err, relay.ErrAbsent) {
		t.Errorf("an expired mailbox is served: %v", err)
	}
	if n, err := s.Sweep(t.Context(), clock.Now()); n != 1 || err != nil {
		t.Errorf("swept %d, %v", n, err)
	}
	if err := s.Scrub(t.Context()); err != nil {
		t.Fatal(err)
	}
	until(t, "the bytes of an expired mailbox are gone", func() bool { return files(t, dir, marker, sh.ID[:]) == nil })
}

// TestRelayKilledJustAfterADeleteScrubsWhenItStarts: the folder as a killed
// process leaves it is a copy of the live one's files.
func TestRelayKilledJustAfterADeleteScrubsWhenItStarts(t *testing.T) {
	dir, clock := t.TempDir(), storetest.NewClock()
	s := open(t, dir, Options{Now: clock.Now})
	sh := storetest.NewShare(clock, 1, marker)
	fill(t, s, sh, marker)
	if err := s.Delete(t.Context(), sh.ID, sh.Proof); err != nil {
		t.Fatal(err)
	}
	left := t.TempDir()
	if err := os.CopyFS(filepath.Join(left, "store"), os.DirFS(dir)); err != nil {
		t.Fatal(err)
	}
	s.Shutdown()
	left = filepath.Join(left, "store")
	scrubbed := open(t, left, Options{Now: clock.Now, Scrub: time.Millisecond})
	defer scrubbed.Shutdown()
	until(t, "after a new start the bytes are gone", func() bool { return files(t, left, marker) == nil })
	var gone *relay.GoneError
	if _, err := scrubbed.View(t.Context(), sh.ID); !errors.As(err, &gone) || gone.Proof != sh.Proof {
		t.Errorf("the tombstone did not survive: %v", err)
	}
}

// TestWhatWasAnsweredSurvivesAPowerCut is CRS-03 for a power cut: only synced
// bytes are left.
func TestWhatWasAnsweredSurvivesAPowerCut(t *testing.T) {
	mem, clock := vfs.NewCrashableMem(), storetest.NewClock()
	if err := mem.MkdirAll("store", 0o700); err != nil {
		t.Fatal(err)
	}
	s := open(t, "store", Options{Now: clock.Now, FS: mem})
	sh := storetest.NewShare(clock, 1, nil)
	c, claim := sh.Candidate()
	hello := sh.Hello(c, nil)
	if err := errors.Join(s.Create(t.Context(), sh.ID, sh.Mailbox), s.Open(t.Context(), sh.ID, c, claim, hello), s.Confirm(t.Context(), sh.ID, 0, c, claim)); err != nil {
		t.Fatal(err)
	}
	cut := mem.CrashClone(vfs.CrashCloneCfg{})
	s.Shutdown()
	s = open(t, "store", Options{Now: clock.Now, FS: cut})
	defer s.Shutdown()
	v, err := s.View(t.Context(), sh.ID)
	if err != nil || v.Confirmed != c {
		t.Fatalf("the confirmation is lost: %+v, %v", v, err)
	}
	got, err := s.Claims(t.Context(), sh.ID, 0)
	if err != nil || len(got) != 2 || !bytes.Equal(got[1], hello[1]) {
		t.Errorf("the claim is lost: %d frames, %v", len(got), err)
	}
}

func TestOnlyOneRelayHasAFolder(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, Options{})
	defer s.Shutdown()
	if _, err := Open(dir, Options{Logger: slog.New(slog.DiscardHandler)}); err == nil {
		t.Error("a second relay opened the same folder")
	}
}

// A smallDisk has as much room as it is told.
type smallDisk struct {
	vfs.FS
	room atomic.Uint64
}

func (d *smallDisk) GetDiskUsage(string) (vfs.DiskUsage, error) {
	return vfs.DiskUsage{AvailBytes: d.room.Load(), TotalBytes: 1 << 30}, nil
}

// TestAFullDiskTakesNoMailboxAndSaysSoUntilItHasRoomAgain: without a write.
func TestAFullDiskTakesNoMailboxAndSaysSoUntilItHasRoomAgain(t *testing.T) {
	clock, disk := storetest.NewClock(), &smallDisk{FS: vfs.Default}
	s := open(t, t.TempDir(), Options{Now: clock.Now, FS: disk, Spare: 1 << 20})
	defer s.Shutdown()
	sh := storetest.NewShare(clock, 1, nil)
	for _, c := range []struct {
		room uint64
		want error
	}{{1<<20 - 1, relay.ErrStorage}, {1 << 20, nil}} {
		disk.room.Store(c.room)
		s.room.at = time.Time{} // what was known of the disk is old
		if err := s.Room(); !errors.Is(err, c.want) {
			t.Errorf("with %d bytes there is %v, want %v", c.room, err, c.want)
		}
		if err := s.Create(t.Context(), sh.ID, sh.Mailbox); !errors.Is(err, c.want) {
			t.Errorf("with %d bytes a mailbox is %v, want %v", c.room, err, c.want)
		}
	}
}

func TestMailboxesAreCountedAgainAfterAStart(t *testing.T) {
	dir, clock := t.TempDir(), storetest.NewClock()
	s := open(t, dir, Options{Now: clock.Now, Limits: relay.Limits{Mailboxes: 1}})
	one, two := storetest.NewShare(clock, 1, nil), storetest.NewShare(clock, 2, nil)
	if err := s.Create(t.Context(), one.ID, one.Mailbox); err != nil {
		t.Fatal(err)
	}
	s.Shutdown()
	s = open(t, dir, Options{Now: clock.Now, Limits: relay.Limits{Mailboxes: 1}})
	defer s.Shutdown()
	if err := s.Create(t.Context(), two.ID, two.Mailbox); !errors.Is(err, relay.ErrStorage) {
		t.Errorf("a bound is forgotten over a start: %v", err)
	}
}

func FuzzRecord(f *testing.F) {
	sh := storetest.NewShare(storetest.NewClock(), 1, nil)
	r := relay.NewRecord(sh.Mailbox)
	b, err := encodeRecord(&r)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := decodeRecord(b)
		if err != nil {
			return
		}
		if _, err := encodeRecord(r); err != nil {
			t.Errorf("a record that was read can't be written: %v", err)
		}
	})
}
