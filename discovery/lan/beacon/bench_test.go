//go:build linux

package beacon

import (
	"net"
	"net/netip"
	"slices"
	"testing"
	"time"
)

// BenchmarkFinding measures, between two devices on a switch, the time from Ask
// to the first text, beside a round trip of UDP between the same hosts.
func BenchmarkFinding(b *testing.B) {
	r := newRoom(b, "switch")
	h, there := r.host(both), r.host(both)
	h.plug("eth0", "switch", "10.0.0.1/24")
	there.plug("eth0", "switch", "10.0.0.2/24")
	trip := roundTrip(b, there.socket(0), h.socket(7007), netip.MustParseAddrPort("10.0.0.1:7007"))
	alice, bob := h.start("alice"), there.start("bob")
	alice.answer(tag1, "hello")
	bob.tell("ask", tag2) // so that the ears are there, as with several shares
	var took, opened []time.Duration
	find := func() time.Duration {
		bob.tell("ask", tag1)
		e := bob.hears(tag1, "hello")
		bob.stop("ask", tag1)
		return e.Took
	}
	for b.Loop() {
		took = append(took, find())
	}
	bob.stop("ask", tag2)
	for range len(took) {
		opened = append(opened, find())
	}
	b.ReportMetric(micro(took), "µs/found")
	b.ReportMetric(micro(opened), "µs/found-first")
	b.ReportMetric(micro(trip), "µs/roundtrip")
}

func micro(all []time.Duration) float64 {
	slices.Sort(all)
	return float64(all[len(all)/2].Nanoseconds()) / 1000
}

func roundTrip(b *testing.B, here, there *net.UDPConn, to netip.AddrPort) (took []time.Duration) {
	b.Helper()
	buf := make([]byte, 100)
	for range 100 {
		start := time.Now()
		here.WriteToUDPAddrPort(buf, to)
		n, from, err := there.ReadFromUDPAddrPort(buf)
		if err != nil {
			b.Fatal(err)
		}
		there.WriteToUDPAddrPort(buf[:n], from)
		if _, _, err := here.ReadFromUDPAddrPort(buf); err != nil {
			b.Fatal(err)
		}
		took = append(took, time.Since(start))
	}
	return took
}

// BenchmarkWaiting measures what a device costs that answers for a tag nobody
// asks for: an operation is a second.
func BenchmarkWaiting(b *testing.B) {
	r := newRoom(b, "switch")
	h := r.host(both)
	h.plug("eth0", "switch", "10.0.0.1/24")
	w := r.tap(h.ports["eth0"])
	alice := h.start("alice")
	alice.answer(tag1, "hello")
	before := alice.weigh().CPU
	seconds := 0
	for b.Loop() {
		time.Sleep(time.Second)
		seconds++
	}
	perMinute := 60 / float64(seconds)
	b.ReportMetric(float64(len(w.all()))*perMinute, "packets/min")
	b.ReportMetric(float64(alice.weigh().CPU-before)*perMinute, "cpu-ms/min")
}
