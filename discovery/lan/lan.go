// Package lan finds and carries shares between two devices in one room: mDNS
// finds (package beacon), QUIC carries (package quicpath). It needs no internet,
// no default route, no relay, and no right clock.
//
// Nothing is announced unasked. Each side of a share answers for its own tag while
// the share lives; who needs a path asks for the other's. What is answered are
// addresses, sealed with a key of the link's, so that a stranger learns from an
// answer that it was given and no more. PROTOCOL.md says how.
package lan

import (
	"context"
	"crypto/rand"
	"errors"
	"io"
	"net"
	"net/netip"
	"sync"

	"github.com/sparekey/sparekey/discovery"
	"github.com/sparekey/sparekey/discovery/lan/beacon"
	"github.com/sparekey/sparekey/discovery/lan/quicpath"
)

// A Config says how rooms are searched. The zero Config is for devices.
type Config struct {
	Rand io.Reader // for what is sealed; nil: crypto/rand
}

// Room is what a Report is about that tells of the room as a whole: Failing, if nobody
// can be found in it from here, and Living once that is over.
const Room = "the local network"

// A LAN is this process's part in the room, for all of its shares: one socket,
// and one server for questions an interface. They are opened with the first share
// and closed by Close.
type LAN struct {
	config Config

	mu     sync.Mutex
	socket *quicpath.Socket
	beacon *beacon.Beacon
	closed bool
}

// New returns a LAN that has touched nothing yet.
func New(c Config) *LAN {
	if c.Rand == nil {
		c.Rand = rand.Reader
	}
	return &LAN{config: c}
}

// Close ends all paths, questions and answers. Finds must have ended.
func (l *LAN) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.closed = true
	if l.socket == nil {
		return nil
	}
	return errors.Join(l.beacon.Close(), l.socket.Close())
}

// open opens what all shares use, once.
func (l *LAN) open() (*quicpath.Socket, *beacon.Beacon, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return nil, nil, net.ErrClosed
	}
	if l.socket == nil {
		s, err := quicpath.Listen(quicpath.Config{})
		if err != nil {
			return nil, nil, err
		}
		l.socket, l.beacon = s, beacon.New(beacon.Config{})
	}
	return l.socket, l.beacon, nil
}

// Find answers for this side of the share until ctx ends, and asks for the other
// while a path is needed: a receiver until it has one; a sender, whom a receiver
// looks for, once it has chosen one or has more to send than its offer, and has no
// path. It is silent until then. Either asks, too, while it waits in vain for what the
// other alone can give (Meeting.Waits), or is asked for in vain. What keeps it from all that is reported, about
// Room, while there is no path, and Find goes on. It implements discovery.Finder.
func (l *LAN) Find(ctx context.Context, m discovery.Meeting, found func(discovery.Path)) error {
	socket, beacon, err := l.open()
	if err != nil {
		return err
	}
	s := &search{lan: l, socket: socket, beacon: beacon, meeting: m, found: found, live: map[*given]bool{}, recent: map[netip.AddrPort]dialled{}, changed: make(chan struct{}, 1)}
	return s.run(ctx)
}
