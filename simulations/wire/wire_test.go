//go:build linux

package wire

import (
	"encoding/binary"
	"net"
	"net/netip"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var here, there = netip.MustParseAddr("127.80.0.1"), netip.MustParseAddr("127.80.0.2")

// patience bounds every wait of these tests, on the slowest machine.
const patience = time.Minute

func newWire(t *testing.T) *Wire {
	t.Helper()
	w, err := New(here, there)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := w.Close(); err != nil {
			t.Error(err)
		}
	})
	return w
}

// socket opens a UDP socket on a host.
func socket(t *testing.T, h *Host) (c *net.UDPConn) {
	t.Helper()
	err := h.Do(func() (err error) {
		c, err = net.ListenUDP("udp4", &net.UDPAddr{IP: h.Addr.AsSlice()})
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	c.SetDeadline(time.Now().Add(patience))
	return c
}

// number sends a datagram that says n.
func number(t *testing.T, from, to *net.UDPConn, n int) {
	t.Helper()
	if _, err := from.WriteTo(binary.BigEndian.AppendUint32(nil, uint32(n)), to.LocalAddr()); err != nil {
		t.Fatal(err)
	}
}

func read(t *testing.T, c *net.UDPConn) int {
	t.Helper()
	var b [4]byte
	if _, _, err := c.ReadFrom(b[:]); err != nil {
		t.Fatal(err)
	}
	return int(binary.BigEndian.Uint32(b[:]))
}

// TestNoPacketIsEarlyAndOneIsInTime sends one datagram after the other. That some
// packet is late proves nothing on a busy machine; that none is in time does.
func TestNoPacketIsEarlyAndOneIsInTime(t *testing.T) {
	w := newWire(t)
	a, b := socket(t, w.Host(0)), socket(t, w.Host(1))
	for _, delay := range []time.Duration{0, 3 * time.Millisecond, 25 * time.Millisecond} {
		w.Set(Link{Delay: delay})
		var took []time.Duration
		for start := time.Now(); len(took) < 20 || slices.Min(took) > delay+time.Millisecond; {
			if time.Since(start) > patience {
				t.Fatalf("of %d packets that take %v the fastest took %v", len(took), delay, slices.Min(took))
			}
			sent := time.Now()
			number(t, a, b, len(took))
			read(t, b)
			took = append(took, time.Since(sent))
		}
		if slices.Min(took) < delay {
			t.Errorf("a packet that takes %v took %v", delay, slices.Min(took))
		}
		slices.Sort(took)
		t.Logf("set %v: fastest %v, median %v of %d", delay, took[0], took[len(took)/2], len(took))
	}
}

// TestHandshakeIsDelayedToo: a connection is open to who asked after one round trip.
func TestHandshakeIsDelayedToo(t *testing.T) {
	w := newWire(t)
	const delay = 10 * time.Millisecond
	w.Set(Link{Delay: delay})
	var l net.Listener
	err := w.Host(1).Do(func() (err error) {
		l, err = net.Listen("tcp4", there.String()+":0")
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	start := time.Now()
	err = w.Host(0).Do(func() error {
		c, err := net.DialTimeout("tcp4", l.Addr().String(), patience)
		if err == nil {
			c.Close()
		}
		return err
	})
	if took := time.Since(start); err != nil || took < 2*delay {
		t.Errorf("a connection took %v, %v; a round trip takes %v", took, err, 2*delay)
	}
}

// last is the number of the datagrams that end a burst.
const last = 1 << 20

// burst sends n numbered datagrams, few enough for the socket's buffer, and
// enough last ones that some arrives. It returns what came before that.
func burst(t *testing.T, a, b *net.UDPConn, n int) (got []int) {
	t.Helper()
	for i := range n {
		number(t, a, b, i)
	}
	for range 20 {
		number(t, a, b, last)
	}
	for {
		switch i := read(t, b); {
		case i != last:
			got = append(got, i)
		case len(got) > 0: // those of the burst before don't end this one
			return got
		}
	}
}

func TestWithoutJitterPacketsKeepTheirOrder(t *testing.T) {
	w := newWire(t)
	a, b := socket(t, w.Host(0)), socket(t, w.Host(1))
	w.Set(Link{Delay: time.Millisecond})
	for range 10 {
		if got := burst(t, a, b, 50); len(got) != 50 || !slices.IsSorted(got) {
			t.Fatalf("in order were sent 0 to 49, and came %v", got)
		}
	}
}

func TestJitterReordersAndLosesNothing(t *testing.T) {
	w := newWire(t)
	a, b := socket(t, w.Host(0)), socket(t, w.Host(1))
	w.Set(Link{Delay: time.Millisecond, Jitter: 20 * time.Millisecond, Seed: 1})
	var got []int
	for i := range 50 {
		number(t, a, b, i)
	}
	for range 50 {
		got = append(got, read(t, b))
	}
	if slices.IsSorted(got) {
		t.Error("50 packets with 20 ms of jitter came in order")
	}
	slices.Sort(got)
	if len(slices.Compact(got)) != 50 {
		t.Errorf("sent were 0 to 49, and came %v", got)
	}
}

// TestAsManyPacketsAreLostAndRepeatedAsWasSaid wants the shares within five
// deviations; they are drawn from a seed, so it is always the same packets.
func TestAsManyPacketsAreLostAndRepeatedAsWasSaid(t *testing.T) {
	w := newWire(t)
	a, b := socket(t, w.Host(0)), socket(t, w.Host(1))
	w.Set(Link{Loss: 0.3, Repeat: 0.2, Seed: 2})
	const bursts, n = 20, 50
	came, twice := 0, 0
	for range bursts {
		got := burst(t, a, b, n)
		distinct := len(slices.Compact(slices.Clone(got)))
		came, twice = came+distinct, twice+len(got)-distinct
	}
	if lost := bursts*n - came; lost < 228 || lost > 372 { // 300 ± 5·√(1000·0.3·0.7)
		t.Errorf("of %d packets %d were lost, want about 3 in 10", bursts*n, lost)
	}
	if share := float64(twice) / float64(came); share < 0.12 || share > 0.28 { // 0.2 ± 5·√(0.2·0.8/700)
		t.Errorf("of %d packets that came %d came twice, want about 2 in 10", came, twice)
	}
}

// TestProgramsRunOnTheirHostAndReachNothingElse runs the kernel's own view of the host.
func TestProgramsRunOnTheirHostAndReachNothingElse(t *testing.T) {
	w := newWire(t)
	var out strings.Builder
	c := exec.Command("ip", "-o", "addr")
	c.Stdout = &out
	if err := w.Host(1).Start(c); err != nil {
		t.Fatal(err)
	}
	if err := c.Wait(); err != nil {
		t.Fatal(err)
	}
	if s := out.String(); !strings.Contains(s, there.String()) || strings.Contains(s, here.String()) || strings.Count(s, "\n") != 1 {
		t.Errorf("the host's addresses are\n%s\nwant %s alone", s, there)
	}
	c = exec.CommandContext(t.Context(), "ip", "-o", "link")
	if own, err := c.Output(); err != nil || strings.Contains(string(own), device) {
		t.Errorf("outside of the wire there are the devices %s, %v; want none of its", own, err)
	}
}
