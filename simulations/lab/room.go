//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"time"

	"github.com/sparekey/sparekey/simulations/programs"
	"github.com/sparekey/sparekey/simulations/wire"
)

// A plan says how a room is laid out. The zero plan is a home: IPv4 and IPv6,
// and a router behind which the relay stands.
type plan struct {
	noIPv4, noIPv6 bool          // no such addresses, but link-local ones of IPv6
	noLinkLocal    bool          // not those either: there is no IPv6
	subnets        bool          // the devices have addresses of different networks, and no router
	noRoute        bool          // no default route: nothing beyond the room is reached
	noRelay        bool          // no relay is configured: --paths lan
	relayOff       bool          // the relay doesn't run
	wrong          int           // so many interfaces come before the right one and lead elsewhere
	uplink         bool          // the router is reached by another interface, and nobody else by that one
	unplugged      bool          // the devices have no interface to begin with
	senderAhead    time.Duration // how far the wall clocks are ahead
	receiverAhead  time.Duration
}

// A room is one run of a cell.
type room struct {
	ctx  context.Context
	dir  string
	lab  *lab
	plan plan

	inside   *wire.Switch // the room's own
	switches []*wire.Switch
	router   *wire.Station
	out      *wire.Port // the router's port
	devices  [2]*device
	relay    *programs.Relay
	shares   []*handover
	gap      time.Duration // from the last frame before a cut to the next one; 0: nobody has looked
}

// Of the devices, who is who.
const (
	sender = iota
	receiver
)

// A device is a station with a vault.
type device struct {
	*wire.Station
	programs.Device
	port  *wire.Port // in the room
	ahead time.Duration
	host  int // the last part of its addresses
}

// label is what the device calls itself.
func (d *device) label() string { return "the label of " + d.Name }

// Addresses: hosts of the room, from 192.0.2.1 and 2001:db8:1::1 on, which the
// router has; and the relay's behind it.
const (
	net4, net6     = "192.0.2.", "2001:db8:1::"
	relay4, relay6 = "198.51.100.7", "2001:db8:2::7"
	relayPort      = ":8443"
)

// interfaceOf is the name of a device's interface in the room.
func (p plan) interfaceOf() string { return fmt.Sprintf("eth%d", p.wrong) }

// newRoom lays a room out. Close it.
func newRoom(ctx context.Context, l *lab, dir string, c *cell) (r *room, err error) {
	r = &room{ctx: ctx, dir: dir, lab: l, plan: c.plan}
	defer func() {
		if err != nil {
			err = errors.Join(err, r.close())
		}
	}()
	if r.inside, err = r.newSwitch(); err != nil {
		return r, err
	}
	if err := r.layRouter(); err != nil {
		return r, err
	}
	for i, name := range deviceNames {
		if err := r.layDevice(i, name); err != nil {
			return r, err
		}
	}
	r.inside.Set(c.wire)
	if c.bar != nil {
		r.inside.Bar(c.bar(r)...)
	}
	if c.plan.relayOff || c.plan.noRelay {
		return r, nil
	}
	return r, r.startRelay()
}

// deviceNames are the host names of sender and receiver: nobody may hear them.
var deviceNames = [2]string{"senders-secret-laptop", "receivers-secret-phone"}

func (r *room) newSwitch() (*wire.Switch, error) {
	s, err := wire.NewSwitch()
	if err == nil {
		r.switches = append(r.switches, s)
	}
	return s, err
}

// layRouter makes the router, which has the relay's addresses too.
func (r *room) layRouter() (err error) {
	if r.router, err = wire.NewStation("router"); err != nil {
		return err
	}
	s := r.inside
	if r.plan.uplink {
		if s, err = r.newSwitch(); err != nil {
			return err
		}
		s.Bar(wire.Isolate(r.router))
	}
	if r.out, err = s.Plug(r.router, "eth0"); err != nil {
		return err
	}
	return r.all(r.router,
		"addr add "+net4+"1/24 dev eth0", "addr add "+net6+"1/64 dev eth0",
		"addr add "+relay4+"/32 dev lo", "addr add "+relay6+"/128 dev lo")
}

// layDevice makes a device.
func (r *room) layDevice(i int, name string) error {
	d := &device{host: 11 + i, ahead: [2]time.Duration{r.plan.senderAhead, r.plan.receiverAhead}[i]}
	var err error
	if d.Station, err = wire.NewStation(name); err != nil {
		return err
	}
	r.devices[i] = d
	if r.plan.noLinkLocal {
		if err := d.NoIPv6(); err != nil {
			return err
		}
	}
	home := filepath.Join(r.dir, name)
	d.Device = programs.Device{Bin: r.lab.bin, Home: filepath.Join(home, "vault"), User: home, Roots: r.lab.certificates.Roots, Out: filepath.Join(home, "out")}
	config := filepath.Join(home, "config", "sparekey")
	err = errors.Join(os.MkdirAll(config, 0o700), os.MkdirAll(d.Out, 0o700),
		os.WriteFile(filepath.Join(config, "config.toml"), fmt.Appendf(nil, "allow_private = true\nrelays = [%q, %q]\n", relay4+relayPort, "["+relay6+"]"+relayPort), 0o600))
	if err != nil || r.plan.unplugged {
		return err
	}
	return r.plug(d)
}

// plug gives a device its interfaces, addresses and routes.
func (r *room) plug(d *device) (err error) {
	for n := range r.plan.wrong {
		elsewhere, err := r.newSwitch()
		if err != nil {
			return err
		}
		if _, err := elsewhere.Plug(d.Station, fmt.Sprintf("eth%d", n)); err != nil {
			return err
		}
		err = d.IP(fmt.Sprintf("addr add 10.%d.0.%d/24 dev eth%d", n, d.host, n))
		if err != nil {
			return err
		}
	}
	if d.port, err = r.inside.Plug(d.Station, r.plan.interfaceOf()); err != nil {
		return err
	}
	if err := r.address(d); err != nil || !r.plan.uplink {
		return err
	}
	if _, err := r.switches[1].Plug(d.Station, "up0"); err != nil {
		return err
	}
	return r.route(d, "up0", d.host)
}

// address gives a device's interface in the room its addresses, and routes by it
// if the router is there.
func (r *room) address(d *device) error {
	if r.plan.uplink {
		// The room's addresses are others, so that they aren't the router's net.
		return d.IP(fmt.Sprintf("addr add 203.0.113.%d/24 dev %s", d.host, r.plan.interfaceOf()))
	}
	if r.plan.subnets {
		return d.IP(fmt.Sprintf("addr add 10.%d.0.1/24 dev %s", d.host, r.plan.interfaceOf()))
	}
	return r.route(d, r.plan.interfaceOf(), d.host)
}

// route gives an interface addresses of the router's net, with this host part.
func (r *room) route(d *device, dev string, host int) error {
	var all []string
	if !r.plan.noIPv4 {
		all = append(all, fmt.Sprintf("addr add %s%d/24 dev %s", net4, host, dev))
		if !r.plan.noRoute {
			all = append(all, "route replace default via "+net4+"1 dev "+dev)
		}
	}
	if !r.plan.noIPv6 {
		all = append(all, fmt.Sprintf("addr add %s%d/64 dev %s", net6, host, dev))
		if !r.plan.noRoute {
			all = append(all, "-6 route replace default via "+net6+"1 dev "+dev)
		}
	}
	return r.all(d.Station, all...)
}

// all runs ip on a station with each of the words.
func (r *room) all(st *wire.Station, commands ...string) error {
	for _, c := range commands {
		if err := st.IP(c); err != nil {
			return err
		}
	}
	return nil
}

// relayURL is where the relay is, for devices of this room.
func (r *room) relayURL() string {
	if r.plan.noIPv4 {
		return "https://[" + relay6 + "]" + relayPort
	}
	return "https://" + relay4 + relayPort
}

// shareFlags are the sender's; the receiver's link says where the relay is.
func (r *room) shareFlags() []string {
	if r.plan.noRelay {
		return []string{"--paths", "lan"}
	}
	return []string{"--relay", r.relayURL()}
}

func (r *room) startRelay() (err error) {
	r.relay, err = programs.Serve(r.router, r.lab.bin, relayPort, filepath.Join(r.dir, "relay"),
		"--tls-cert", r.lab.certificates.Cert, "--tls-key", r.lab.certificates.Key)
	return err
}

// relayAddrs are the addresses that the relay's certificate names.
var relayAddrs = []netip.Addr{netip.MustParseAddr(relay4), netip.MustParseAddr(relay6)}

// close ends all that runs in the room, and takes it away.
func (r *room) close() error {
	for _, h := range r.shares {
		h.close()
	}
	if r.relay != nil {
		r.relay.Kill()
	}
	var errs []error
	for _, d := range r.devices {
		if d != nil {
			errs = append(errs, d.Close())
		}
	}
	if r.router != nil {
		errs = append(errs, r.router.Close())
	}
	for _, s := range r.switches {
		errs = append(errs, s.Close())
	}
	return errors.Join(errs...)
}
