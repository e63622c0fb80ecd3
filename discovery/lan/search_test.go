package lan

import (
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sparekey/sparekey/discovery"
	"github.com/sparekey/sparekey/discovery/lan/quicpath"
	"github.com/sparekey/sparekey/noise/frame"
)

// LAN-01: a path that somebody makes and ends again and again has nobody ask without end.
func TestLAN01WhoLosesPathsAgainAndAgainAsksEverLater(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSearch()
		for _, want := range []time.Duration{1, 2, 4, 8, 15, 15} {
			s.begin(time.Now())
			if got := time.Until(s.next); got != want*time.Second {
				t.Errorf("it would ask again in %v, want %v", got, want*time.Second)
			}
		}
	})
}

// LAN-01: whatever is named to it, a device dials few addresses in a while, no one of
// them again and again, and fewer at one neighbour's word, so that there is room for
// another's.
func TestLAN01ADeviceDialsNoMoreThanItsBoundsAtAnybodysWord(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSearch()
		neighbour := func(n int) netip.Addr { return netip.AddrFrom4([4]byte{10, 0, byte(n >> 8), byte(n)}) }
		dials := func(by netip.Addr, port int) bool { return s.may(netip.AddrPortFrom(neighbour(1), uint16(port)), by) }
		for _, c := range []struct {
			said string
			by   func(n int) netip.Addr
			port func(n int) int
			want int
		}{
			{"one address by many neighbours", neighbour, func(int) int { return 1 }, 1},
			{"many addresses by one neighbour", func(int) netip.Addr { return neighbour(1) }, func(n int) int { return n + 1 }, maxRecentOf},
			{"many addresses by many neighbours", neighbour, func(n int) int { return n + 1 }, maxRecent},
		} {
			n := 0
			for i := range 1000 {
				if dials(c.by(i), c.port(i)) {
					n++
				}
			}
			if n != c.want {
				t.Errorf("%s: %d are dialled, want %d", c.said, n, c.want)
			}
			if len(s.recent) > maxRecent {
				t.Errorf("%s: %d are remembered", c.said, len(s.recent))
			}
			time.Sleep(restTime + 1)
		}
		for i := range maxRecentOf + 1 {
			dials(neighbour(1), i+1)
		}
		if !dials(neighbour(2), 1000) {
			t.Error("one neighbour leaves no room for another's word")
		}
	})
}

// A device answers by several addresses. One path to it is enough until it has had time
// to bear; another device's path is no reason to do without.
func TestWhoWaitsTakesOnePathToADeviceAndMoreWhereNothingComesOfIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		at := netip.MustParseAddrPort
		theirs := []netip.AddrPort{at("10.0.0.1:1"), at("[fe80::1%room]:1")}
		others := []netip.AddrPort{at("10.0.0.2:1")}
		s := newSearch()
		began := time.Now()
		bears := false
		s.meeting.Waits = func() time.Duration {
			if bears {
				return 0
			}
			return time.Since(began)
		}
		check := func(when string, of []netip.AddrPort, want bool) {
			t.Helper()
			if got := s.give(standing{at: of[0]}, of); got != want {
				t.Errorf("%s it takes a path there: %v, want %v", when, got, want)
			}
		}
		time.Sleep(time.Minute)
		check("without any", theirs, true)
		check("right behind the first", theirs, false)
		check("right behind the first", others, true)
		time.Sleep(answerWithin)
		check("when nothing has come of the first", theirs, true)
		bears = true
		check("when something has", theirs, false)
		check("when something has", others, false)
	})
}

// LAN-03: who is asked once and found, or by somebody who has left, asks for nobody.
func TestLAN03WhoIsAskedAsksOnlyWhileSomebodyAsksInVain(t *testing.T) {
	for name, c := range map[string]struct {
		then func(s *search)
		want bool
	}{
		"the asker has not had time to come": {func(s *search) { time.Sleep(comesWithin - 1) }, false},
		"it has had time, and not come":      {func(s *search) { time.Sleep(comesWithin) }, true},
		"it has left":                        {func(s *search) { time.Sleep(asksWithin + 1) }, false},
		"it goes on asking": {func(s *search) {
			for range 10 {
				time.Sleep(15 * time.Second)
				s.question(time.Now())
			}
		}, true},
		"it comes, and another question of its does after it": {func(s *search) {
			s.come(standing{})
			s.question(time.Now())
			time.Sleep(comesWithin)
		}, false},
		"it has come, and asks again": {func(s *search) {
			s.come(standing{})
			time.Sleep(comesWithin)
			s.question(time.Now())
			time.Sleep(comesWithin)
		}, true},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newSearch()
				s.meeting.Role, s.meeting.First = discovery.Sender, func() []frame.Frame { return nil }
				s.question(time.Now())
				c.then(s)
				if got := s.needsPath(); got != c.want {
					t.Errorf("it asks: %v, want %v", got, c.want)
				}
				if got := s.due(time.Now()) <= 0; got != c.want {
					t.Errorf("it is due: %v, want %v", got, c.want)
				}
			})
		})
	}
}

// A standing path is at an address, and does nothing.
type standing struct {
	quicpath.Path
	at netip.AddrPort
}

func (p standing) Remote() netip.AddrPort { return p.at }

func newSearch() *search {
	return &search{found: func(discovery.Path) {}, live: map[*given]bool{}, recent: map[netip.AddrPort]dialled{}, changed: make(chan struct{}, 1)}
}
