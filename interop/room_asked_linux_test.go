package interop

import (
	"net/netip"
	"slices"
	"strings"
	"testing"

	"golang.org/x/net/dns/dnsmessage"
)

// A puzzle is a packet to port 5353 that is no question of the page, or is one.
type puzzle struct {
	name     string
	b        []byte
	to       netip.Addr // none: the group
	answered bool
}

// puzzlesOf makes packets that ask for a name, in ways that the page has and hasn't.
func puzzlesOf(k linkKeys, theirs netip.Addr) []puzzle {
	name := k.tag(theSender).name()
	good := packQuestion(name, true)
	change := func(f func(*dnsmessage.Message)) []byte {
		var m dnsmessage.Message
		if err := m.Unpack(good); err != nil {
			panic(err)
		}
		f(&m)
		return must(m.Pack())
	}
	txt := func(size int) dnsmessage.Resource {
		return dnsmessage.Resource{
			Header: dnsmessage.ResourceHeader{Name: dnsmessage.MustNewName(name), Class: dnsmessage.ClassINET},
			Body:   &dnsmessage.TXTResource{TXT: []string{strings.Repeat("x", size), strings.Repeat("x", size)}},
		}
	}
	return []puzzle{
		{"it is sent to the sender alone", good, theirs, false},
		{"the receiver is asked for", packQuestion(k.tag(theReceiver).name(), true), netip.Addr{}, false},
		{"another share is asked for", packQuestion(tag(random(9)).name(), true), netip.Addr{}, false},
		{"another type is asked for", change(func(m *dnsmessage.Message) { m.Questions[0].Type = dnsmessage.TypeSRV }), netip.Addr{}, false},
		{"two questions are asked", change(func(m *dnsmessage.Message) { m.Questions = append(m.Questions, m.Questions[0]) }), netip.Addr{}, false},
		{"it is an answer", change(func(m *dnsmessage.Message) { m.Response = true }), netip.Addr{}, false},
		{"it has more than 500 bytes", change(func(m *dnsmessage.Message) { m.Additionals = append(m.Additionals, txt(240)) }), netip.Addr{}, false},
		{"it ends in the middle", good[:len(good)-1], netip.Addr{}, false},
		{"it wants the group to be answered", packQuestion(name, false), netip.Addr{}, false},
		{"it is the question", good, netip.Addr{}, true},
		{"it has an id", change(func(m *dnsmessage.Message) { m.ID = 0x1234 }), netip.Addr{}, true},
	}
}

// TestTheRealSenderAnswersTheQuestionOfThePageAndNothingElse: each question has a port of
// its own, so that its answer can be told.
func TestTheRealSenderAnswersTheQuestionOfThePageAndNothingElse(t *testing.T) {
	r := newRoom(t, roomKinds[1])
	_, link := r.share(contentOf(13))
	k := r.keys(link)
	r.finds(k, theSender) // it answers by now
	theirs := netip.MustParseAddr("192.0.2.12")
	all := puzzlesOf(k, theirs)
	var ports []uint16
	var answered []socket
	for _, p := range all {
		s, c := r.asker()
		to := s.group()
		if p.to.IsValid() {
			to = netip.AddrPortFrom(p.to, mdnsPort)
		}
		r.ok(s.write(p.b, c.Index, to), p.name)
		ports = append(ports, s.port())
		if p.answered {
			answered = append(answered, s)
		}
	}
	for _, s := range answered { // the last, and questions are read in their order
		_, err := s.read()
		r.ok(err, "an answer comes")
	}
	for i, p := range all {
		answers := r.answersTo(netip.AddrPortFrom(netip.MustParseAddr("192.0.2.11"), ports[i]))
		if p.answered != (len(answers) == 1) {
			t.Errorf("%s: %d answers", p.name, len(answers))
		}
		for _, a := range answers {
			a.check(t, p, k)
		}
	}
	var toAll []sent
	r.until("the group is answered", func() bool {
		toAll = r.answersTo(netip.AddrPortFrom(group4, mdnsPort))
		return len(toAll) > 0
	})
	toAll[0].check(t, puzzle{name: "the group", b: packQuestion(k.tag(theSender).name(), false)}, k)
}

// A sent is a datagram with what its IP header says.
type sent struct {
	from    netip.AddrPort
	ttl     byte
	payload []byte
}

// answersTo are the answers of the real program's that were sent to an address of IPv4.
func (r *room) answersTo(to netip.AddrPort) (all []sent) {
	for _, f := range r.record.Frames() {
		d, ok := f.UDP()
		var m dnsmessage.Message
		if ok && d.To == to && d.From.Addr() == netip.MustParseAddr("192.0.2.12") && m.Unpack(d.Payload) == nil && m.Response {
			all = append(all, sent{d.From, f[14+8], d.Payload}) // Ethernet's header, and IPv4's up to the TTL
		}
	}
	return all
}

// check wants an answer to be as the page says.
func (a sent) check(t *testing.T, p puzzle, k linkKeys) {
	t.Helper()
	var m, asked dnsmessage.Message
	if err := m.Unpack(a.payload); err != nil {
		t.Fatal(err)
	}
	if err := asked.Unpack(p.b); err != nil {
		t.Fatal(err)
	}
	if a.from.Port() != mdnsPort || a.ttl != 1 {
		t.Errorf("%s: the answer comes from %v with an IP TTL of %d", p.name, a.from, a.ttl)
	}
	if len(m.Questions)+len(m.Authorities)+len(m.Additionals) > 0 || len(m.Answers) != 1 || m.Answers[0].Header.TTL != 1 || m.Answers[0].Header.Class != dnsmessage.ClassINET {
		t.Errorf("%s: the answer is %v", p.name, m.GoString())
	}
	if want := (dnsmessage.Header{ID: asked.ID, Response: true, Authoritative: true}); m.Header != want {
		t.Errorf("%s: its header is %v", p.name, m.Header)
	}
	text, ok := textOf(a.payload, k.tag(theSender).name())
	addrs, err := k.openText(theSender, text)
	if !ok || err != nil || !slices.ContainsFunc(addrs, func(x netip.AddrPort) bool { return x.Addr() == a.from.Addr() }) {
		t.Errorf("%s: the text leads to %v, %v", p.name, addrs, err)
	}
}

// asker opens a socket on our interface.
func (r *room) asker() (s socket, c card) {
	r.t.Helper()
	r.ok(r.ours.Do(func() error {
		all, err := cards()
		if err != nil {
			return err
		}
		c = all[0]
		s, err = openSocket(all, group4, false)
		return err
	}), "a socket is opened")
	r.t.Cleanup(func() { s.conn.Close() })
	return s, c
}

func (s socket) port() uint16 { return must(netip.ParseAddrPort(s.conn.LocalAddr().String())).Port() }
