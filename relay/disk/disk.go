// Package disk is the relay's Store on one machine's disk: the rules of package
// relay over Pebble.
//
// Promised: what a method did is on disk when it returns nil, also after a power
// cut; syncs of many clients are grouped. What has been deleted, or swept after
// its time, is in no file 10 minutes later, the write-ahead log included; nor is
// it after a crash and a new start. What that costs grows with what was erased: tables
// near it are written anew, at once where much is erased. Nothing is kept in memory for a mailbox but
// what is watched at the moment. Mailbox ids, lanes and tombstones stand on disk
// under names that only this relay's own key makes of them, so that no index or
// manifest holds them either.
//
// # Keys
//
//	name = HMAC-SHA256(relay's key, id), first 16 bytes
//	lane = HMAC-SHA256(relay's key, id ‖ candidate), first 8 bytes
//
//	'k'                                      the relay's key (32)
//	'm' name 'r'                             the mailbox's record (CBOR)
//	'm' name 'f' lane side(1) seq(8)         a frame of a log
//	'm' name 'f' lane 3 seq(8)               number(8) of the receiver's frame that is there now
//	'm' name 'n' number(8)                   candidate(8) ‖ seq(8) of a receiver's frame
//	't' name                                 expires(8) ‖ h ‖ over: a tombstone
//	'e' expires(8) 'm' or 't' name           empty: when what is due to be swept
//	'd' stain(2)                             empty: something was erased below names that begin so, and is not yet scrubbed
//	's' stain(2)                             empty: a scrub of these has begun and not ended
//
// Numbers are big endian; times are seconds since 1970.
package disk

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/sparekey/sparekey/noise/frame"
	"github.com/sparekey/sparekey/relay"
)

// Options say how a Store is opened. The zero Options are the defaults.
type Options struct {
	Now    func() time.Time // nil: time.Now
	Limits relay.Limits
	FS     vfs.FS        // nil: the real one
	Scrub  time.Duration // how soon after an erasure its bytes are gone; 0: 3 minutes
	Spare  uint64        // bytes of the disk to leave free; 0: 64 MiB
	Logger *slog.Logger  // nil: slog.Default; it gets no id, address or capability

	tableSize int64 // 0: 2 MiB; smaller, a small store has as many levels as a large one
}

// A Store keeps mailboxes in a folder.
type Store struct {
	now    func() time.Time
	limits relay.Limits
	scrub  time.Duration
	spare  uint64
	fs     vfs.FS
	dir    string
	log    *slog.Logger

	db      *pebble.DB
	key     [32]byte
	watch   relay.Watchers
	stripes [256]sync.Mutex
	syncing sync.Map // of names: a channel that is closed when a mailbox's last write is on the disk
	boxes   atomic.Int64
	tombs   atomic.Int64

	dirty     chan struct{} // something may have been erased
	urgent    chan struct{} // so much of it that its scrub can't wait
	erased    atomic.Int64  // bytes of frames erased since the last scrub began
	scrubbing sync.Mutex
	open      context.Context
	shut      context.CancelFunc
	worker    sync.WaitGroup
	room      roomGauge
}

// eraser removes obsolete files. That it also holds an archive cleaner, a step
// deeper so that none of its doings shows, makes Pebble see something that needs
// a file's contents, and so never write over an old write-ahead log: such a log
// would keep old bytes behind its new ones.
type eraser struct {
	pebble.DeleteCleaner
	deeper
}

type deeper struct{ pebble.ArchiveCleaner }

// Open opens the store in a folder, or makes it. One process at a time may have it.
func Open(dir string, o Options) (*Store, error) {
	s := &Store{
		now: o.Now, limits: o.Limits.WithDefaults(), scrub: o.Scrub, spare: o.Spare, fs: o.FS, dir: dir, log: o.Logger,
		dirty: make(chan struct{}, 1), urgent: make(chan struct{}, 1),
	}
	s.open, s.shut = context.WithCancel(context.Background())
	if s.now == nil {
		s.now = time.Now
	}
	if s.scrub == 0 {
		s.scrub = 3 * time.Minute
	}
	if s.spare == 0 {
		s.spare = 64 << 20
	}
	if s.fs == nil {
		s.fs = vfs.Default
	}
	if s.log == nil {
		s.log = slog.Default()
	}
	if o.tableSize == 0 {
		o.tableSize = 2 << 20
	}
	db, err := pebble.Open(dir, s.options(o.tableSize))
	if err != nil {
		if pebble.IsCorruptionError(err) {
			return nil, fmt.Errorf("%w: %s: %w", ErrDamaged, dir, err)
		}
		return nil, fmt.Errorf("the store in %s can't be opened (is another relay using it?): %w", dir, err)
	}
	s.db = db
	if err := s.start(); err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return s, nil
}

// options are Pebble's. Tables and the first levels are small, so that a scrub of
// a few names writes little anew. Nothing is cut out of a table that is kept: the
// bytes would stay in its file.
func (s *Store) options(tableSize int64) *pebble.Options {
	o := &pebble.Options{
		FS: s.fs, CacheSize: 4 << 20, Cleaner: eraser{}, Logger: quiet{s.log}, FormatMajorVersion: pebble.FormatNewest,
		MemTableSize: 4 << 20, MaxOpenFiles: 256, LBaseMaxBytes: 4 * tableSize,
	}
	for level := range o.TargetFileSizes {
		o.TargetFileSizes[level] = tableSize
	}
	o.Experimental.EnableDeleteOnlyCompactionExcises = func() bool { return false }
	return o
}

// start reads what the store must know, and goes on with erasures that a crash cut off.
func (s *Store) start() error {
	switch k, err := s.read([]byte{'k'}); {
	case err == nil && len(k) == 32:
		s.key = [32]byte(k)
	case errors.Is(err, pebble.ErrNotFound):
		rand.Read(s.key[:])
		if err := s.db.Set([]byte{'k'}, s.key[:], pebble.Sync); err != nil {
			return err
		}
	default:
		return fmt.Errorf("%w: the relay's key can't be read: %v", ErrDamaged, err)
	}
	if err := s.count(); err != nil {
		return err
	}
	unclean, err := s.unclean()
	if err != nil {
		return err
	}
	s.worker.Go(func() { s.scrubber(unclean) })
	return nil
}

// ErrDamaged is wrapped by errors about values that this program did not write.
var ErrDamaged = errors.New("the store is damaged")

// count counts mailboxes and tombstones by what is due.
func (s *Store) count() error {
	it, err := s.db.NewIter(&pebble.IterOptions{LowerBound: []byte{'e'}, UpperBound: []byte{'e' + 1}})
	if err != nil {
		return err
	}
	for ok := it.First(); ok; ok = it.Next() {
		switch k := it.Key(); {
		case len(k) != dueSize:
		case k[9] == 'm':
			s.boxes.Add(1)
		default:
			s.tombs.Add(1)
		}
	}
	return it.Close()
}

// read returns a copy of a value.
func (s *Store) read(key []byte) ([]byte, error) {
	v, closer, err := s.db.Get(key)
	if err != nil {
		return nil, err
	}
	defer closer.Close()
	return append([]byte{}, v...), nil
}

// Watch implements relay.Store.
func (s *Store) Watch(id frame.ShareID) (<-chan struct{}, func()) { return s.watch.Add(id) }

// Shutdown closes the store. What was acknowledged is on disk already.
func (s *Store) Shutdown() error {
	s.shut()
	s.worker.Wait()
	return s.db.Close()
}

// quiet keeps Pebble's chatter out of the log, but for its troubles.
type quiet struct{ log *slog.Logger }

func (quiet) Infof(string, ...any) {}
func (q quiet) Errorf(format string, args ...any) {
	q.log.Error("store", "trouble", fmt.Sprintf(format, args...))
}

// Fatalf is called when Pebble can't go on.
func (q quiet) Fatalf(format string, args ...any) { q.refused(fmt.Sprintf(format, args...)) }

// refused ends the relay where the disk has refused what must be durable. Memory
// then holds what the disk does not, so nothing more may be answered from it; and
// Pebble takes no write any more until it is opened again.
func (q quiet) refused(why any) {
	q.log.Error("the disk refuses to be written, and the relay stops. Nothing that was answered is lost. Look after the disk, then start the relay again", "error", why)
	os.Exit(1)
}

func (s *Store) refused(err error) { quiet{s.log}.refused(err) }

// A name stands on disk for a mailbox.
type name [16]byte

func (s *Store) name(id frame.ShareID) name {
	n := relay.TombName(s.key, id)
	return name(n[:16])
}

func (s *Store) laneName(id frame.ShareID, lane frame.Candidate) []byte {
	h := hmac.New(sha256.New, s.key[:])
	h.Write(id[:])
	h.Write(lane[:])
	return h.Sum(nil)[:8]
}

func (n name) key(kind byte, rest ...[]byte) []byte {
	k := append([]byte{'m'}, n[:]...)
	k = append(k, kind)
	for _, r := range rest {
		k = append(k, r...)
	}
	return k
}

func (n name) all() (from, to []byte) {
	from = append([]byte{'m'}, n[:]...)
	return from, after(from)
}

// after is the first key behind all that begin with prefix.
func after(prefix []byte) []byte {
	k := append([]byte{}, prefix...)
	for i := len(k) - 1; i >= 0; i-- {
		if k[i]++; k[i] != 0 {
			return k[:i+1]
		}
	}
	return nil
}

const dueSize = 1 + 8 + 1 + 16

func due(expires time.Time, kind byte, n name) []byte {
	k := binary.BigEndian.AppendUint64([]byte{'e'}, uint64(expires.Unix()))
	return append(append(k, kind), n[:]...)
}

func tombKey(n name) []byte { return append([]byte{'t'}, n[:]...) }

func u64(v uint64) []byte { return binary.BigEndian.AppendUint64(nil, v) }

// stripe is the lock of a mailbox: its names are spread evenly.
func (s *Store) stripe(n name) *sync.Mutex { return &s.stripes[n[0]] }

// roomGauge remembers whether the disk has room: for a second, or until much has
// been written.
type roomGauge struct {
	mu      sync.Mutex
	at      time.Time
	written uint64 // since then
	full    bool
}

// hasRoom returns relay.ErrStorage when the disk or the operator's bound is
// reached: well before the disk itself would refuse to be written, which it must not.
func (s *Store) hasRoom(size int) error {
	s.room.mu.Lock()
	defer s.room.mu.Unlock()
	s.room.written += uint64(size)
	if time.Since(s.room.at) > time.Second || s.room.written > s.spare/16 {
		s.room.at, s.room.written = time.Now(), 0
		u, err := s.fs.GetDiskUsage(s.dir)
		s.room.full = err == nil && u.AvailBytes < s.spare || s.db.Metrics().DiskSpaceUsage() > uint64(s.limits.Bytes)
	}
	if s.room.full {
		return relay.ErrStorage
	}
	return nil
}

var _ relay.Store = (*Store)(nil)

// box reads a mailbox that lives.
func (s *Store) box(id frame.ShareID) (*relay.Record, error) {
	n := s.name(id)
	b, err := s.read(n.key('r'))
	if errors.Is(err, pebble.ErrNotFound) {
		return nil, s.tomb(n)
	}
	if err != nil {
		return nil, err
	}
	r, err := decodeRecord(b)
	if err != nil {
		return nil, err
	}
	if !s.now().Before(r.Expires) {
		return nil, relay.ErrAbsent
	}
	return r, nil
}

// tomb is the error for a mailbox that isn't there.
func (s *Store) tomb(n name) error {
	b, err := s.read(tombKey(n))
	switch {
	case errors.Is(err, pebble.ErrNotFound):
		return relay.ErrAbsent
	case err != nil:
		return err
	case len(b) != 8+32+32:
		return fmt.Errorf("%w: a tombstone of %d bytes", ErrDamaged, len(b))
	case s.now().Unix() >= int64(binary.BigEndian.Uint64(b)):
		return relay.ErrAbsent
	}
	return &relay.GoneError{Proof: frame.Proof{H: [32]byte(b[8:40]), Over: [32]byte(b[40:])}}
}

// View implements relay.Store.
func (s *Store) View(_ context.Context, id frame.ShareID) (relay.Status, error) {
	r, err := s.box(id)
	if err != nil {
		return relay.Status{}, err
	}
	return r.Status(), nil
}
