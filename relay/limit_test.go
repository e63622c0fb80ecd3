package relay

import (
	"fmt"
	"net/netip"
	"testing"
	"time"
)

func TestALimitForgetsEverybodyAfterAnHour(t *testing.T) {
	l := newLimiter(Quotas{Creates: 1, CreateBurst: 2, Prefixes: 10}.withDefaults())
	now := time.Unix(1_800_000_000, 0)
	a := netip.MustParseAddr("192.0.2.7")
	for i := range 2 {
		if wait := l.create(a, now); wait != 0 {
			t.Fatalf("create %d of a burst of two must wait %v", i+1, wait)
		}
	}
	if wait := l.create(a, now); wait != time.Minute {
		t.Errorf("the third at once waits for a minute's one, got %v", wait)
	}
	if wait := l.guess(a, now); wait != 0 {
		t.Errorf("guesses are counted apart, got %v", wait)
	}
	if wait := l.create(a, now.Add(time.Minute)); wait != 0 {
		t.Errorf("who came too early loses nothing, got %v", wait)
	}
	key, name := l.key, l.name(a)
	later := now.Add(time.Hour)
	for range 2 {
		if wait := l.create(a, later); wait != 0 {
			t.Errorf("after the hour a whole burst is free again, got %v", wait)
		}
	}
	if l.key == key || l.name(a) == name {
		t.Error("the key must be another one, so that nobody is known by the old name")
	}
}

func TestALimitKnowsNetworksNotAddresses(t *testing.T) {
	l := newLimiter(Quotas{}.withDefaults())
	for pair, same := range map[[2]string]bool{
		{"192.0.2.1", "192.0.2.254"}:              true,
		{"192.0.2.1", "192.0.3.1"}:                false,
		{"192.0.2.1", "::ffff:192.0.2.9"}:         true,
		{"2001:db8:1:2::1", "2001:db8:1:ffff::9"}: true,
		{"2001:db8:1::1", "2001:db8:2::1"}:        false,
		{"fe80::1%eth0", "fe80::2%eth1"}:          true,
	} {
		a, b := netip.MustParseAddr(pair[0]), netip.MustParseAddr(pair[1])
		if (l.name(a) == l.name(b)) != same {
			t.Errorf("%v and %v: counted together is %v, want %v", a, b, !same, same)
		}
	}
	//lint:ignore SA4000 asked twice, it must say the same
	if l.name(netip.Addr{}) != l.name(netip.Addr{}) {
		t.Error("connections without an address are counted together")
	}
}

func TestALimitRemembersABoundedNumberOfNetworks(t *testing.T) {
	l := newLimiter(Quotas{Creates: 1, CreateBurst: 1, Prefixes: 8}.withDefaults())
	now := time.Unix(1_800_000_000, 0)
	often := netip.MustParseAddr("198.51.100.1")
	l.create(often, now)
	for i := range 1000 {
		l.create(netip.MustParseAddr(fmt.Sprintf("10.%d.%d.1", i/256, i%256)), now)
		if wait := l.create(often, now); wait == 0 {
			t.Fatalf("who comes all the time is the last to be forgotten; forgotten after %d others", i+1)
		}
	}
	if len(l.known) != 8 || l.recent.Len() != 8 {
		t.Errorf("%d networks in the map, %d in the list; want 8", len(l.known), l.recent.Len())
	}
}

func TestANegativeLimitIsNone(t *testing.T) {
	l := newLimiter(Quotas{Creates: -1, Guesses: -1}.withDefaults())
	a, now := netip.MustParseAddr("192.0.2.7"), time.Unix(1_800_000_000, 0)
	for range 10_000 {
		if l.create(a, now) != 0 || l.guess(a, now) != 0 {
			t.Fatal("without a limit nobody waits")
		}
	}
}
