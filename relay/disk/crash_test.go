package disk

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"os"
	"os/exec"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"

	"github.com/sparekey/sparekey/noise/frame"
	"github.com/sparekey/sparekey/relay"
	"github.com/sparekey/sparekey/relay/storetest"
)

const storeDir = "store"

func newMem(t *testing.T) *vfs.MemFS {
	t.Helper()
	mem := vfs.NewCrashableMem()
	if err := mem.MkdirAll(storeDir, 0o700); err != nil {
		t.Fatal(err)
	}
	return mem
}

// killedAt runs f over a store on mem, and returns what would be on the disk if
// the relay were killed before any of the file operations that f leads to.
// unsynced is how much of what was not synced is there: all after a kill, nothing
// after a power cut.
func killedAt(mem *vfs.MemFS, unsynced int, o Options, t *testing.T, setup, f func(*Store)) (left []vfs.FS) {
	t.Helper()
	var mu sync.Mutex
	armed := false
	rng := rand.New(rand.NewPCG(1, 2))
	o.FS = errorfs.Wrap(mem, errorfs.InjectorFunc(func(op errorfs.Op) error {
		mu.Lock()
		defer mu.Unlock()
		if armed && op.Kind.ReadOrWrite() == errorfs.OpIsWrite {
			left = append(left, mem.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: unsynced, RNG: rng}))
		}
		return nil
	}))
	s := open(t, storeDir, o)
	arm := func(on bool) {
		mu.Lock()
		defer mu.Unlock()
		armed = on
	}
	setup(s)
	arm(true)
	f(s)
	arm(false)
	if err := s.Shutdown(); err != nil {
		t.Fatal(err)
	}
	return left
}

// within returns those files of a store that hold any of the words.
func within(t *testing.T, fs vfs.FS, words ...[]byte) (with []string) {
	t.Helper()
	names, err := fs.List(storeDir)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		f, err := fs.Open(fs.PathJoin(storeDir, name))
		if err != nil {
			continue // the store removes files as it goes
		}
		b, err := io.ReadAll(f)
		f.Close()
		for _, w := range words {
			if err == nil && bytes.Contains(b, w) {
				with = append(with, name)
			}
		}
	}
	return with
}

// until waits for something that the store does by itself.
func until(t *testing.T, what string, ok func() bool) {
	t.Helper()
	deadline := time.After(time.Minute)
	for !ok() {
		select {
		case <-deadline:
			t.Fatalf("waited in vain until %s", what)
		case <-time.After(time.Millisecond):
		}
	}
}

// TestScrubThatWasCutOffIsDoneAtTheNextStart kills the relay before each file
// operation of a scrub.
func TestScrubThatWasCutOffIsDoneAtTheNextStart(t *testing.T) {
	for what, unsynced := range map[string]int{"killed": 100, "power cut": 0} {
		t.Run(what, func(t *testing.T) {
			clock := storetest.NewClock()
			sh := storetest.NewShare(clock, 1, marker)
			o := Options{Now: clock.Now, Scrub: time.Hour} // by itself it would come much later
			left := killedAt(newMem(t), unsynced, o, t, func(s *Store) {
				fill(t, s, sh, marker) // into a table: a log goes at a start by itself
				if err := errors.Join(s.db.Flush(), s.Delete(t.Context(), sh.ID, sh.Proof)); err != nil {
					t.Fatal(err)
				}
			}, func(s *Store) {
				if err := s.Scrub(t.Context()); err != nil {
					t.Fatal(err)
				}
			})
			if len(left) < 5 || within(t, left[0], marker) == nil {
				t.Fatalf("%d operations, and the marker in %v before the first: this would show nothing", len(left), within(t, left[0], marker))
			}
			for i, fs := range left {
				if tables := forgotten(t, fs, marker); tables != nil {
					t.Errorf("a kill before operation %d of %d leaves the bytes in %v, and nothing that says so", i, len(left), tables)
				}
				o.FS = fs
				s := open(t, storeDir, o)
				until(t, fmt.Sprintf("the bytes are gone, after a kill before operation %d of %d", i, len(left)), func() bool { return within(t, fs, marker) == nil })
				var gone *relay.GoneError
				if _, err := s.View(t.Context(), sh.ID); !errors.As(err, &gone) || gone.Proof != sh.Proof {
					t.Errorf("operation %d: the tombstone did not survive: %v", i, err)
				}
				s.Shutdown()
			}
		})
	}
}

// forgotten returns the tables in use of a store that nobody has open which hold
// any of the words, if nothing says that it is to be scrubbed. (Logs, and tables
// that are not in use, go at a start by themselves.)
func forgotten(t *testing.T, fs vfs.FS, words ...[]byte) (tables []string) {
	t.Helper()
	db, err := pebble.Open(storeDir, &pebble.Options{FS: fs, ReadOnly: true, Logger: quiet{slog.New(slog.DiscardHandler)}})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	s := &Store{db: db, fs: fs, dir: storeDir}
	unclean, err := s.unclean()
	if err != nil {
		t.Fatal(err)
	}
	used, err := s.tables()
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range within(t, fs, words...) {
		if !unclean && used[name] {
			tables = append(tables, name)
		}
	}
	return tables
}

// TestSweepThatWasCutOffGoesOn kills the relay before each file operation of a sweep.
func TestSweepThatWasCutOffGoesOn(t *testing.T) {
	clock := storetest.NewClock()
	lives := storetest.NewShare(clock, 9, nil)
	lives.Mailbox.Expires = clock.Now().Add(48 * time.Hour)
	var over []*storetest.Share
	for seed := range uint64(5) {
		over = append(over, storetest.NewShare(clock, seed, marker))
	}
	o := Options{Now: clock.Now, Scrub: time.Hour}
	left := killedAt(newMem(t), 0, o, t, func(s *Store) {
		fill(t, s, lives, nil)
		for _, sh := range over {
			fill(t, s, sh, marker)
		}
		clock.Advance(2 * time.Hour)
	}, func(s *Store) {
		if n, err := s.Sweep(t.Context(), clock.Now()); n != len(over) || err != nil {
			t.Fatalf("swept %d, %v", n, err)
		}
	})
	if len(left) == 0 {
		t.Fatal("no file operations: this would show nothing")
	}
	for i, fs := range left {
		o.FS = fs
		s := open(t, storeDir, o)
		if _, err := s.Sweep(t.Context(), clock.Now()); err != nil {
			t.Fatal(err)
		}
		if err := s.Scrub(t.Context()); err != nil {
			t.Fatal(err)
		}
		until(t, fmt.Sprintf("the bytes of mailboxes that ran out are gone, after a kill before operation %d", i), func() bool { return within(t, fs, marker) == nil })
		if _, err := s.View(t.Context(), lives.ID); err != nil {
			t.Errorf("operation %d: one that lives is hurt: %v", i, err)
		}
		if b, n := s.boxes.Load(), s.tombs.Load(); b != 1 || n != 0 {
			t.Errorf("operation %d: %d mailboxes and %d tombstones are counted, want 1 and 0", i, b, n)
		}
		s.Shutdown()
	}
}

// TestSweepErasesNothingThatHasChangedSinceItLooked: a mailbox that ran out may
// be deleted, and its id be used again, between the sweep's look and its turn.
func TestSweepErasesNothingThatHasChangedSinceItLooked(t *testing.T) {
	clock := storetest.NewClock()
	s := open(t, t.TempDir(), Options{Now: clock.Now})
	defer s.Shutdown()
	sh := storetest.NewShare(clock, 1, nil)
	n := s.name(sh.ID)
	create := func() time.Time {
		t.Helper()
		sh.Mailbox.Expires = clock.Now().Add(time.Hour)
		if err := s.Create(t.Context(), sh.ID, sh.Mailbox); err != nil {
			t.Fatal(err)
		}
		return sh.Mailbox.Expires
	}
	sweep := func(expires time.Time, kind byte) {
		t.Helper()
		if swept, _, err := s.sweepOne(expires, kind, n); swept || err != nil {
			t.Errorf("a look of before swept it: %v, %v", swept, err)
		}
	}
	first := create()
	clock.Advance(2 * time.Hour)
	second := create()
	sweep(first, 'm')
	if _, err := s.View(t.Context(), sh.ID); err != nil {
		t.Errorf("the new mailbox is gone with the old one: %v", err)
	}
	if err := s.Delete(t.Context(), sh.ID, sh.Proof); err != nil {
		t.Fatal(err)
	}
	sweep(second, 'm')
	var gone *relay.GoneError
	if _, err := s.View(t.Context(), sh.ID); !errors.As(err, &gone) {
		t.Errorf("the tombstone is gone: %v", err)
	}
	clock.Advance(2 * time.Hour)
	create()
	sweep(second, 't')
	if _, err := s.View(t.Context(), sh.ID); err != nil {
		t.Errorf("the third mailbox is gone with the tombstone: %v", err)
	}
}

// TestSweepsBesideChangesLoseAndMiscountNothing runs both at once, many times.
func TestSweepsBesideChangesLoseAndMiscountNothing(t *testing.T) {
	clock, mem := storetest.NewClock(), newMem(t)
	s := open(t, storeDir, Options{Now: clock.Now, FS: mem, Scrub: time.Hour})
	var all sync.WaitGroup
	for worker := range uint64(4) {
		all.Go(func() {
			sh := storetest.NewShare(clock, worker, nil)
			for range 50 {
				sh.Mailbox.Expires = clock.Now().Add(time.Hour)
				if err := s.Create(t.Context(), sh.ID, sh.Mailbox); err != nil && !errors.As(err, new(*relay.GoneError)) && !errors.Is(err, relay.ErrConflict) {
					t.Error(err)
				}
				s.Delete(t.Context(), sh.ID, sh.Proof) // or it has just run out
				clock.Advance(20 * time.Minute)
				if _, err := s.Sweep(t.Context(), clock.Now()); err != nil {
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
	boxes, tombs := s.boxes.Load(), s.tombs.Load()
	s.Shutdown()
	s = open(t, storeDir, Options{Now: clock.Now, FS: mem})
	defer s.Shutdown()
	if b, n := s.boxes.Load(), s.tombs.Load(); b != boxes || n != tombs {
		t.Errorf("counted %d mailboxes and %d tombstones, there are %d and %d", boxes, tombs, b, n)
	}
}

func TestConfirmThatErasesALaneIsScrubbed(t *testing.T) {
	clock, mem := storetest.NewClock(), newMem(t)
	s := open(t, storeDir, Options{Now: clock.Now, FS: mem, Scrub: time.Millisecond})
	defer s.Shutdown()
	sh := storetest.NewShare(clock, 1, nil)
	c, claim := sh.Candidate()
	_, other := sh.Candidate()
	err := errors.Join(s.Create(t.Context(), sh.ID, sh.Mailbox), s.Open(t.Context(), sh.ID, c, claim, sh.Hello(c, marker)), s.Confirm(t.Context(), sh.ID, 0, c, other))
	if err != nil {
		t.Fatal(err)
	}
	until(t, "the lane's bytes are gone", func() bool { return within(t, mem, marker) == nil })
}

// TestCRS04TornLogKeepsAllEarlierRecordsOrIsRefused cuts the write-ahead log at
// every byte of its last record, and changes every byte of it. A confirmation,
// which is the sender's pin as the relay knows it, is there or not, never another one.
func TestCRS04TornLogKeepsAllEarlierRecordsOrIsRefused(t *testing.T) {
	clock, mem := storetest.NewClock(), newMem(t)
	sh := storetest.NewShare(clock, 1, nil)
	c, claim := sh.Candidate()
	hello := sh.Hello(c, nil)
	s := open(t, storeDir, Options{Now: clock.Now, FS: mem, Scrub: time.Hour})
	if err := errors.Join(s.Create(t.Context(), sh.ID, sh.Mailbox), s.Open(t.Context(), sh.ID, c, claim, hello)); err != nil {
		t.Fatal(err)
	}
	before := len(newestLog(t, mem))
	if err := s.Confirm(t.Context(), sh.ID, 0, c, claim); err != nil {
		t.Fatal(err)
	}
	cut := mem.CrashClone(vfs.CrashCloneCfg{})
	s.Shutdown()
	whole := newestLog(t, cut)
	if before == 0 || before >= len(whole) {
		t.Fatalf("the last record lies from byte %d to %d: this would show nothing", before, len(whole))
	}
	refused, kept := 0, 0
	check := func(what string, at int, log []byte) {
		t.Helper()
		fs := withLog(t, cut, log)
		s, err := Open(storeDir, Options{Now: clock.Now, FS: fs, Scrub: time.Hour, Logger: slog.New(slog.DiscardHandler)})
		if err != nil {
			if refused++; !errors.Is(err, ErrDamaged) {
				t.Errorf("%s at byte %d: refused without the reason: %v", what, at, err)
			}
			return
		}
		defer s.Shutdown()
		v, err := s.View(t.Context(), sh.ID)
		if err != nil || v.Lanes[c] != claim || v.Confirmed != c && v.Confirmed != (frame.Candidate{}) {
			t.Fatalf("%s at byte %d: the mailbox is %+v, %v", what, at, v, err)
		}
		got, err := s.Claims(t.Context(), sh.ID, 0)
		if err != nil || len(got) != 2 || !bytes.Equal(got[0], hello[0]) || !bytes.Equal(got[1], hello[1]) {
			t.Fatalf("%s at byte %d: the claim is lost: %d frames, %v", what, at, len(got), err)
		}
		kept++
	}
	for at := before; at < len(whole); at++ {
		check("torn", at, whole[:at])
		changed := bytes.Clone(whole)
		changed[at] ^= 0x40
		check("changed", at, changed)
	}
	t.Logf("of %d logs %d came up with all earlier records, %d were refused", kept+refused, kept, refused)
}

// newestLog returns the store's newest write-ahead log.
func newestLog(t *testing.T, fs vfs.FS) []byte {
	t.Helper()
	f, err := fs.Open(fs.PathJoin(storeDir, newestLogName(t, fs)))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	b, err := io.ReadAll(f)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func newestLogName(t *testing.T, fs vfs.FS) (newest string) {
	t.Helper()
	names, err := fs.List(storeDir)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		if strings.HasSuffix(name, ".log") && name > newest {
			newest = name
		}
	}
	return newest
}

// withLog returns a copy of a store with another content of its newest log.
func withLog(t *testing.T, from vfs.FS, log []byte) vfs.FS {
	t.Helper()
	fs := vfs.NewMem()
	if _, err := vfs.Clone(from, fs, storeDir, storeDir); err != nil {
		t.Fatal(err)
	}
	f, err := fs.Create(fs.PathJoin(storeDir, newestLogName(t, from)), vfs.WriteCategoryUnspecified)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.Write(bytes.Clone(log)); err != nil { // a vfs.File may change what it is given
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	return fs
}

// TestDiskThatRefusesAWriteEndsTheRelayWithASentence runs in a process of its own.
func TestDiskThatRefusesAWriteEndsTheRelayWithASentence(t *testing.T) {
	if os.Getenv("DISK_TEST_REFUSES") != "" {
		refuses(t)
		return
	}
	c := exec.Command(os.Args[0], "-test.run=^"+t.Name()+"$", "-test.timeout=1m")
	c.Env = append(os.Environ(), "DISK_TEST_REFUSES=1")
	out, err := c.CombinedOutput()
	if c.ProcessState.ExitCode() != 1 || !bytes.Contains(out, []byte("the disk refuses to be written")) || bytes.Contains(out, []byte("goroutine ")) || bytes.Contains(out, []byte(answered)) {
		t.Errorf("it ended with %v\n%s", err, out)
	}
}

const answered = "ANSWERED, and not durable"

func refuses(t *testing.T) {
	clock := storetest.NewClock()
	var mu sync.Mutex
	full := false
	fs := errorfs.Wrap(newMem(t), errorfs.InjectorFunc(func(op errorfs.Op) error {
		mu.Lock()
		defer mu.Unlock()
		if full && strings.HasSuffix(op.Path, ".log") && op.Kind.ReadOrWrite() == errorfs.OpIsWrite {
			return errors.New("no space left on device")
		}
		return nil
	}))
	s, err := Open(storeDir, Options{Now: clock.Now, FS: fs, Logger: slog.New(slog.NewTextHandler(os.Stderr, nil))})
	if err != nil {
		t.Fatal(err)
	}
	mu.Lock()
	full = true
	mu.Unlock()
	sh := storetest.NewShare(clock, 1, nil)
	if err := s.Create(t.Context(), sh.ID, sh.Mailbox); err == nil {
		fmt.Println(answered)
	}
	os.Exit(3)
}

// TestAFrameIsReadOnlyOnceItIsOnTheDisk: what a reader has been given is there after
// any crash. The store's memory has a frame before the disk has it.
func TestAFrameIsReadOnlyOnceItIsOnTheDisk(t *testing.T) {
	clock := storetest.NewClock()
	sh := storetest.NewShare(clock, 1, marker)
	var held, synced atomic.Bool
	gate := make(chan struct{})
	fs := errorfs.Wrap(newMem(t), errorfs.InjectorFunc(func(op errorfs.Op) error {
		switch op.Kind {
		case errorfs.OpFileSync, errorfs.OpFileSyncData, errorfs.OpFileSyncTo:
			if held.Load() {
				<-gate
			}
		}
		return nil
	}))
	s := open(t, storeDir, Options{Now: clock.Now, FS: fs})
	defer s.Shutdown()
	c, claim := sh.Candidate()
	if err := errors.Join(s.Create(t.Context(), sh.ID, sh.Mailbox), s.Open(t.Context(), sh.ID, c, claim, sh.Hello(c, marker))); err != nil {
		t.Fatal(err)
	}
	for side, read := range map[relay.Side]func() ([]frame.Frame, error){
		relay.SenderSide:   func() ([]frame.Frame, error) { return s.Read(t.Context(), sh.ID, c, relay.SenderSide, 0) },
		relay.ReceiverSide: func() ([]frame.Frame, error) { return s.Claims(t.Context(), sh.ID, 2) },
	} {
		seq := map[relay.Side]uint64{relay.SenderSide: 0, relay.ReceiverSide: 2}[side]
		gate = make(chan struct{})
		synced.Store(false)
		held.Store(true)
		done := make(chan error)
		go func() {
			done <- s.Append(t.Context(), sh.ID, c, side, []frame.Frame{sh.Frame(frame.Data, c, seq, marker)})
		}()
		until(t, "the store's memory has the frame", func() bool {
			r, err := s.box(sh.ID)
			return err == nil && r.Open[c].Logs[side-1].Frames == seq+1
		})
		time.AfterFunc(100*time.Millisecond, func() {
			synced.Store(true)
			held.Store(false)
			close(gate)
		})
		frames, err := read()
		if !synced.Load() || len(frames) != 1 || err != nil {
			t.Errorf("side %d: %d frames, %v, while the disk has it: %v", side, len(frames), err, synced.Load())
		}
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
}
