//go:build linux

package wire

import "net/netip"

// Firewall returns a Rule: to these stations come no datagrams but those that answer
// what they have sent, from where they sent it to, and those of mDNS that go from its
// port to its group. So do firewalls that desktops come with. What isn't a datagram
// passes.
func Firewall(stations ...*Station) Rule {
	type flow struct {
		at       *Station
		here, to netip.AddrPort
	}
	begun := map[flow]bool{}
	behind := func(p *Port) bool {
		for _, st := range stations {
			if p.Station == st {
				return true
			}
		}
		return false
	}
	return func(from, to *Port, f Frame) bool {
		d, ok := f.UDP()
		if !ok {
			return false
		}
		if behind(from) { // what leaves one is known to it, though it come to nobody
			begun[flow{from.Station, d.From, d.To}] = true
		}
		return behind(to) && !begun[flow{to.Station, d.To, d.From}] && !ofGroup(d)
	}
}

// ofGroup reports whether a datagram is what devices say to all by mDNS (RFC 6762,
// section 5.2 and 6).
func ofGroup(d Datagram) bool {
	const port = 5353
	return d.From.Port() == port && d.To.Port() == port && (d.To.Addr() == netip.AddrFrom4([4]byte{224, 0, 0, 251}) || d.To.Addr() == netip.MustParseAddr("ff02::fb"))
}
