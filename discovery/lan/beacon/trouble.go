package beacon

import (
	"errors"
	"fmt"
	"maps"
	"net"
	"slices"
	"syscall"
)

// What keeps a Beacon from working, where a person can do something about it.
var (
	errNowhere = errors.New("no network is up that leads to other devices and passes multicast on")
	errKept    = errors.New("another program keeps UDP port 5353 to itself")
)

// trouble is what a Beacon knows of what keeps it from working. Its Beacon's lock guards it.
type trouble struct {
	felt    error // after the last look
	told    error
	watches map[*func(error)]bool
}

// Watch has told called with what keeps this device from asking or being asked on any
// interface, once it has lasted from one look at them to the next; and with nil once it
// is over. An interface that works by one IP version works. Nothing is looked at while
// nothing is registered. Told must be quick, must not call the Beacon, and isn't called
// any more once stop has returned.
func (b *Beacon) Watch(told func(error)) (stop func()) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.trouble.watches == nil {
		b.trouble.watches = make(map[*func(error)]bool)
	}
	b.trouble.watches[&told] = true
	if b.trouble.told != nil {
		told(b.trouble.told)
	}
	return func() {
		b.mu.Lock()
		defer b.mu.Unlock()
		delete(b.trouble.watches, &told)
	}
}

// feel takes what the matter is after a look at the interfaces. The caller holds the lock.
func (t *trouble) feel(err error) {
	lasts := same(err, t.felt)
	t.felt = err
	if err != nil && !lasts || same(err, t.told) {
		return
	}
	t.told = err
	for told := range t.watches {
		(*told)(err)
	}
}

func same(a, b error) bool {
	return (a == nil) == (b == nil) && (a == nil || a.Error() == b.Error())
}

// ails returns what keeps the stations from working; nil if one works that leads to
// other devices. The caller holds b.mu.
func (b *Beacon) ails() error {
	err := errNowhere
	for _, key := range slices.Sorted(maps.Keys(b.stations)) {
		s := b.stations[key]
		switch {
		case s.ifi.Flags&net.FlagLoopback != 0:
		case s.ails == nil:
			return nil
		case errors.Is(err, errNowhere):
			err = s.ails
		}
	}
	return err
}

// unserved is why the library has no socket to answer by, which it doesn't say itself.
func (s *station) unserved(err error) error {
	for _, v := range []struct {
		speaks bool
		family family
	}{{s.v4, ipv4Family}, {s.v6, ipv6Family}} {
		if !v.speaks {
			continue
		}
		c, bindErr := bindEar(v.family, true, s.ifi)
		switch {
		case bindErr == nil:
			c.Close()
		case errors.Is(bindErr, syscall.EADDRINUSE):
			return errKept
		default:
			err = fmt.Errorf("multicast can't be heard: %w", bindErr)
		}
	}
	return err
}
