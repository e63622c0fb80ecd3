package quicpath

import (
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sparekey/sparekey/discovery"
)

func TestAPathFollowsADiallerWhoseAddressChanges(t *testing.T) {
	for _, first := range []string{"dialler", "listener"} {
		synctest.Test(t, func(t *testing.T) {
			n := newNetwork(time.Millisecond)
			sender, receiver := pair("moves")
			listens, dials := meet(t, n, sender, receiver)
			time.Sleep(time.Minute)
			n.move(bob, "198.51.100.2:22")
			if first == "listener" {
				time.Sleep(keepAlive) // its first packet tells where the dialler is now
			} else if err := give(t, dials, listens); err != nil {
				t.Errorf("what the dialler sends arrives: %v", err)
			}
			if err := give(t, listens, dials); err != nil {
				t.Errorf("the %s first: what the listener sends arrives: %v", first, err)
			}
			if s := listens.String(); s != "lan quic 198.51.100.2:22" {
				t.Errorf("the path is the one to the new address: %s", s)
			}
		})
	}
}

func TestAPathToAListenerWhoseAddressChangesFailsSoon(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork(time.Millisecond)
		sender, receiver := pair("moves away")
		_, dials := meet(t, n, sender, receiver)
		time.Sleep(time.Minute)
		n.move(alice, "198.51.100.1:11")
		start := time.Now()
		if err := dials.Send(t.Context(), frames(100)...); err == nil || time.Since(start) > 2*mute {
			t.Errorf("QUIC lets only a client move: the path fails, for a new one to be found: %v after %v", err, time.Since(start))
		}
	})
}

func TestAPathOutlivesANewAddressTranslation(t *testing.T) {
	sender, receiver := pair("translation")
	a, b := open(t), open(t)
	found := serve(t, a, sender)
	between := translate(t, at(a))
	p, err := b.Dial(within(t), between.front(), receiver)
	if err != nil {
		t.Fatal(err)
	}
	dials, listens := p.(discovery.Direct), next(t, found, "the listener's path").(discovery.Direct)
	before := listens.String()
	if !strings.HasPrefix(before, "lan quic 127.0.0.1:") {
		t.Errorf("a path says what it is: %s", before)
	}
	if err := give(t, dials, listens); err != nil {
		t.Fatal(err)
	}
	between.again(t)
	for range 2 {
		if err := give(t, dials, listens); err != nil {
			t.Fatal(err)
		}
		if err := give(t, listens, dials); err != nil {
			t.Fatal(err)
		}
	}
	if after := listens.String(); after == before {
		t.Errorf("the dialler is seen at another port now: %s", after)
	}
	dials.Close()
}

// A translation stands between a dialler and a listener, as a router does that
// writes its own address and port on what it passes on.
type translation struct {
	inner *net.UDPConn // where the dialler's packets come
	to    netip.AddrPort

	mu     sync.Mutex
	outer  *net.UDPConn // whose port the listener sees
	device netip.AddrPort
}

func translate(t *testing.T, to netip.AddrPort) *translation {
	t.Helper()
	tr := &translation{to: to, inner: loopback(t)}
	tr.again(t)
	go func() {
		b := make([]byte, 1<<16)
		for {
			n, from, err := tr.inner.ReadFromUDPAddrPort(b)
			if err != nil {
				return
			}
			tr.mu.Lock()
			tr.device = from
			tr.outer.WriteToUDPAddrPort(b[:n], tr.to)
			tr.mu.Unlock()
		}
	}()
	return tr
}

func loopback(t *testing.T) *net.UDPConn {
	t.Helper()
	c, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

func (tr *translation) front() netip.AddrPort { return tr.inner.LocalAddr().(*net.UDPAddr).AddrPort() }

// again forgets the port that was used, and uses another.
func (tr *translation) again(t *testing.T) {
	outer := loopback(t)
	tr.mu.Lock()
	if tr.outer != nil {
		tr.outer.Close()
	}
	tr.outer = outer
	tr.mu.Unlock()
	go func() {
		b := make([]byte, 1<<16)
		for {
			n, _, err := outer.ReadFromUDPAddrPort(b)
			if err != nil {
				return
			}
			tr.mu.Lock()
			tr.inner.WriteToUDPAddrPort(b[:n], tr.device)
			tr.mu.Unlock()
		}
	}()
}
