package beacon

import (
	"strings"

	"golang.org/x/net/dns/dnsmessage"
)

// unicast is the bit of a question's class that says: answer me alone (RFC 6762,
// section 5.4).
const unicast = 1 << 15

// packQuestion is the message that asks for a name: class is ClassINET, with the
// unicast bit or without.
func packQuestion(name string, class dnsmessage.Class) ([]byte, error) {
	n, err := dnsmessage.NewName(name)
	if err != nil {
		return nil, err
	}
	m := dnsmessage.Message{Questions: []dnsmessage.Question{{Name: n, Type: dnsmessage.TypeTXT, Class: class}}}
	return m.Pack()
}

// packAnswer is the message that answers the group for a name.
func packAnswer(name string, text []byte) ([]byte, error) {
	n, err := dnsmessage.NewName(name)
	if err != nil {
		return nil, err
	}
	m := dnsmessage.Message{
		Header: dnsmessage.Header{Response: true, Authoritative: true},
		Answers: []dnsmessage.Resource{{
			Header: dnsmessage.ResourceHeader{Name: n, Class: dnsmessage.ClassINET, TTL: answerTTL},
			Body:   &dnsmessage.TXTResource{TXT: []string{string(text)}},
		}},
	}
	return m.Pack()
}

// parseAnswer reads an answer: a message whose first record is a TXT record of
// one string. What else it may hold isn't looked at.
func parseAnswer(packet []byte) (name string, text []byte, ok bool) {
	var p dnsmessage.Parser
	h, err := p.Start(packet)
	if err != nil || !h.Response || h.OpCode != 0 || h.RCode != dnsmessage.RCodeSuccess {
		return "", nil, false
	}
	if _, err := p.Question(); err != dnsmessage.ErrSectionDone { // RFC 6762, section 6
		return "", nil, false
	}
	r, err := p.AnswerHeader()
	if err != nil || r.Type != dnsmessage.TypeTXT || r.Class != dnsmessage.ClassINET {
		return "", nil, false
	}
	txt, err := p.TXTResource()
	if err != nil || len(txt.TXT) != 1 || txt.TXT[0] == "" {
		return "", nil, false
	}
	return strings.ToLower(r.Name.String()), []byte(txt.TXT[0]), true
}
