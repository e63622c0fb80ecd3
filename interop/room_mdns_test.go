package interop

import (
	"context"
	"net/netip"
	"sync"
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

// packQuestion asks for a name; alone: with the bit that wants a unicast answer.
func packQuestion(name string, alone bool) []byte {
	q := dnsmessage.Question{Name: dnsmessage.MustNewName(name), Type: dnsmessage.TypeTXT, Class: dnsmessage.ClassINET}
	if alone {
		q.Class |= unicastWanted
	}
	m := dnsmessage.Message{Questions: []dnsmessage.Question{q}}
	return must(m.Pack())
}

const unicastWanted = 1 << 15

// A question is what the answer needs of it.
type question struct {
	id    uint16
	alone bool
}

// isQuestion reports whether a message is nothing but a question for a name.
func isQuestion(b []byte, name string) (question, bool) {
	var m dnsmessage.Message
	if len(b) > 500 || m.Unpack(b) != nil || m.Response || len(m.Questions) != 1 || len(m.Answers)+len(m.Authorities)+len(m.Additionals) > 0 {
		return question{}, false
	}
	q := m.Questions[0]
	is := q.Name.String() == name && q.Type == dnsmessage.TypeTXT && q.Class&^unicastWanted == dnsmessage.ClassINET
	return question{m.ID, q.Class&unicastWanted != 0}, is
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

// An answerer answers for a name, on sockets of port 5353.
type answerer struct {
	name    string
	text    func(by int) []byte // what an interface is told
	sockets []socket
	mu      sync.Mutex
	budgets map[int]budget // of each interface
}

// A budget is what may be answered.
type budget struct{ alone, group *rate.Limiter }

// answer answers a packet, if it asks for the name and was sent to the group: to whoever
// has asked alone, or to the group by both versions of IP.
func (a *answerer) answer(s socket, p packet) {
	q, ok := isQuestion(p.b, a.name)
	if !ok || !p.grouped {
		return
	}
	text, left := a.text(p.by), a.budget(p.by)
	switch {
	case text == nil:
	case q.alone && left.alone.Allow():
		s.write(packAnswer(q.id, a.name, text), p.by, p.from) // who can't be told asks again
	case !q.alone && left.group.Allow():
		for _, s := range a.sockets {
			s.write(packAnswer(0, a.name, text), p.by, s.group())
		}
	}
}

func (a *answerer) budget(by int) budget {
	a.mu.Lock()
	defer a.mu.Unlock()
	if _, there := a.budgets[by]; !there {
		if a.budgets == nil {
			a.budgets = map[int]budget{}
		}
		a.budgets[by] = budget{rate.NewLimiter(1000, 1000), rate.NewLimiter(1, 1)}
	}
	return a.budgets[by]
}

// asks asks for a name on all interfaces at once, and again ever more rarely, until ctx
// ends: from any port, and but for the first time from port 5353 too.
func asks(ctx context.Context, anyPort, port5353 []socket, all []card, name string) {
	ask := func(sockets []socket, alone bool) {
		for _, s := range sockets {
			for _, c := range all {
				s.write(packQuestion(name, alone), c.Index, s.group()) // a card without such an address can't
			}
		}
	}
	ask(anyPort, true)
	for wait := time.Second; ; wait = min(2*wait, 15*time.Second) {
		select {
		case <-time.After(wait):
			ask(anyPort, true)
			ask(port5353, false)
		case <-ctx.Done():
			return
		}
	}
}
