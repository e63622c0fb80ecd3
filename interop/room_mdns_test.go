package interop

import (
	"context"
	"net/netip"
	"time"

	"golang.org/x/net/dns/dnsmessage"
	"golang.org/x/time/rate"
)

// discovery/lan/PROTOCOL.md, section 2: question and answer.

const mdnsPort = 5353

var (
	group4 = netip.MustParseAddr("224.0.0.251")
	group6 = netip.MustParseAddr("ff02::fb")
)

// packQuestion asks for a name: TXT, IN with the bit that wants a unicast answer.
func packQuestion(name string) []byte {
	m := dnsmessage.Message{Questions: []dnsmessage.Question{{
		Name: dnsmessage.MustNewName(name), Type: dnsmessage.TypeTXT, Class: dnsmessage.ClassINET | unicastWanted,
	}}}
	return must(m.Pack())
}

const unicastWanted = 1 << 15

// isQuestion reports whether a message is nothing but that question; its id is for the answer.
func isQuestion(b []byte, name string) (id uint16, ok bool) {
	var m dnsmessage.Message
	if len(b) > 500 || m.Unpack(b) != nil || m.Response || len(m.Questions) != 1 || len(m.Answers)+len(m.Authorities)+len(m.Additionals) > 0 {
		return 0, false
	}
	q := m.Questions[0]
	return m.ID, q.Name.String() == name && q.Type == dnsmessage.TypeTXT && q.Class == dnsmessage.ClassINET|unicastWanted
}

// packAnswer answers with a text.
func packAnswer(id uint16, name string, text []byte) []byte {
	m := dnsmessage.Message{
		Header: dnsmessage.Header{ID: id, Response: true, Authoritative: true},
		Answers: []dnsmessage.Resource{{
			Header: dnsmessage.ResourceHeader{Name: dnsmessage.MustNewName(name), Class: dnsmessage.ClassINET, TTL: 1},
			Body:   &dnsmessage.TXTResource{TXT: []string{string(text)}},
		}},
	}
	return must(m.Pack())
}

// textOf returns the text for a name in a message.
func textOf(b []byte, name string) (text []byte, ok bool) {
	var m dnsmessage.Message
	if m.Unpack(b) != nil || !m.Response || len(m.Questions) > 0 || len(m.Answers) != 1 || m.Answers[0].Header.Name.String() != name {
		return nil, false
	}
	txt, ok := m.Answers[0].Body.(*dnsmessage.TXTResource)
	if !ok || len(txt.TXT) != 1 {
		return nil, false
	}
	return []byte(txt.TXT[0]), true
}

// answerer answers for this device's name, on the sockets until they are closed. Each
// interface has its own text.
func answerer(s socket, name string, text func(by int) []byte) {
	budget := map[int]*rate.Limiter{}
	for {
		p, err := s.read()
		if err != nil {
			return
		}
		id, ok := isQuestion(p.b, name)
		if !ok || !p.grouped {
			continue
		}
		if budget[p.by] == nil {
			budget[p.by] = rate.NewLimiter(1000, 1000)
		}
		if b := text(p.by); b != nil && budget[p.by].Allow() {
			s.write(packAnswer(id, name, b), p.by, p.from) // who can't be answered asks again
		}
	}
}

// asks asks for a name on all interfaces at once, and again ever more rarely, until ctx ends.
func asks(ctx context.Context, sockets []socket, all []card, name string) {
	for wait := time.Second; ; wait = min(2*wait, 15*time.Second) {
		for _, s := range sockets {
			to := netip.AddrPortFrom(group4, mdnsPort)
			if s.v6 != nil {
				to = netip.AddrPortFrom(group6, mdnsPort)
			}
			for _, c := range all {
				s.write(packQuestion(name), c.Index, to) // a card without such an address can't
			}
		}
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return
		}
	}
}
