package beacon

import (
	"fmt"
	"net"
	"net/netip"
	"slices"
)

// A place is an interface to ask and answer on, as it was looked at.
type place struct {
	ifi    net.Interface
	addrs  []netip.Addr // in order
	v4, v6 bool         // what it speaks
}

// maxPlaces bounds the sockets on machines with an interface a container.
const maxPlaces = 32

// places are the interfaces worth asking on, by all that matters of them: an
// interface whose address changed is another place.
func places() (map[string]place, error) {
	ifis, err := net.Interfaces()
	if err != nil {
		return nil, err
	}
	var all []place
	for _, ifi := range ifis {
		if addrs, err := ifi.Addrs(); err == nil { // else it has just gone
			all = append(all, newPlace(ifi, addrs))
		}
	}
	keyed := make(map[string]place)
	for _, p := range choose(all) {
		keyed[fmt.Sprint(p.ifi.Index, p.ifi.Name, p.ifi.Flags, p.addrs)] = p
	}
	return keyed, nil
}

func newPlace(ifi net.Interface, addrs []net.Addr) place {
	p := place{ifi: ifi}
	for _, a := range addrs {
		n, ok := a.(*net.IPNet)
		if !ok {
			continue
		}
		addr, _ := netip.AddrFromSlice(n.IP)
		addr = addr.Unmap()
		p.addrs = append(p.addrs, addr)
		p.v4 = p.v4 || addr.Is4()
		p.v6 = p.v6 || addr.Is6()
	}
	slices.SortFunc(p.addrs, netip.Addr.Compare)
	return p
}

// choose picks the interfaces that are up, have an address and pass multicast
// on. Where there is none, two programs on this machine can still meet on the
// loopback interface, by IPv4: it does carry multicast, though it doesn't say so,
// and has no IPv6 multicast route on Linux.
func choose(all []place) (chosen []place) {
	var loopback []place
	for _, p := range all {
		switch {
		case p.ifi.Flags&net.FlagUp == 0 || !p.v4 && !p.v6:
		case p.ifi.Flags&net.FlagLoopback != 0:
			p.v6 = false
			if p.v4 {
				loopback = append(loopback, p)
			}
		case p.ifi.Flags&net.FlagMulticast != 0:
			chosen = append(chosen, p)
		}
	}
	if len(chosen) == 0 {
		chosen = loopback
	}
	return chosen[:min(len(chosen), maxPlaces)]
}
