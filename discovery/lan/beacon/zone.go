package beacon

import (
	"encoding/hex"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/miekg/dns"
	"golang.org/x/time/rate"
)

// A zone is every tag that is answered for, of all shares and on all interfaces.
type zone struct {
	mu    sync.RWMutex
	names map[string]*entry
}

// An entry is one tag that is answered for.
type entry struct {
	text    func(net.Interface) []byte
	budget  budget[int] // of answers, by the interface's number
	toGroup budget[int] // of those to the group
}

// What answering may cost. An answer is at most six times as long as its
// question, and anybody may ask in somebody else's name; but answers don't leave
// the link (see stay), where who floods is the flood already. So the bounds are
// such that who asks in earnest among many who don't is answered soon.
const (
	tagAnswersAtOnce = 200
	tagAnswersPerSec = 1000
	answersAtOnce    = 4096 // a thousand shares by two IP versions, asked for twice
	answersPerSec    = 2000
	questionsAtOnce  = 4096
	questionsPerSec  = 20_000 // looking at one costs some 4 µs
	answerTTL        = 1      // second: there is nothing to keep

	// What goes to the group goes to everybody in the room: once a second (RFC 6762,
	// section 6). Who asked meanwhile has heard it too.
	groupAnswersPerSec = 1
	maxText            = 255 // one string of a TXT record (RFC 1035, section 3.3)
)

func (z *zone) add(name string, text func(net.Interface) []byte) (remove func()) {
	e := &entry{
		text:    text,
		budget:  budget[int]{perSecond: tagAnswersPerSec, atOnce: tagAnswersAtOnce, causes: 2 * maxPlaces},
		toGroup: budget[int]{perSecond: groupAnswersPerSec, atOnce: 1, causes: 2 * maxPlaces},
	}
	z.mu.Lock()
	defer z.mu.Unlock()
	if z.names == nil {
		z.names = make(map[string]*entry)
	}
	z.names[name] = e
	return func() {
		z.mu.Lock()
		defer z.mu.Unlock()
		if z.names[name] == e { // else a later one answers for it
			delete(z.names, name)
		}
	}
}

// find finds who answers for a name.
func (z *zone) find(name string) *entry {
	z.mu.RLock()
	defer z.mu.RUnlock()
	return z.names[name]
}

// A view is the zone as one interface's server sees it. It also holds the
// server back: a server reads its next packet only when the view has returned,
// and what comes meanwhile is dropped by the system.
type view struct {
	zone      *zone
	ifi       net.Interface
	questions *rate.Limiter
	answers   *rate.Limiter
	closed    chan struct{}
	conns     atomic.Pointer[[]*net.UDPConn] // the server's, once it is known to have them
}

func newView(z *zone, ifi net.Interface) *view {
	return &view{
		zone:      z,
		ifi:       ifi,
		questions: rate.NewLimiter(questionsPerSec, questionsAtOnce),
		answers:   rate.NewLimiter(answersPerSec, answersAtOnce),
		closed:    make(chan struct{}),
	}
}

func (v *view) close() { close(v.closed) }

// Records answers one question, with one record or none. What is to be answered to the
// group it answers itself: the library sends every answer to who asked.
func (v *view) Records(q dns.Question) []dns.RR {
	if !v.pace(1) {
		return nil
	}
	if q.Qclass&^unicast != dns.ClassINET || q.Qtype != dns.TypeTXT && q.Qtype != dns.TypeANY {
		return nil
	}
	name := strings.ToLower(q.Name)
	e := v.zone.find(name)
	if e == nil || !e.budget.allow(v.ifi.Index) || !v.answers.Allow() {
		return nil
	}
	text := e.text(v.ifi)
	if len(text) == 0 || len(text) > maxText {
		return nil
	}
	if q.Qclass&unicast == 0 {
		if e.toGroup.allow(v.ifi.Index) {
			v.tellAll(name, text)
		}
		return nil
	}
	// A dns.TXT would read backslashes in the text; this record takes bytes.
	return []dns.RR{&dns.RFC3597{
		Hdr:   dns.RR_Header{Name: name, Rrtype: dns.TypeTXT, Class: dns.ClassINET, Ttl: answerTTL},
		Rdata: hex.EncodeToString(append([]byte{byte(len(text))}, text...)),
	}}
}

// tellAll answers the group, by both IP versions: who asks by one, asks by the other.
func (v *view) tellAll(name string, text []byte) {
	message, err := packAnswer(name, text)
	conns := v.conns.Load()
	if err != nil || conns == nil {
		return // it is asked again
	}
	for _, c := range *conns {
		c.WriteToUDPAddrPort(message, familyOf(c).at(v.ifi)) // it may get lost anywhere
	}
}

// pace waits until n more of the server's work may be done. It reports false if
// the server has been closed.
func (v *view) pace(n int) bool {
	r := v.questions.ReserveN(time.Now(), min(n, questionsAtOnce))
	wait := time.NewTimer(r.Delay())
	defer wait.Stop()
	select {
	case <-v.closed:
		return false
	case <-wait.C:
		return true
	}
}
