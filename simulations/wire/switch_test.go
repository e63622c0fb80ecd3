//go:build linux

package wire

import (
	"bytes"
	"context"
	"errors"
	"net"
	"net/netip"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// A pair is two stations on a switch; theirs are 192.0.2.1 and 192.0.2.2.
type pair struct {
	s     *Switch
	st    [2]*Station
	ports [2]*Port
}

func newPair(t *testing.T) *pair {
	t.Helper()
	s, err := NewSwitch()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	p := &pair{s: s}
	for i, name := range []string{"one", "two"} {
		if p.st[i], err = NewStation(name); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := p.st[i].Close(); err != nil {
				t.Error(err)
			}
		})
		if p.ports[i], err = s.Plug(p.st[i], "eth0"); err != nil {
			t.Fatal(err)
		}
		if err := p.st[i].IP("addr add " + pairAddrs[i] + "/24 dev eth0"); err != nil {
			t.Fatal(err)
		}
	}
	return p
}

var pairAddrs = [2]string{"192.0.2.1", "192.0.2.2"}

// listen opens a UDP socket on a station.
func (p *pair) listen(t *testing.T, i int, network, addr string) (c *net.UDPConn) {
	t.Helper()
	err := p.st[i].Do(func() (err error) {
		a, err := net.ResolveUDPAddr(network, addr)
		if err == nil {
			c, err = net.ListenUDP(network, a)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// comes sends a word until it arrives: the first may be lost while the hosts
// look for one another.
func comes(t *testing.T, from, to *net.UDPConn, addr net.Addr, word string) (at net.Addr) {
	t.Helper()
	b := make([]byte, 1500)
	for start := time.Now(); time.Since(start) < patience; {
		if _, err := from.WriteTo([]byte(word), addr); err != nil {
			t.Fatal(err)
		}
		to.SetReadDeadline(time.Now().Add(100 * time.Millisecond))
		n, at, err := to.ReadFrom(b)
		if err == nil && string(b[:n]) == word {
			return at
		}
	}
	t.Fatalf("%q from %v did not come to %v", word, from.LocalAddr(), addr)
	return nil
}

func TestStationsReachEachOtherByIPv4AndLinkLocalIPv6(t *testing.T) {
	p := newPair(t)
	a, b := p.listen(t, 0, "udp4", pairAddrs[0]+":0"), p.listen(t, 1, "udp4", pairAddrs[1]+":0")
	comes(t, a, b, b.LocalAddr(), "by IPv4")

	local := func(i int) netip.Addr { // RFC 4291 appendix A: the address that is made of the MAC
		m := p.ports[i].MAC
		return netip.AddrFrom16([16]byte{0xfe, 0x80, 8: m[0] ^ 2, m[1], m[2], 0xff, 0xfe, m[3], m[4], m[5]})
	}
	a, b = p.listen(t, 0, "udp6", "[::]:0"), p.listen(t, 1, "udp6", "[::]:0")
	zone := 0
	p.st[0].Do(func() error {
		i, err := net.InterfaceByName("eth0")
		if err == nil {
			zone = i.Index
		}
		return err
	})
	// The zone is a number: a name would be looked up in the test's own network.
	to := net.UDPAddrFromAddrPort(netip.AddrPortFrom(local(1), b.LocalAddr().(*net.UDPAddr).AddrPort().Port()))
	to.Zone = strconv.Itoa(zone)
	from := comes(t, a, b, to, "by IPv6").(*net.UDPAddr).AddrPort().Addr().WithZone("")
	if from != local(0) {
		t.Errorf("it came from %v, want %v", from, local(0))
	}
}

// TestRulesKeepBackWhatTheyNameAndNothingElse: what may pass arrives after what
// may not was sent, on a wire that keeps the order.
func TestRulesKeepBackWhatTheyNameAndNothingElse(t *testing.T) {
	p := newPair(t)
	a, b := p.listen(t, 0, "udp4", pairAddrs[0]+":0"), p.listen(t, 1, "udp4", pairAddrs[1]+":0")
	comes(t, a, b, b.LocalAddr(), "open")

	var group *net.UDPConn
	err := p.st[1].Do(func() error {
		i, err := net.InterfaceByName("eth0")
		if err != nil {
			return err
		}
		group, err = net.ListenMulticastUDP("udp4", i, &net.UDPAddr{IP: net.IPv4(224, 0, 0, 251)})
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	defer group.Close()
	toGroup := &net.UDPAddr{IP: net.IPv4(224, 0, 0, 251), Port: group.LocalAddr().(*net.UDPAddr).Port}

	kept := func(what string, rule Rule, b *net.UDPConn, to net.Addr) {
		t.Helper()
		p.s.Bar(rule)
		sent := p.s.Record()
		a.WriteTo([]byte(what), to)
		waitFor(t, sent, what)
		p.s.Bar()
		seen := make([]byte, 100)
		a.WriteTo([]byte("after"), to)
		for {
			b.SetReadDeadline(time.Now().Add(patience))
			n, err := b.Read(seen)
			if err != nil {
				t.Fatal(err)
			}
			if string(seen[:n]) == what {
				t.Errorf("%q came in spite of the rule", what)
			}
			if string(seen[:n]) == "after" {
				return
			}
		}
	}
	kept("no datagram", NoUDP, b, b.LocalAddr())
	kept("none to a group", NoMulticast, group, toGroup)
	kept("none that wasn't asked for", Firewall(p.st[1]), b, b.LocalAddr())
	kept("none to a group from any port", Firewall(p.st[1]), group, toGroup)
	other, err := NewStation("router")
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	kept("no neighbour", Isolate(other), b, b.LocalAddr())

	p.s.Bar(NoMulticast, Isolate(p.st[1]))
	comes(t, a, b, b.LocalAddr(), "to the router, not to a group")
}

// TestFirewallLetsInAnswersAndWhatMDNSSaysToAll, also where both are behind one: what
// the one has sent in vain lets the other's in.
func TestFirewallLetsInAnswersAndWhatMDNSSaysToAll(t *testing.T) {
	p := newPair(t)
	p.s.Bar(Firewall(p.st[0], p.st[1]))
	a, b := p.listen(t, 0, "udp4", pairAddrs[0]+":0"), p.listen(t, 1, "udp4", pairAddrs[1]+":0")
	sent := p.s.Record()
	a.WriteTo([]byte("in vain"), b.LocalAddr())
	waitFor(t, sent, "in vain")
	comes(t, b, a, a.LocalAddr(), "from where it was sent to")
	comes(t, a, b, b.LocalAddr(), "an answer")

	var all *net.UDPConn
	err := p.st[1].Do(func() error {
		i, err := net.InterfaceByName("eth0")
		if err == nil {
			all, err = net.ListenMulticastUDP("udp4", i, &net.UDPAddr{IP: net.IPv4(224, 0, 0, 251), Port: 5353})
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	defer all.Close()
	comes(t, p.listen(t, 0, "udp4", pairAddrs[0]+":5353"), all, &net.UDPAddr{IP: net.IPv4(224, 0, 0, 251), Port: 5353}, "to all")
}

// passed reports whether a recording has a datagram that carries a word.
func passed(r *Recording, word string) bool {
	return slices.ContainsFunc(r.Frames(), func(f Frame) bool {
		d, ok := f.UDP()
		return ok && string(d.Payload) == word
	})
}

// waitFor waits until a recording has a frame that ends with a word.
func waitFor(t *testing.T, r *Recording, word string) {
	t.Helper()
	defer r.Stop()
	for start := time.Now(); time.Since(start) < patience; time.Sleep(time.Millisecond) {
		if passed(r, word) {
			return
		}
	}
	t.Fatalf("%q was not sent", word)
}

func TestCutLosesAllUntilMended(t *testing.T) {
	p := newPair(t)
	a, b := p.listen(t, 0, "udp4", pairAddrs[0]+":0"), p.listen(t, 1, "udp4", pairAddrs[1]+":0")
	comes(t, a, b, b.LocalAddr(), "before")
	for _, port := range p.ports {
		port.Cut()
		sent := p.s.Record()
		a.WriteTo([]byte("while cut"), b.LocalAddr())
		waitFor(t, sent, "while cut")
		port.Mend()
		b.SetReadDeadline(time.Now().Add(50 * time.Millisecond))
		seen := make([]byte, 100)
		if n, err := b.Read(seen); err == nil && string(seen[:n]) == "while cut" {
			t.Errorf("%q came over a cable that was pulled at %s", seen[:n], port.Station.Name)
		}
		comes(t, a, b, b.LocalAddr(), "mended")
	}
}

func TestInterfacesComeAndGoWhileTheStationRuns(t *testing.T) {
	p := newPair(t)
	late, err := p.s.Plug(p.st[0], "eth1")
	if err != nil {
		t.Fatal(err)
	}
	devices := func() string {
		var out bytes.Buffer
		c := exec.Command("ip", "-o", "link")
		c.Stdout = &out
		if err := errors.Join(p.st[0].Start(c), c.Wait()); err != nil {
			t.Fatal(err)
		}
		return out.String()
	}
	if s := devices(); !strings.Contains(s, "eth0") || !strings.Contains(s, late.MAC.String()) {
		t.Errorf("eth1 was plugged in, and there is\n%s", s)
	}
	if err := late.Unplug(); err != nil {
		t.Fatal(err)
	}
	if s := devices(); strings.Contains(s, "eth1") {
		t.Errorf("eth1 was unplugged, and there is\n%s", s)
	}
}

// TestProgramsKnowTheirStationsNameAndEndWithIt: no program outlives the wire.
func TestProgramsKnowTheirStationsNameAndEndWithIt(t *testing.T) {
	st, err := NewStation("anna")
	if err != nil {
		t.Fatal(err)
	}
	var name bytes.Buffer
	c := exec.Command("uname", "-n")
	c.Stdout = &name
	if err := errors.Join(st.Start(c), c.Wait()); err != nil || name.String() != "anna\n" {
		t.Errorf("the host is called %q, %v; want anna", name.String(), err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	c = exec.CommandContext(ctx, "sleep", "infinity")
	if err := errors.Join(st.Start(c), st.Close()); err != nil {
		t.Fatal(err)
	}
	c.Wait()
	if status := c.ProcessState.Sys().(syscall.WaitStatus); ctx.Err() != nil || status.Signal() != syscall.SIGKILL {
		t.Errorf("the program ended with %v, %v; want that it is killed with its station", status, ctx.Err())
	}
	if err := st.IP("link"); err == nil {
		t.Error("a station that is closed still runs commands")
	}
}

// givenTo is the thread that gets what is begun on the process's first one: the
// first one initializes the packages.
var givenTo = func() (tid int) {
	onThreadOfItsOwn(func() { tid = unix.Gettid() })
	return tid
}()

// TestAStationNeverTakesTheFirstThread: the runtime parks a process's first thread
// in place of ending it, and the programs that it has started would live on.
func TestAStationNeverTakesTheFirstThread(t *testing.T) {
	if first := unix.Getpid(); givenTo == first {
		t.Errorf("the first thread, %d, keeps what needs one that ends", first)
	}
}
