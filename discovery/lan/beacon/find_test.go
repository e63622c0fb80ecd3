//go:build linux

package beacon

import (
	"fmt"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/miekg/dns"
	"github.com/sparekey/sparekey/simulations/wire"
)

// Tags of two shares.
const (
	tag1 = "abcdefghijklmno"
	tag2 = "pqrstuvwxyz2345"
)

// TestDevicesFindEachOther: whatever the room's network is made of, and
// though no host has a default route, one who asks hears the one who answers.
func TestDevicesFindEachOther(t *testing.T) {
	for _, c := range []struct {
		name   string
		speaks int
		here   []string // addresses of who answers
		there  []string // and of who asks
		from   func(netip.Addr) bool
	}{
		{"IPv4 alone", v4only, []string{"10.0.0.1/24"}, []string{"10.0.0.2/24"}, netip.Addr.Is4},
		{"IPv4 in two subnets", v4only, []string{"10.0.0.1/24"}, []string{"169.254.7.7/16"}, netip.Addr.Is4},
		{"IPv6 link-local alone", both, nil, nil, func(a netip.Addr) bool { return a.IsLinkLocalUnicast() && a.Zone() == "eth0" }},
		{"IPv4 and IPv6", both, []string{"10.0.0.1/24", "fd00::1/64"}, []string{"10.0.0.2/24", "fd00::2/64"}, netip.Addr.IsValid},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := newRoom(t, "switch")
			a, b := r.host(c.speaks), r.host(c.speaks)
			a.plug("eth0", "switch", c.here...)
			b.plug("eth0", "switch", c.there...)
			alice, bob := a.start("alice"), b.start("bob")
			alice.answer(tag1, "hello")
			bob.tell("ask", tag1)
			e := bob.hears(tag1, "hello")
			if from, err := netip.ParseAddr(e.Source); err != nil || !c.from(from) || e.Ifi != "eth0" {
				t.Errorf("heard from %s by %s: %+v", e.Source, e.Ifi, e)
			}
		})
	}
}

// TestTwoProcessesOnOneMachineFindEachOther: on a machine that is on a network,
// and on one that has its loopback interface only.
func TestTwoProcessesOnOneMachineFindEachOther(t *testing.T) {
	for _, c := range []struct {
		name  string
		addrs []string
		on    bool
		want  string
	}{
		{"no network", nil, false, "lo"},
		{"IPv4", []string{"10.0.0.1/24"}, true, "eth0"},
		{"IPv6", nil, true, "eth0"},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := newRoom(t, "switch")
			h := r.host(both)
			if c.on {
				h.plug("eth0", "switch", c.addrs...)
			}
			alice, bob := h.start("alice"), h.start("bob")
			alice.answer(tag1, "hello")
			bob.answer(tag2, "hi")
			bob.tell("ask", tag1)
			alice.tell("ask", tag2)
			for _, e := range []event{bob.hears(tag1, "hello"), alice.hears(tag2, "hi")} {
				if e.Ifi != c.want {
					t.Errorf("heard by %s: %+v", e.Ifi, e)
				}
			}
		})
	}
}

// TestPortIsShared with another program's responder on the same machine, whichever
// came first: both are heard and both answer.
func TestPortIsShared(t *testing.T) {
	r := newRoom(t, "switch")
	a, b := r.host(v4only), r.host(v4only)
	a.plug("eth0", "switch", "10.0.0.1/24")
	b.plug("eth0", "switch", "10.0.0.2/24")
	b.ip(nil, "route add 224.0.0.0/4 dev eth0")
	first, alice, second := a.start("first"), a.start("alice"), a.start("second")
	first.tell("printer", "_first._tcp")
	first.await("printing", func(e event) bool { return e.Event == "printing" })
	alice.answer(tag1, "hello")
	second.tell("printer", "_second._tcp")
	second.await("printing", func(e event) bool { return e.Event == "printing" })
	c := b.socket(0)
	c.SetDeadline(time.Now().Add(patience))
	for _, name := range []string{"_first._tcp.local.", "_" + tag1 + "._udp.local.", "_second._tcp.local."} {
		m := new(dns.Msg)
		m.SetQuestion(name, dns.TypeANY)
		m.Question[0].Qclass |= unicast
		q, err := m.Pack()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := c.WriteToUDPAddrPort(q, group); err != nil {
			t.Fatal(err)
		}
		buf := make([]byte, 1500)
		n, err := c.Read(buf)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if err := m.Unpack(buf[:n]); err != nil || len(m.Answer) == 0 || m.Answer[0].Header().Name != name {
			t.Errorf("%s is answered with %v, %v", name, m, err)
		}
	}
}

// TestPortThatIsTakenIsTriedAgain: a program that doesn't share the port keeps a
// device from answering by that IP version, as long as it runs.
func TestPortThatIsTakenIsTriedAgain(t *testing.T) {
	for _, c := range []struct {
		name   string
		speaks int
	}{{"IPv4 alone", v4only}, {"IPv4 and IPv6", both}} {
		t.Run(c.name, func(t *testing.T) {
			r := newRoom(t, "switch")
			a, b := r.host(c.speaks), r.host(c.speaks)
			a.plug("eth0", "switch", "10.0.0.1/24")
			b.plug("eth0", "switch", "10.0.0.2/24")
			taken := a.socket(mdnsPort)
			alice, bob := a.start("alice"), b.start("bob")
			alice.answer(tag1, "hello")
			bob.tell("ask", tag1)
			if c.speaks == both {
				if e := bob.hears(tag1, "hello"); e.Source == "10.0.0.1" {
					t.Errorf("the port isn't taken: %+v", e)
				}
			}
			taken.Close()
			bob.await("text by IPv4", func(e event) bool { return e.Event == "heard" && e.Source == "10.0.0.1" })
		})
	}
}

// TestEachNetworkIsToldItsOwnText: two devices are on two networks; what is said
// for one isn't told on the other, and a question is answered once.
func TestEachNetworkIsToldItsOwnText(t *testing.T) {
	r := newRoom(t, "wired", "wireless")
	a, b := r.host(both), r.host(both)
	a.plug("eth0", "wired", "10.0.0.1/24")
	a.plug("wlan0", "wireless", "10.1.0.1/24")
	b.plug("eth7", "wired", "10.0.0.2/24")
	b.plug("wlan7", "wireless", "10.1.0.2/24")
	alice, bob := a.start("alice"), b.start("bob")
	wired, wireless := r.tap(a.ports["eth0"]), r.tap(a.ports["wlan0"])
	alice.answer(tag1, "on-IFI")
	bob.tell("ask", tag1)
	for range 4 { // two networks, two IP versions
		e := bob.await("text", func(e event) bool { return e.Event == "heard" })
		if want := map[string]string{"eth7": "on-eth0", "wlan7": "on-wlan0"}[e.Ifi]; e.Text != want {
			t.Errorf("heard %q by %s, want %q", e.Text, e.Ifi, want)
		}
	}
	bob.stop("ask", tag1)
	for name, w := range map[string]*tap{"wired": wired, "wireless": wireless} {
		all := w.await("answer to each question", func(all []datagram) bool { return answersIn(all) >= questionsIn(all) })
		if q, a := questionsIn(all), answersIn(all); q == 0 || a != q {
			t.Errorf("%s: %d questions, %d answers", name, q, a)
		}
	}
}

// TestOneOfFourInterfacesIsRight: the other three are answered by nobody.
func TestOneOfFourInterfacesIsRight(t *testing.T) {
	r := newRoom(t, "lab", "attic", "garage", "kitchen")
	a, b := r.host(both), r.host(both)
	a.plug("eth0", "kitchen", "192.168.1.1/24")
	for i, s := range []string{"lab", "attic", "garage", "kitchen"} { // all of them the same subnet, as cheap routers have it
		b.plug([]string{"eth0", "eth1", "eth2", "eth3"}[i], s, "192.168.1.2/24")
	}
	alice, bob := a.start("alice"), b.start("bob")
	alice.answer(tag1, "hello")
	bob.tell("ask", tag1)
	for range 2 { // by IPv4 and by IPv6
		if e := bob.hears(tag1, "hello"); e.Ifi != "eth3" {
			t.Errorf("heard by %s: %+v", e.Ifi, e)
		}
	}
}

// TestInterfaceThatComesLaterIsUsed, at who answers and at who asks.
func TestInterfaceThatComesLaterIsUsed(t *testing.T) {
	r := newRoom(t, "switch", "elsewhere")
	a, b := r.host(both), r.host(both)
	a.plug("eth0", "elsewhere", "10.9.0.1/24")
	alice, bob := a.start("alice"), b.start("bob")
	alice.answer(tag1, "on-IFI")
	bob.tell("ask", tag1)
	a.plug("eth1", "switch", "10.0.0.1/24")
	b.plug("eth0", "switch", "10.0.0.2/24")
	bob.hears(tag1, "on-eth1")

	a.ip(nil, "link del eth1")
	a.plug("eth2", "switch", "10.0.0.1/24")
	bob.hears(tag1, "on-eth2")

	b.ip(nil, "link set eth0 down")
	b.plug("eth1", "switch", "10.0.0.2/24")
	bob.await("text by eth1", func(e event) bool { return e.Event == "heard" && e.Ifi == "eth1" && e.Text == "on-eth2" })
}

// TestAddressThatChangesIsHeardFrom: the asker goes on asking.
func TestAddressThatChangesIsHeardFrom(t *testing.T) {
	r := newRoom(t, "switch")
	a, b := r.host(v4only), r.host(v4only)
	a.plug("eth0", "switch", "10.0.0.1/24")
	b.plug("eth0", "switch", "10.0.0.2/24")
	alice, bob := a.start("alice"), b.start("bob")
	alice.answer(tag1, "hello")
	bob.tell("ask", tag1)
	bob.hears(tag1, "hello")
	a.ip(nil, "addr del 10.0.0.1/24 dev eth0")
	a.ip(nil, "addr add 10.0.3.1/16 dev eth0")
	bob.await("text from 10.0.3.1", func(e event) bool { return e.Event == "heard" && e.Source == "10.0.3.1" })
	b.ip(nil, "addr del 10.0.0.2/24 dev eth0")
	b.ip(nil, "addr add 172.16.0.2/16 dev eth0")
	bob.await("text again", func(e event) bool { return e.Event == "heard" })
}

// onWire starts two devices on a wire.
func onWire(t *testing.T, l wire.Link) (w *wire.Wire, alice, bob *remote) {
	t.Helper()
	w, err := wire.New(netip.MustParseAddr("10.0.0.1"), netip.MustParseAddr("10.0.0.2"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { w.Close() })
	w.Set(l)
	return w, startDevice(t, "alice", w.Host(0).Start), startDevice(t, "bob", w.Host(1).Start)
}

// TestFindingTakesOneRoundTrip: that it takes longer now and then proves nothing
// on a busy machine; that it once takes no longer does.
func TestFindingTakesOneRoundTrip(t *testing.T) {
	const trip = 100 * time.Millisecond
	_, alice, bob := onWire(t, wire.Link{Delay: trip / 2})
	alice.answer(tag1, "hello")
	var took []time.Duration
	for start := time.Now(); len(took) < 5 || slices.Min(took) > trip*11/10; {
		if time.Since(start) > patience {
			t.Fatalf("of %d findings the fastest took %v", len(took), slices.Min(took))
		}
		bob.tell("ask", tag1)
		took = append(took, bob.hears(tag1, "hello").Took)
		bob.stop("ask", tag1)
	}
	if slices.Min(took) < trip {
		t.Errorf("the wire is faster than it is: %v", took)
	}
	slices.Sort(took)
	t.Logf("a round trip of %v: fastest %v, median %v of %d", trip, took[0], took[len(took)/2], len(took))
}

// TestWireThatLostTheQuestionIsAskedAgain, and one that repeats and reorders.
func TestWireThatLostTheQuestionIsAskedAgain(t *testing.T) {
	w, alice, bob := onWire(t, wire.Link{Loss: 1})
	alice.answer(tag1, "hello")
	bob.tell("ask", tag1)
	bob.weigh() // it has begun to ask
	w.Set(wire.Link{Repeat: 1, Jitter: 20 * time.Millisecond, Seed: 7})
	bob.hears(tag1, "hello")
}

// TestAskerWhoseFirewallLetsInTheGroupAloneHears, and is heard by one who has the same.
func TestAskerWhoseFirewallLetsInTheGroupAloneHears(t *testing.T) {
	for _, c := range []struct {
		name   string
		behind []int
	}{{"who asks", []int{1}}, {"who answers", []int{0}}, {"both", []int{0, 1}}} {
		t.Run(c.name, func(t *testing.T) {
			s, err := wire.NewSwitch()
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { s.Close() })
			var stations, behind []*wire.Station
			for _, name := range []string{"alice", "bob"} {
				st, err := wire.NewStation(name)
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(func() { st.Close() })
				if _, err := s.Plug(st, "eth0"); err != nil {
					t.Fatal(err)
				}
				if err := st.IP(fmt.Sprintf("addr add 10.0.0.%d/24 dev eth0", 1+len(stations))); err != nil {
					t.Fatal(err)
				}
				stations = append(stations, st)
			}
			for _, i := range c.behind {
				behind = append(behind, stations[i])
			}
			s.Bar(wire.Firewall(behind...))
			alice, bob := startDevice(t, "alice", stations[0].Start), startDevice(t, "bob", stations[1].Start)
			alice.answer(tag1, "hello")
			bob.tell("ask", tag1)
			bob.hears(tag1, "hello")
			bob.hears(tag1, "hello") // by the other IP version
		})
	}
}
