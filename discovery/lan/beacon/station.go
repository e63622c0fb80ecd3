package beacon

import (
	"errors"
	"log"
	"net"
	"reflect"
	"slices"

	"github.com/hashicorp/mdns"
	"golang.org/x/net/ipv4"
	"golang.org/x/net/ipv6"
)

// A station is what a Beacon has on one interface: a server for both IP
// versions while it answers, two ears each while it asks. Its Beacon's lock
// guards it.
type station struct {
	place
	b      *Beacon
	server *mdns.Server
	half   bool  // the server has only one of the two IP versions it should have
	view   *view // the server's
	ears   []*ear
	failed string // what went wrong last, so that it is said once
	ails   error  // why nobody can be asked, or can ask, by either IP version
}

func newStation(p place, b *Beacon) *station { return &station{place: p, b: b} }

// agree opens and closes sockets. What can't be opened is tried again at the
// next look: a new address may not be ready to be used yet.
func (s *station) agree(answer, ask bool) {
	var unserved, deaf error
	switch {
	case answer && (s.server == nil || s.half):
		s.unserve()
		unserved = s.serve()
	case !answer:
		s.unserve()
	}
	switch {
	case ask:
		deaf = s.listen()
	default:
		s.unlisten()
	}
	switch s.ails = nil; {
	case answer && s.server == nil:
		s.ails = unserved
	case ask && len(s.ears) == 0:
		s.ails = deaf
	}
	if err := errors.Join(unserved, deaf); err == nil {
		s.failed = ""
	} else if s.failed != err.Error() {
		s.failed = err.Error()
		s.b.log.Warn("mDNS doesn't work on an interface", "interface", s.ifi.Name, "err", err)
	}
}

func (s *station) close() {
	s.unserve()
	s.unlisten()
}

// serve starts the server. It sends nothing of itself: no probe, no
// announcement (RFC 6762, section 8, is for names that somebody could want too).
func (s *station) serve() error {
	v := newView(&s.b.zone, s.ifi)
	server, err := mdns.NewServer(&mdns.Config{
		Zone:   v,
		Iface:  &s.ifi,
		Logger: log.New(complaints{v, s.b.log}, "", 0),
	})
	if err != nil {
		v.close()
		return s.unserved(err)
	}
	conns, err := sockets(server)
	for _, c := range conns {
		err = errors.Join(err, aim(c, familyOf(c), s.ifi), confine(c, s.ifi), stay(c), sift(c, questions))
	}
	if err != nil {
		v.close()
		server.Shutdown()
		return err
	}
	v.conns.Store(&conns)
	s.server, s.view = server, v
	// The library says nothing when it gets one IP version's port and not the other's.
	s.half = s.v4 && !speaks(conns, ipv4Family) || s.v6 && !speaks(conns, ipv6Family)
	if s.half {
		return errors.New("another program keeps port 5353 of one IP version to itself")
	}
	return nil
}

func speaks(conns []*net.UDPConn, f family) bool {
	return slices.ContainsFunc(conns, func(c *net.UDPConn) bool { return familyOf(c) == f })
}

// unserve ends the server. Its goroutines end with their sockets, but nobody can
// wait for them: the library has no way to.
func (s *station) unserve() {
	if s.server != nil {
		s.view.close()
		s.server.Shutdown()
		s.server, s.view, s.half = nil, nil, false
	}
}

// sockets are the server's sockets, which the library keeps to itself. They
// must be told what it doesn't tell them: see confine, stay and sift. It
// reads two unexported fields of a version that go.mod pins, and fails rather
// than answer without.
func sockets(s *mdns.Server) (conns []*net.UDPConn, err error) {
	for _, name := range []string{"ipv4List", "ipv6List"} {
		f := reflect.ValueOf(s).Elem().FieldByName(name)
		if !f.IsValid() || f.Type() != reflect.TypeFor[*net.UDPConn]() {
			return nil, errors.New("hashicorp/mdns isn't the version this was made for")
		}
		if !f.IsNil() {
			conns = append(conns, (*net.UDPConn)(f.UnsafePointer()))
		}
	}
	return conns, nil
}

// stay has what a socket sends die at the first router. RFC 6762, section 11,
// would have a TTL of 255, for receivers that it tells apart from later ones; but
// a device that answered the world could be used against the world.
func stay(c *net.UDPConn) error {
	if familyOf(c) == ipv6Family {
		return ipv6.NewPacketConn(c).SetHopLimit(1)
	}
	return ipv4.NewPacketConn(c).SetTTL(1)
}

// listen opens the ears that are missing.
func (s *station) listen() error {
	var errs []error
	for _, v := range []struct {
		speaks  bool
		family  family
		ofGroup bool
	}{{s.v4, ipv4Family, false}, {s.v6, ipv6Family, false}, {s.v4, ipv4Family, true}, {s.v6, ipv6Family, true}} {
		if !v.speaks || s.hasEar(v.family, v.ofGroup) {
			continue
		}
		e, err := openEar(v.family, v.ofGroup, s.ifi, s.b.asked.tell)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		s.ears = append(s.ears, e)
	}
	return errors.Join(errs...)
}

func (s *station) hasEar(f family, ofGroup bool) bool {
	return slices.ContainsFunc(s.ears, func(e *ear) bool { return e.family == f && e.ofGroup == ofGroup })
}

func (s *station) unlisten() {
	for _, e := range s.ears {
		e.close()
	}
	s.ears = nil
}
