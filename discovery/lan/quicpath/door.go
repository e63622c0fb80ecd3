package quicpath

import (
	"context"
	"net"
	"net/netip"
	"sync"
)

// How many connections may be there that have not proved. Each costs up to
// firstWindow of memory. From crowd on, strangers must show that they are at the
// address they claim (a Retry, one more round trip).
const (
	maxGuests     = 128
	maxGuestsHost = 32
	crowd         = 16
)

// A door keeps count of connections that have not proved. When there are too many,
// the one that has stood there longest goes, of those from the address that has
// most: an honest dialler needs a round trip, so it is not the longest there.
type door struct {
	mu     sync.Mutex
	guests map[*guest]bool
	number uint64
}

// A guest is a connection that has not proved.
type guest struct {
	host   netip.Addr
	number uint64             // in order of coming
	evict  context.CancelFunc // nil until there is something to end
}

func newDoor() *door { return &door{guests: map[*guest]bool{}} }

// crowded reports whether strangers should show that they are where they say.
func (d *door) crowded() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return len(d.guests) >= crowd
}

// enter lets a connection in; false: there is no room and none can be made.
func (d *door) enter(from net.Addr) (*guest, bool) {
	host := hostOf(from)
	d.mu.Lock()
	defer d.mu.Unlock()
	of := map[netip.Addr]int{}
	most := host
	for g := range d.guests {
		if of[g.host]++; of[g.host] > of[most] {
			most = g.host
		}
	}
	switch {
	case of[host] >= maxGuestsHost && !d.evict(host),
		of[host] < maxGuestsHost && len(d.guests) >= maxGuests && !d.evict(most):
		return nil, false
	}
	d.number++
	g := &guest{host: host, number: d.number}
	d.guests[g] = true
	return g, true
}

// evict ends the connection of a host that has been there longest.
func (d *door) evict(host netip.Addr) bool {
	var oldest *guest
	for g := range d.guests {
		if g.host == host && g.evict != nil && (oldest == nil || g.number < oldest.number) {
			oldest = g
		}
	}
	if oldest == nil {
		return false
	}
	delete(d.guests, oldest)
	oldest.evict()
	return true
}

// may says how to end a guest that is in; false: it has been shown out already.
func (d *door) may(g *guest, evict context.CancelFunc) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	g.evict = evict
	return d.guests[g]
}

// leave forgets a guest: it has proved, or it is gone.
func (d *door) leave(g *guest) {
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.guests, g)
}

// hostOf returns the address without its port; none where it has no such form.
func hostOf(a net.Addr) netip.Addr {
	ap, _ := netip.ParseAddrPort(a.String())
	return ap.Addr().Unmap()
}
