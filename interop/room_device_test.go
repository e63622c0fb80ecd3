package interop

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/quic-go/quic-go"
)

// A device is a side of one share in the room: it answers for its tag, asks for the
// other's, and has paths (discovery/lan/PROTOCOL.md, sections 2 to 8). It sees its
// interfaces once, when it comes into the room, asks when it is told to, and holds few of
// the bounds against crowds.
type device struct {
	keys  linkKeys
	role  role
	first func() []frame            // what goes with the first flight
	take  func(*path, []frame) bool // what comes: whether all of it opened

	cards     []card
	transport *quic.Transport
	port      uint16
	asking    []socket // for the other
	answering []socket // for this one

	ctx      context.Context
	stop     func()
	work     sync.WaitGroup
	unproven atomic.Int32 // connections
	mu       sync.Mutex
	paths    []*path       // guarded by mu, as are the next two
	changed  chan struct{} // closed when paths change
	came     time.Time     // the last piece
	dials    map[netip.AddrPort]dial
}

// enter brings a device into a room and answers. in calls a function where the
// room's interfaces are: sockets belong to the network that they were opened in.
func (d *device) enter(in func(func() error) error) error {
	d.ctx, d.stop = context.WithCancel(context.Background())
	d.changed, d.dials = make(chan struct{}), map[netip.AddrPort]dial{}
	err := in(func() (err error) {
		if d.cards, err = cards(); err != nil {
			return err
		}
		if d.transport, d.port, err = openTransport(); err != nil {
			return err
		}
		d.transport.VerifySourceAddress = func(net.Addr) bool { return d.unproven.Load() >= 16 }
		if d.asking, err = openSockets(d.cards, false); err != nil {
			return err
		}
		d.answering, err = openSockets(d.cards, true)
		return err
	})
	if err != nil {
		return err
	}
	listener, err := d.transport.ListenEarly(listening(d.keys.tag(d.role)), quicConfig(false))
	if err != nil {
		return err
	}
	d.work.Go(func() { d.listen(listener) })
	own := &answerer{name: d.keys.tag(d.role).name(), text: d.text, sockets: d.answering}
	for _, s := range slices.Concat(d.asking, d.answering) {
		d.work.Go(func() { d.hears(s, own) })
	}
	return nil
}

// leave ends all paths well, and everything else.
func (d *device) leave() {
	d.stop()
	for _, s := range slices.Concat(d.asking, d.answering) {
		s.conn.Close()
	}
	d.work.Wait()
	if d.transport != nil {
		d.transport.Close()
		d.transport.Conn.Close()
	}
}

// text is what is answered on an interface: this device's addresses there, sealed.
func (d *device) text(by int) []byte {
	var v4, v6 []netip.AddrPort
	for _, c := range d.cards {
		for _, n := range c.networks {
			switch at := netip.AddrPortFrom(n.Addr(), d.port); {
			case c.Index != by:
			case n.Addr().Is4():
				v4 = append(v4, at)
			default:
				v6 = append(v6, at)
			}
		}
	}
	return d.keys.sealText(d.role, random(nonceSize), slices.Concat(v4[:min(2, len(v4))], v6[:min(6, len(v6))]))
}

// seek asks for the other device until there is a path.
func (d *device) seek(ctx context.Context) {
	ctx, stop := context.WithCancel(ctx)
	d.work.Go(func() { asks(ctx, d.asking, d.answering, d.cards, d.keys.tag(d.role.other()).name()) })
	d.work.Go(func() {
		d.path(ctx, anyPath)
		stop()
	})
}

// hears hears questions and answers on a socket.
func (d *device) hears(s socket, own *answerer) {
	other := d.keys.tag(d.role.other()).name()
	for p, err := s.read(); err == nil; p, err = s.read() {
		if text, ok := textOf(p.b, other); ok {
			d.heard(d.ctx, text, p)
		} else {
			own.answer(s, p)
		}
	}
}

// heard dials the addresses of a text, first the one that it came from.
func (d *device) heard(ctx context.Context, text []byte, p packet) {
	addrs, err := d.keys.openText(d.role.other(), text)
	if err != nil {
		return
	}
	slices.SortStableFunc(addrs, func(a, b netip.AddrPort) int {
		from := p.from.Addr().WithZone("")
		return boolInt(b.Addr() == from) - boolInt(a.Addr() == from)
	})
	for _, a := range addrs {
		i := slices.IndexFunc(d.cards, func(c card) bool { return c.Index == p.by })
		if i < 0 || !d.cards[i].reaches(a.Addr()) || !d.mayDial(a, p.from.Addr()) {
			continue
		}
		a = zoned(a, p.by)
		failed := make(chan struct{})
		d.work.Go(func() {
			d.dial(ctx, a)
			close(failed)
		})
		select {
		case <-failed:
		case <-time.After(50 * time.Millisecond):
		case <-ctx.Done():
			return
		}
	}
}

func boolInt(b bool) int {
	if b {
		return 1
	}
	return 0
}

// reaches reports whether an address is in the room, as seen from an interface.
func (c card) reaches(a netip.Addr) bool {
	if a.Is6() && a.IsLinkLocalUnicast() {
		return true
	}
	return slices.ContainsFunc(c.networks, func(n netip.Prefix) bool {
		return n.Contains(a) && !(a.Is4() && everybodys(n, a))
	})
}

// everybodys reports whether an address is the first or last of an IPv4 network.
func everybodys(n netip.Prefix, a netip.Addr) bool {
	return n.Bits() < 31 && (!n.Contains(a.Prev()) || !n.Contains(a.Next()))
}

// A dial is when an address was dialled, and by whose word.
type dial struct {
	by   netip.Addr
	when time.Time
}

// mayDial holds the bounds on what is dialled in 5 s: 64 addresses, 8 by one device's word.
func (d *device) mayDial(a netip.AddrPort, by netip.Addr) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	of := 0
	for old, lately := range d.dials {
		switch {
		case time.Since(lately.when) > 5*time.Second:
			delete(d.dials, old)
		case lately.by == by:
			of++
		}
	}
	if _, lately := d.dials[a]; lately || len(d.dials) == 64 || of == 8 || len(d.paths) > 0 {
		return false
	}
	d.dials[a] = dial{by, time.Now()}
	return true
}

// dial makes a path to an address, or fails.
func (d *device) dial(ctx context.Context, to netip.AddrPort) {
	ctx, stop := context.WithTimeout(ctx, provingIn)
	defer stop()
	conn, err := dialAt(ctx, d.transport, to, d.keys.tag(d.role.other()))
	if err != nil {
		return
	}
	p, frames, err := dials(ctx, conn, d.keys, d.role)
	if err != nil {
		conn.CloseWithError(errProof, "") // if it isn't closed already
		return
	}
	d.work.Go(func() {
		if len(frames) > 0 {
			d.take(p, frames)
		}
		d.serve(p)
	})
}

func (d *device) listen(l *quic.EarlyListener) {
	for {
		conn, err := l.Accept(d.ctx)
		if err != nil {
			return
		}
		d.work.Go(func() {
			d.unproven.Add(1)
			ctx, stop := context.WithTimeout(d.ctx, provingIn)
			p, err := listens(ctx, conn, d.keys, d.role, d.first())
			stop()
			d.unproven.Add(-1)
			if err != nil {
				conn.CloseWithError(errProof, "")
				return
			}
			d.serve(p)
		})
	}
}

// serve takes what a path brings, until it ends.
func (d *device) serve(p *path) {
	d.change(func() { d.paths = append(d.paths, p) })
	p.receive(d.ctx, func(frames []frame) bool {
		taken := d.take(p, frames)
		d.change(func() { d.came = time.Now() })
		return taken
	})
	p.close()
	d.change(func() { d.paths = slices.DeleteFunc(d.paths, func(o *path) bool { return o == p }) })
}

func (d *device) change(f func()) {
	d.mu.Lock()
	defer d.mu.Unlock()
	f()
	close(d.changed)
	d.changed = make(chan struct{})
}

// path waits for a path that is good for something; nil: ctx has ended.
func (d *device) path(ctx context.Context, good func(*path) bool) *path {
	for {
		d.mu.Lock()
		i, changed := slices.IndexFunc(d.paths, good), d.changed
		var p *path
		if i >= 0 {
			p = d.paths[i]
		}
		d.mu.Unlock()
		if p != nil {
			return p
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return nil
		case <-d.ctx.Done():
			return nil
		}
	}
}

// send sends frames until they are taken, by a path that is good for them.
func (d *device) send(ctx context.Context, good func(*path) bool, frames ...frame) error {
	for wait := 100 * time.Millisecond; ; wait = min(2*wait, 5*time.Second) {
		p := d.path(ctx, good)
		if p == nil {
			return errors.Join(errors.New("no path has taken it"), ctx.Err())
		}
		taken, err := p.send(ctx, frames...)
		if taken {
			return nil
		}
		if err != nil {
			d.change(func() { d.paths = slices.DeleteFunc(d.paths, func(o *path) bool { return o == p }) })
		}
		select {
		case <-time.After(wait):
		case <-ctx.Done():
		}
	}
}

// quiet waits until nothing has come for a second, so that what the other repeats is answered.
func (d *device) quiet() {
	for {
		d.mu.Lock()
		left := time.Until(d.came.Add(time.Second))
		d.mu.Unlock()
		if left <= 0 {
			return
		}
		<-time.After(left)
	}
}
