package main

import (
	"context"
	"crypto/rand"
	"encoding/base32"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/sparekey/sparekey/discovery/lan/beacon"
)

// roomFindings are those about the local network.
type roomFindings struct {
	all   []finding
	works bool // another device in the room can be found, and reached
}

// A nic is an interface that leads to other devices.
type nic struct {
	net.Interface
	addrs []netip.Addr // with zones where they need one
}

func (n nic) multicast() bool { return n.Flags&net.FlagMulticast != 0 }

// lookAround looks at the local network: what there is, whether it hears itself by
// mDNS, and whether datagrams to its own addresses arrive.
func lookAround(ctx context.Context, w ways) (r roomFindings) {
	nics, err := interfaces()
	if err != nil {
		r.all = append(r.all, finding{check: "interface", state: trouble, what: fmt.Sprintf("the network interfaces can't be read: %v", err), fix: "run it outside of what confines it"})
		return r
	}
	if len(nics) == 0 {
		r.all = append(r.all, finding{check: "interface", state: trouble, what: "no network interface is up and has an address", fix: "connect to a network, by Wi-Fi or cable"})
	}
	for _, n := range nics {
		r.all = append(r.all, describeNIC(n))
	}
	if !w.has(wayLAN) {
		return r
	}
	var heard map[voice]bool
	var arrived map[netip.Addr]error
	lame := lameLoopback()
	var both sync.WaitGroup
	both.Go(func() { heard = selfTest(ctx, nics) })
	if lame == "" {
		both.Go(func() { arrived = loopDatagrams(ctx, nics) })
	}
	both.Wait()
	for _, n := range nics {
		h, d := hearing(n, heard, keptPort(n)), finding{state: works}
		if h.check != "" {
			r.all = append(r.all, h)
		}
		if lame == "" {
			d = arriving(n, arrived)
			r.all = append(r.all, d)
		}
		r.works = r.works || h.state == works && d.state == works
	}
	if lame != "" && len(nics) > 0 {
		r.all = append(r.all, finding{check: "udp", subject: lame, state: note, what: "the loopback interface is down, so whether datagrams arrive can't be tried from here; other devices don't need it", fix: "ip link set " + lame + " up"})
	}
	r.all = append(r.all, firewall(ctx))
	return r
}

// lameLoopback returns the name of the loopback interface if it is down. What a device
// sends to an address of its own goes by that one, whatever interface has the address,
// and what other devices send doesn't.
func lameLoopback() string {
	all, err := net.Interfaces()
	if err != nil {
		return ""
	}
	for _, ifi := range all {
		if ifi.Flags&net.FlagLoopback != 0 {
			if ifi.Flags&net.FlagUp != 0 {
				return ""
			}
			return ifi.Name
		}
	}
	return ""
}

// interfaces returns those that are up, have an address and lead to other devices.
func interfaces() (nics []nic, err error) {
	all, err := net.Interfaces()
	if err != nil {
		return nil, err
	}
	for _, ifi := range all {
		if ifi.Flags&net.FlagUp == 0 || ifi.Flags&net.FlagLoopback != 0 {
			continue
		}
		addrs, err := ifi.Addrs()
		if err != nil {
			continue // it has just gone
		}
		n := nic{Interface: ifi}
		for _, a := range addrs {
			if p, err := netip.ParsePrefix(a.String()); err == nil {
				addr := p.Addr().Unmap()
				if addr.IsLinkLocalUnicast() && addr.Is6() {
					addr = addr.WithZone(ifi.Name)
				}
				n.addrs = append(n.addrs, addr)
			}
		}
		if len(n.addrs) > 0 {
			nics = append(nics, n)
		}
	}
	return nics, nil
}

func describeNIC(n nic) finding {
	f := finding{check: "interface", subject: n.Name, state: works, what: "up, with " + join(n.addrs)}
	if !n.multicast() {
		f.state, f.what = note, f.what+", without multicast: devices near by aren't found over it"
	}
	return f
}

func join(addrs []netip.Addr) string {
	var all []string
	for _, a := range addrs {
		all = append(all, a.String())
	}
	return strings.Join(all, ", ")
}

// A voice is an interface by one IP version.
type voice struct {
	name string // of the interface
	six  bool
}

func (v voice) String() string {
	if v.six {
		return "ff02::fb"
	}
	return "224.0.0.251"
}

// voices returns by which IP versions an interface should hear itself.
func (n nic) voices() (all []voice) {
	for _, six := range []bool{false, true} {
		if n.multicast() && slices.ContainsFunc(n.addrs, func(a netip.Addr) bool { return a.Is6() == six }) {
			all = append(all, voice{n.Name, six})
		}
	}
	return all
}

// selfTest asks for a random name by mDNS on every interface, as the search for another
// device does, answers itself, and returns where it was heard.
func selfTest(ctx context.Context, nics []nic) map[voice]bool {
	want := map[voice]bool{}
	for _, n := range nics {
		for _, v := range n.voices() {
			want[v] = true
		}
	}
	heard := map[voice]bool{}
	if len(want) == 0 {
		return heard
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	b := beacon.New(beacon.Config{})
	defer b.Close()
	tag, word := randomTag(), []byte(rand.Text())
	defer b.Answer(tag, func(net.Interface) []byte { return word })()
	b.Ask(ctx, tag, func(text []byte, ifi net.Interface, from netip.Addr) {
		if v := (voice{ifi.Name, from.Is6()}); string(text) == string(word) && want[v] {
			heard[v] = true
		}
		if len(heard) == len(want) {
			cancel()
		}
	})
	return heard
}

// randomTag is the tag of no share.
func randomTag() string {
	var b [9]byte
	rand.Read(b[:]) // it never fails
	return strings.ToLower(base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString(b[:]))
}

// keptPort tries to open mDNS's port as an answer needs it, and reports whether another
// program keeps it to itself.
func keptPort(n nic) bool {
	for _, v := range n.voices() {
		network, group := "udp4", net.IPv4(224, 0, 0, 251)
		if v.six {
			network, group = "udp6", net.ParseIP("ff02::fb")
		}
		c, err := net.ListenMulticastUDP(network, &n.Interface, &net.UDPAddr{IP: group, Port: 5353})
		if err == nil {
			c.Close()
		} else if errors.Is(err, syscall.EADDRINUSE) {
			return true
		}
	}
	return false
}

// hearing tells whether an interface hears itself by mDNS; nothing of one that is
// without multicast. kept says that another program keeps the port to itself.
func hearing(n nic, heard map[voice]bool, kept bool) finding {
	f := finding{check: "multicast", subject: n.Name}
	var yes, no []string
	for _, v := range n.voices() {
		if heard[v] {
			yes = append(yes, v.String())
		} else {
			no = append(no, v.String())
		}
	}
	switch {
	case len(yes)+len(no) == 0:
		return finding{}
	case len(no) == 0:
		f.state, f.what = works, "hears itself by "+strings.Join(yes, " and ")
	case len(yes) == 0:
		f.state, f.what = trouble, "doesn't hear itself by "+strings.Join(no, " or ")
		f.fix = "let UDP port 5353 in and out in this device's firewall, to and from the local network"
		if kept {
			f.what += ": another program keeps UDP port 5353 to itself, so that nobody can find this device"
			f.fix = "end that program, or have it share the port, as programs that speak mDNS do"
		}
	default: // one is enough
		f.state, f.what = works, fmt.Sprintf("hears itself by %s, and not by %s", strings.Join(yes, " and "), strings.Join(no, " and "))
	}
	return f
}

// loopDatagrams sends a datagram to each address of this device, and returns what
// went wrong, by address: nil where it has arrived.
func loopDatagrams(ctx context.Context, nics []nic) map[netip.Addr]error {
	var all []netip.Addr
	for _, n := range nics {
		all = append(all, n.addrs...)
	}
	errs := make([]error, len(all))
	var under sync.WaitGroup
	for i, a := range all {
		under.Go(func() { errs[i] = loopDatagram(ctx, a) })
	}
	under.Wait()
	arrived := map[netip.Addr]error{}
	for i, a := range all {
		arrived[a] = errs[i]
	}
	return arrived
}

func loopDatagram(ctx context.Context, addr netip.Addr) error {
	here := net.UDPAddrFromAddrPort(netip.AddrPortFrom(addr, 0))
	listener, err := net.ListenUDP("udp", here)
	if err != nil {
		return err
	}
	defer listener.Close()
	sender, err := net.ListenUDP("udp", here)
	if err != nil {
		return err
	}
	defer sender.Close()
	word := []byte(rand.Text())
	end, _ := ctx.Deadline()
	buf := make([]byte, 64)
	for again := 100 * time.Millisecond; ; again *= 2 { // a datagram may get lost, also here
		if _, err := sender.WriteTo(word, listener.LocalAddr()); err != nil {
			return err
		}
		listener.SetReadDeadline(earlier(end, time.Now().Add(again)))
		n, _, err := listener.ReadFrom(buf)
		switch {
		case err == nil && string(buf[:n]) == string(word):
			return nil
		case !time.Now().Before(end):
			return errLost
		case err != nil && !isTimeout(err):
			return err
		}
	}
}

var errLost = errors.New("it gets lost")

func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}

func isTimeout(err error) bool {
	var n net.Error
	return errors.As(err, &n) && n.Timeout()
}

// arriving tells whether datagrams to an interface's addresses arrive.
func arriving(n nic, arrived map[netip.Addr]error) finding {
	f := finding{check: "udp", subject: n.Name}
	var yes []netip.Addr
	var no []string
	for _, a := range n.addrs {
		if err := arrived[a]; err == nil {
			yes = append(yes, a)
		} else {
			no = append(no, fmt.Sprintf("%s (%v)", a, err))
		}
	}
	switch {
	case len(no) == 0:
		f.state, f.what = works, "datagrams to "+join(yes)+" arrive"
	case len(yes) == 0:
		f.state, f.what = trouble, "no datagram arrives at "+strings.Join(no, ", ")
		f.fix = "let UDP in from the local network in this device's firewall"
	default:
		f.state, f.what = works, fmt.Sprintf("datagrams to %s arrive, and not those to %s", join(yes), strings.Join(no, ", "))
	}
	return f
}
