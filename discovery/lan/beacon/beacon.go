package beacon

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strings"
	"sync"
	"time"
)

// TagLen is the length of a tag: 15 characters of a to z and 2 to 7, the most
// that a service name may have behind its underscore (RFC 6335, section 5.1).
const TagLen = 15

// ErrClosed is what Ask returns once its Beacon is closed.
var ErrClosed = errors.New("mDNS: the beacon is closed")

// A Config says how a Beacon works. The zero Config is a good one.
type Config struct {
	Log *slog.Logger // what goes wrong on an interface; nil: nothing is logged
}

// A Beacon asks and answers for any number of shares. It uses no socket and no
// goroutine while nothing is registered.
type Beacon struct {
	log   *slog.Logger
	zone  zone
	asked asked
	gone  chan struct{} // closed by Close

	mu       sync.Mutex
	closed   bool
	answers  int // how many tags are answered for
	asks     int // how many are asked for
	stations map[string]*station
	watching *watcher // nil while there is nothing to watch for
	ended    *watcher // the last that was told to end; it may not have yet
	trouble  trouble
}

// A watcher is a goroutine that watches the interfaces.
type watcher struct{ stop, done chan struct{} }

// New makes a Beacon. A process needs one.
func New(c Config) *Beacon {
	log := c.Log
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	return &Beacon{log: log, gone: make(chan struct{}), stations: make(map[string]*station)}
}

// Answer answers questions for a tag until stop is called. Text is called for
// every answer with the interface that it goes out on; it must be quick and may
// be called by several goroutines, also once more while stop is. Without text, or with more than 255 bytes of
// it, there is no answer. A tag that isn't one is a mistake in the program:
// Answer panics.
func (b *Beacon) Answer(tag string, text func(net.Interface) []byte) (stop func()) {
	name, err := nameOf(tag)
	if err != nil {
		panic(err)
	}
	remove := b.zone.add(name, text)
	if !b.need(1, 0) {
		return remove
	}
	return sync.OnceFunc(func() {
		remove()
		b.need(-1, 0)
	})
}

// Close ends all answering and asking, and waits for what it started.
func (b *Beacon) Close() error {
	b.mu.Lock()
	if !b.closed {
		b.closed = true
		close(b.gone)
		b.look()
	}
	ended := b.ended
	b.mu.Unlock()
	ended.wait()
	return nil
}

// need counts what is registered and makes the sockets agree. It reports false
// if the Beacon is closed.
func (b *Beacon) need(answers, asks int) bool {
	b.mu.Lock()
	if b.closed {
		b.mu.Unlock()
		return false
	}
	before, asked := b.answers > 0, b.asks > 0
	b.answers, b.asks = b.answers+answers, b.asks+asks
	switch {
	case before == (b.answers > 0) && asked == (b.asks > 0):
	case b.watching != nil && b.answers+b.asks > 0: // the interfaces have just been looked at
		b.agree()
	default:
		b.look()
	}
	var ended *watcher
	if b.watching == nil {
		ended = b.ended
	}
	b.mu.Unlock()
	ended.wait()
	return true
}

// look makes stations and watcher agree with what is registered and with the
// interfaces there are. It reports whether an interface came, went or changed.
// The caller holds b.mu.
func (b *Beacon) look() (changed bool) {
	needed := !b.closed && b.answers+b.asks > 0
	b.keepWatch(needed)
	var want map[string]place
	if needed {
		var err error
		if want, err = places(); err != nil {
			b.log.Warn("mDNS: the network interfaces can't be read", "err", err)
			b.trouble.feel(fmt.Errorf("the network interfaces can't be read: %w", err))
			return false // what there is, stays
		}
	}
	for key, s := range b.stations {
		if _, ok := want[key]; !ok {
			s.close()
			delete(b.stations, key)
			changed = true
		}
	}
	for key, p := range want {
		if b.stations[key] == nil {
			b.stations[key] = newStation(p, b)
			changed = true
		}
	}
	b.agree()
	if needed {
		b.trouble.feel(b.ails())
	} else {
		b.trouble.feel(nil)
	}
	return changed
}

// agree makes the stations' sockets agree with what is registered. The caller holds b.mu.
func (b *Beacon) agree() {
	for _, s := range b.stations {
		s.agree(b.answers > 0, b.asks > 0)
	}
}

// keepWatch starts a watcher or tells it to end. The caller holds b.mu.
func (b *Beacon) keepWatch(on bool) {
	switch {
	case on && b.watching == nil:
		b.watching = &watcher{make(chan struct{}), make(chan struct{})}
		go b.watch(b.watching)
	case !on && b.watching != nil:
		close(b.watching.stop)
		b.ended, b.watching = b.watching, nil
	}
}

// wait waits until a watcher that was told to end has ended. The caller must
// not hold its Beacon's lock.
func (w *watcher) wait() {
	if w != nil {
		<-w.done
	}
}

// lookEvery is how often the interfaces are looked at. Looking costs about
// 0.2 ms, works the same on every system, and needs no second source of truth;
// a device that joins a network waits far longer for its address.
const lookEvery = 2 * time.Second

// watch looks for interfaces that come, go or change, and for the end of a sleep.
func (b *Beacon) watch(w *watcher) {
	defer close(w.done)
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	last := time.Now()
	for {
		select {
		case <-w.stop:
			return
		case <-tick.C:
		}
		now := time.Now()
		woke := slept(now.Round(0).Sub(last.Round(0)), now.Sub(last))
		last = now
		b.mu.Lock()
		changed := b.watching == w && b.look() // else it was told to end meanwhile
		b.mu.Unlock()
		if changed || woke {
			b.asked.again()
		}
	}
}

// slept tells whether the machine slept, from how far its wall clock and its
// monotonic clock went on meanwhile: the latter stands still in a sleep. Somebody
// who sets the wall clock looks the same, and costs one question too many.
func slept(wall, monotonic time.Duration) bool { return wall-monotonic > lookEvery }

// nameOf is the name of a tag in the DNS.
func nameOf(tag string) (string, error) {
	const letters = "abcdefghijklmnopqrstuvwxyz234567"
	if len(tag) != TagLen || strings.Trim(tag, letters) != "" {
		return "", fmt.Errorf("mDNS: a tag is %d characters of %s, not %q", TagLen, letters, tag)
	}
	return "_" + tag + "._udp.local.", nil
}
