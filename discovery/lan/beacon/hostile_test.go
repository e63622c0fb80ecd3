//go:build linux

package beacon

import (
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/net/dns/dnsmessage"
	"golang.org/x/time/rate"
)

// socket opens an IPv4 socket on the host.
func (h *host) socket(port int) (c *net.UDPConn) {
	h.t.Helper()
	h.do(func() (err error) {
		c, err = net.ListenUDP("udp4", &net.UDPAddr{Port: port})
		return err
	})
	h.t.Cleanup(func() { c.Close() })
	return c
}

// answerOf is an answer that anybody can make.
func answerOf(t *testing.T, tag, text string) []byte {
	t.Helper()
	m := dnsmessage.Message{
		Header: dnsmessage.Header{Response: true, Authoritative: true},
		Answers: []dnsmessage.Resource{{
			Header: dnsmessage.ResourceHeader{Name: dnsmessage.MustNewName("_" + tag + "._udp.local."), Class: dnsmessage.ClassINET},
			Body:   &dnsmessage.TXTResource{TXT: []string{text}},
		}},
	}
	b, err := m.Pack()
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func questionOf(t *testing.T, tag string) []byte {
	t.Helper()
	b, err := packQuestion("_"+tag+"._udp.local.", dnsmessage.ClassINET|unicast)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// repeat sends what a function makes, so often a second, until the test ends.
func repeat(t *testing.T, c *net.UDPConn, to netip.AddrPort, perSecond rate.Limit, next func(i int) []byte) (sent *atomic.Int64) {
	sent = new(atomic.Int64)
	limit := rate.NewLimiter(perSecond, 50)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for i := 0; limit.Wait(t.Context()) == nil; i++ {
			if _, err := c.WriteToUDPAddrPort(next(i), to); err == nil {
				sent.Add(1)
			}
		}
	}()
	t.Cleanup(func() { <-ended }) // the context has ended by then
	return sent
}

var group = netip.AddrPortFrom(ipv4Family.group, mdnsPort)

// TestNeighbourThatFloodsBlocksNobody: mallory answers every question of bob's,
// with old texts, new ones and garbage, asks alice for what she answers for and
// for all else, and sends both what is no message at all. Bob hears alice all
// the same, few of mallory's texts, and neither grows.
func TestNeighbourThatFloodsBlocksNobody(t *testing.T) {
	r := newRoom(t, "switch")
	a, b, m := r.host(v4only), r.host(v4only), r.host(v4only)
	a.plug("eth0", "switch", "10.0.0.1/24")
	b.plug("eth0", "switch", "10.0.0.2/24")
	m.plug("eth0", "switch", "10.0.0.3/24")
	m.ip(nil, "route add 224.0.0.0/4 dev eth0")
	w := r.tap(b.ports["eth0"])
	alice, bob := a.start("alice"), b.start("bob")
	bob.tell("ask", tag1)
	first := w.await("question", func(all []datagram) bool { return len(all) > 0 })[0]
	before := bob.weigh()

	asker := netip.AddrPortFrom(netip.MustParseAddr("10.0.0.2"), uint16(first.src))
	port := m.socket(mdnsPort)
	replay := answerOf(t, tag1, "again")
	answers := repeat(t, port, asker, 3000, func(i int) []byte {
		switch i % 3 {
		case 0:
			return replay
		case 1:
			return answerOf(t, tag1, fmt.Sprint("mallory", i))
		}
		return answerOf(t, tag2, fmt.Sprint("mallory", i))
	})
	bob.hears(tag1, "again")
	asked := questionOf(t, tag1)
	questions := repeat(t, m.socket(0), group, 1000, func(i int) []byte {
		if i%20 == 0 {
			return asked
		}
		return questionOf(t, numbered(i))
	})
	junk := repeat(t, m.socket(0), group, 500, func(i int) []byte { return mangled(asked, i) })
	more := repeat(t, port, asker, 500, func(i int) []byte { return mangled(replay, i) })

	alice.answer(tag1, "hello")
	bob.hears(tag1, "hello")
	after, other := bob.weigh(), alice.weigh()
	bob.stop("ask", tag1)
	heard := 0
	for _, e := range bob.seen {
		if e.Event == "heard" && e.Source == "10.0.0.3" {
			heard++
		}
	}
	rounds := 0
	for _, d := range w.all() {
		if d.src == first.src && d.from == first.from {
			rounds++
		}
	}
	t.Logf("sent %d answers, %d questions, %d and %d mangled; bob asked %d times, heard mallory %d times; bob %+v, alice %+v",
		answers.Load(), questions.Load(), junk.Load(), more.Load(), rounds, heard, after, other)
	if heard == 0 || heard > maxHeardFrom*rounds {
		t.Errorf("%d texts of mallory's were heard in %d rounds", heard, rounds)
	}
	if grown := after.HeapKiB - before.HeapKiB; grown > 2<<10 {
		t.Errorf("bob grew by %d KiB", grown)
	}
	if other.HeapKiB > 16<<10 {
		t.Errorf("alice holds %d KiB", other.HeapKiB)
	}
}

// mangled is a message with something wrong, but much of it right.
func mangled(message []byte, seed int) []byte {
	draw := rand.New(rand.NewPCG(uint64(seed), 1))
	b := append([]byte(nil), message...)
	switch draw.IntN(3) {
	case 0:
		b = b[:draw.IntN(len(b))]
	case 1:
		for range 1 + draw.IntN(4) {
			b[draw.IntN(len(b))] = byte(draw.Uint32())
		}
	case 2:
		b = append(b, make([]byte, draw.IntN(2000))...)
	}
	return b
}

// tapped has Alice answer for a tag, and returns a host beside her that can ask the group,
// and what goes over her cable.
func tapped(t *testing.T) (m *host, w *tap) {
	t.Helper()
	r := newRoom(t, "switch")
	a, m := r.host(v4only), r.host(v4only)
	a.plug("eth0", "switch", "10.0.0.1/24")
	m.plug("eth0", "switch", "10.0.0.3/24")
	m.ip(nil, "route add 224.0.0.0/4 dev eth0")
	w = r.tap(a.ports["eth0"])
	a.start("alice").answer(tag1, "hello")
	return m, w
}

// TestManyQuestionsMakeFewAnswers: nobody can use a waiting device to flood
// another.
func TestManyQuestionsMakeFewAnswers(t *testing.T) {
	m, w := tapped(t)
	begin := time.Now()
	question := questionOf(t, tag1)
	repeat(t, m.socket(0), group, 5000, func(int) []byte { return question })
	all := w.await("2000 questions and some answers", func(all []datagram) bool {
		return questionsIn(all) >= 2000 && answersIn(all) >= tagAnswersAtOnce
	})
	most := tagAnswersAtOnce + int(tagAnswersPerSec*time.Since(begin).Seconds()) + 1
	if n := answersIn(all); n > most {
		t.Errorf("%d questions made %d answers, want at most %d", questionsIn(all), n, most)
	}
}

// TestGroupIsAnsweredOnceASecond, however many ask: what goes there goes to everybody.
func TestGroupIsAnsweredOnceASecond(t *testing.T) {
	m, w := tapped(t)
	begin := time.Now()
	question, err := packQuestion("_"+tag1+"._udp.local.", dnsmessage.ClassINET)
	if err != nil {
		t.Fatal(err)
	}
	repeat(t, m.socket(mdnsPort), group, 1000, func(int) []byte { return question })
	all := w.await("1000 questions and three answers", func(all []datagram) bool { return questionsIn(all) >= 1000 && answersIn(all) >= 3 })
	if n, most := answersIn(all), 1+int(time.Since(begin).Seconds()*groupAnswersPerSec); n > most {
		t.Errorf("%d questions made %d answers, want at most %d", questionsIn(all), n, most)
	}
	for _, d := range all {
		if d.answers() && (d.dst != mdnsPort || d.ttl != 1) {
			t.Errorf("an answer went to port %d with TTL %d: %q", d.dst, d.ttl, d.payload)
		}
	}
}

// TestOnlyTheRoomIsAnswered: a question sent to this device alone may come from
// anywhere, and isn't answered.
func TestOnlyTheRoomIsAnswered(t *testing.T) {
	r := newRoom(t, "switch")
	a, m := r.host(v4only), r.host(v4only)
	a.plug("eth0", "switch", "10.0.0.1/24")
	m.plug("eth0", "switch", "10.0.0.3/24")
	m.ip(nil, "route add 224.0.0.0/4 dev eth0")
	alice := a.start("alice")
	alice.answer(tag1, "hello")
	alice.answer(tag2, "hi")
	c := m.socket(0)
	c.SetDeadline(time.Now().Add(patience))
	c.WriteToUDPAddrPort(questionOf(t, tag1), netip.MustParseAddrPort("10.0.0.1:5353"))
	c.WriteToUDPAddrPort(questionOf(t, tag2), group)
	buf := make([]byte, maxPacket)
	n, _, err := c.ReadFromUDPAddrPort(buf)
	if err != nil {
		t.Fatal(err)
	}
	if _, text, _ := parseAnswer(buf[:n]); string(text) != "hi" {
		t.Errorf("the first answer is %q", text)
	}
}
