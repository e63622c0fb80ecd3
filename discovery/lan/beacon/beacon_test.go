package beacon

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/miekg/dns"
	"golang.org/x/net/bpf"
	"golang.org/x/net/dns/dnsmessage"
)

func TestInterfacesWorthAskingOnAreChosen(t *testing.T) {
	const up, multicast, loop = net.FlagUp, net.FlagMulticast, net.FlagLoopback
	at := func(name string, flags net.Flags, addrs ...string) place {
		var all []net.Addr
		for _, a := range addrs {
			ip, n, err := net.ParseCIDR(a)
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, &net.IPNet{IP: ip, Mask: n.Mask})
		}
		return newPlace(net.Interface{Name: name, Flags: flags}, all)
	}
	lo := at("lo", up|loop, "127.0.0.1/8", "::1/128")
	eth := at("eth0", up|multicast, "10.0.0.1/24", "fe80::1/64")
	for _, c := range []struct {
		what string
		all  []place
		want []string // name, and what it speaks
	}{
		{"a network, and not the loopback interface beside it", []place{lo, eth}, []string{"eth0 46"}},
		{"one IP version alone", []place{at("eth0", up|multicast, "10.0.0.1/24"), at("eth1", up|multicast, "fe80::1/64")}, []string{"eth0 4", "eth1 6"}},
		{"one that is down, has no address or no multicast", []place{lo, at("eth0", multicast, "10.0.0.1/24"), at("eth1", up|multicast), at("tun0", up, "10.0.0.1/24")}, []string{"lo 4"}},
		{"nothing", nil, nil},
		{"so many that it would be too much", slices.Repeat([]place{eth}, 100), slices.Repeat([]string{"eth0 46"}, maxPlaces)},
	} {
		var got []string
		for _, p := range choose(c.all) {
			speaks := map[[2]bool]string{{true, false}: "4", {false, true}: "6", {true, true}: "46"}[[2]bool{p.v4, p.v6}]
			got = append(got, p.ifi.Name+" "+speaks)
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("of %s: %q, want %q", c.what, got, c.want)
		}
	}
}

// TestSleepIsTold: that a machine slept is read
// off how far two clocks went, never off where they stand.
func TestSleepIsTold(t *testing.T) {
	for _, c := range []struct {
		what            string
		wall, monotonic time.Duration
		want            bool
	}{
		{"nothing happened", lookEvery, lookEvery, false},
		{"the machine was busy", time.Minute, time.Minute, false},
		{"it slept", 8*time.Hour + lookEvery, lookEvery, true},
		{"the wall clock was put right by a second", lookEvery + time.Second, lookEvery, false},
		{"and put back by five years", -5 * 365 * 24 * time.Hour, lookEvery, false},
	} {
		if got := slept(c.wall, c.monotonic); got != c.want {
			t.Errorf("%s: slept is %v", c.what, got)
		}
	}
}

// TestAskingGoesOnEverMoreRarelyAndAnewWhenSomethingChanged: it begins at once.
func TestAskingGoesOnEverMoreRarelyAndAnewWhenSomethingChanged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newAsker()
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		last := time.Now()
		asked := make(chan time.Time, 10)
		ended := make(chan error, 1)
		go func() {
			ended <- a.run(ctx, nil, func(bool) { asked <- time.Now() }, nil)
		}()
		within := func(from, to time.Duration) { // since the last question
			t.Helper()
			if len(asked) != 1 {
				t.Fatalf("asked %d times, want once, between %v and %v after %v", len(asked), from, to, last)
			}
			now := <-asked
			if now.Sub(last) < from || now.Sub(last) > to {
				t.Fatalf("asked at %v, want between %v and %v after %v", now, from, to, last)
			}
			last = now
		}
		synctest.Wait()
		within(0, 0)
		for _, wait := range []time.Duration{1, 2, 4, 8, 15, 15, 15} {
			time.Sleep(time.Until(last.Add(wait * time.Second * 9 / 8)))
			synctest.Wait()
			within(wait*time.Second, wait*time.Second*9/8)
		}
		changed := time.Since(last)
		signal(a.again)
		time.Sleep(together)
		synctest.Wait()
		within(changed, changed+together)
		time.Sleep(time.Until(last.Add(time.Second * 9 / 8)))
		synctest.Wait()
		within(time.Second, time.Second*9/8)
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
}

func TestSieveLetsEachTextThroughOnceAndNobodyMuch(t *testing.T) {
	var s sieve
	from := func(i int) netip.Addr { return netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)}) }
	one := answer{text: []byte("one"), from: from(1)}
	if !s.fresh(one) || s.fresh(one) {
		t.Error("a text goes through once")
	}
	if !s.fresh(answer{text: one.text, from: from(2)}) {
		t.Error("the same text from another address is another: the first may not be where it says")
	}
	through := 1
	for i := range 100 {
		if s.fresh(answer{text: fmt.Append(nil, i), from: from(1)}) {
			through++
		}
	}
	if through != maxHeardFrom {
		t.Errorf("%d texts from one address", through)
	}
	for i := range 1000 {
		s.fresh(answer{text: one.text, from: from(i)})
	}
	if len(s.heard) != maxHeard || len(s.from) > maxHeard {
		t.Errorf("%d texts from %d addresses", len(s.heard), len(s.from))
	}
}

func TestBudgetHoldsFewCauses(t *testing.T) {
	b := budget[int]{perSecond: 1e-9, atOnce: 2, causes: 10}
	for i := range 1000 {
		if first, second, third := b.allow(i), b.allow(i), b.allow(i); !first || !second || third {
			t.Fatalf("of cause %d: %v, %v, %v; want two", i, first, second, third)
		}
		if len(b.limits) > b.causes {
			t.Fatalf("%d causes are held", len(b.limits))
		}
	}
}

// TestOnlyOurMessagesPassTheFilter runs the filter's program on packets.
func TestOnlyOurMessagesPassTheFilter(t *testing.T) {
	question, err := packQuestion("_abcdefghijklmno._udp.local.", dnsmessage.ClassINET|unicast)
	if err != nil {
		t.Fatal(err)
	}
	m := new(dns.Msg)
	m.Response, m.Authoritative = true, true
	z := new(zone)
	z.add("_abcdefghijklmno._udp.local.", func(net.Interface) []byte { return []byte("hello") })
	m.Answer = newView(z, net.Interface{}).Records(dns.Question{Name: "_abcdefghijklmno._udp.local.", Qtype: dns.TypeTXT, Qclass: dns.ClassINET | unicast})
	answer, err := m.Pack()
	if err != nil {
		t.Fatal(err)
	}
	change := func(b []byte, at int, to byte) []byte {
		b = slices.Clone(b)
		b[at] = to
		return b
	}
	for _, c := range []struct {
		what             string
		message          []byte
		question, answer bool
	}{
		{"a question", question, true, false},
		{"an answer", answer, false, true},
		{"another opcode", change(question, 2, 0x28), false, false},
		{"a question with answers that are known", change(question, 7, 1), false, false},
		{"two questions", change(question, 5, 2), false, false},
		{"an error", change(answer, 3, 2), false, false},
		{"another service", change(question, 12, 9), false, false},
		{"by TCP", change(question, 30, 't'), false, false},
		{"cut short", question[:20], false, false},
		{"very long", append(slices.Clone(question), make([]byte, maxPacket)...), false, false},
	} {
		packet := append([]byte{0, 0, 0, 0, byte((len(c.message) + 8) >> 8), byte(len(c.message) + 8), 0, 0}, c.message...)
		for _, f := range []struct {
			name string
			kind kind
			want bool
		}{{"questions", questions, c.question}, {"answers", answers, c.answer}} {
			f.kind.toGroup = false // the machine below knows no IP header; TestOnlyTheRoomIsAnswered has one
			vm, err := bpf.NewVM(program(f.kind, ipv4Family))
			if err != nil {
				t.Fatal(err)
			}
			if n, err := vm.Run(packet); err != nil || n > 0 != f.want {
				t.Errorf("%s: the filter for %s lets %d bytes through, %v", c.what, f.name, n, err)
			}
		}
	}
}

func TestTagThatIsNoneIsRefused(t *testing.T) {
	for _, tag := range []string{"", "abc", "abcdefghijklmnop", "ABCDEFGHIJKLMNO", "abcdefghijklmn1", "abcdefghijklmn.", "abcdefghijklm\x00o"} {
		if name, err := nameOf(tag); err == nil {
			t.Errorf("%q is %q", tag, name)
		}
	}
}

// FuzzParseAnswer: what a stranger sends is read or refused, and what is read is
// what the library would pack for it.
func FuzzParseAnswer(f *testing.F) {
	z := new(zone)
	z.add("_abcdefghijklmno._udp.local.", func(net.Interface) []byte { return []byte("hello\x00\\\xff") })
	m := new(dns.Msg)
	m.Response = true
	m.Answer = newView(z, net.Interface{}).Records(dns.Question{Name: "_ABCDEFGHIJKLMNO._udp.local.", Qtype: dns.TypeTXT, Qclass: dns.ClassINET | unicast})
	b, err := m.Pack()
	if err != nil {
		f.Fatal(err)
	}
	if name, text, ok := parseAnswer(b); !ok || name != "_abcdefghijklmno._udp.local." || string(text) != "hello\x00\\\xff" {
		f.Fatalf("%q %q %v", name, text, ok)
	}
	f.Add(b)
	f.Add(b[:20])
	f.Fuzz(func(t *testing.T, packet []byte) {
		name, text, ok := parseAnswer(packet)
		if ok && (len(text) == 0 || len(text) > maxText || len(name) > 255) {
			t.Errorf("%q %q", name, text)
		}
	})
}
