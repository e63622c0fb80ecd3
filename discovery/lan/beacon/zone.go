package beacon

import (
	"encoding/hex"
	"net"
	"strings"
	"sync"
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
	text func(net.Interface) []byte

	mu      sync.Mutex
	budgets map[int]*rate.Limiter // by the interface's number
}

// What one tag may cost on one interface. An answer is six times as long as the
// question, and anybody may ask in somebody else's name: eight at once and ten a
// second make a poor amplifier. Two devices with four interfaces on one switch
// ask eight times at once.
const (
	answersAtOnce   = 8
	answersASecond  = 10
	maxBudgets      = 2 * maxPlaces
	answerTTL       = 1 // second: there is nothing to keep
	maxText         = 255
	questionsAtOnce = 4096 // a thousand shares on two IP versions, asked twice
	questionsPerSec = 2000
)

func (z *zone) add(name string, text func(net.Interface) []byte) (remove func()) {
	e := &entry{text: text, budgets: make(map[int]*rate.Limiter)}
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

// answer is the text behind a name on an interface, if there is one and it may
// be told now.
func (z *zone) answer(name string, ifi net.Interface) []byte {
	z.mu.RLock()
	e := z.names[name]
	z.mu.RUnlock()
	if e == nil || !e.budget(ifi.Index).Allow() {
		return nil
	}
	if text := e.text(ifi); len(text) <= maxText {
		return text
	}
	return nil
}

func (e *entry) budget(ifi int) *rate.Limiter {
	e.mu.Lock()
	defer e.mu.Unlock()
	l := e.budgets[ifi]
	if l == nil {
		if len(e.budgets) >= maxBudgets { // of interfaces long gone
			clear(e.budgets)
		}
		l = rate.NewLimiter(answersASecond, answersAtOnce)
		e.budgets[ifi] = l
	}
	return l
}

// A view is the zone as one interface's server sees it. It also holds the
// server back: a server reads its next packet only when the view has returned,
// and what comes meanwhile is dropped by the system.
type view struct {
	zone   *zone
	ifi    net.Interface
	limit  *rate.Limiter
	closed chan struct{}
}

func newView(z *zone, ifi net.Interface) *view {
	return &view{z, ifi, rate.NewLimiter(questionsPerSec, questionsAtOnce), make(chan struct{})}
}

func (v *view) close() { close(v.closed) }

// Records answers one question, with one record or none.
func (v *view) Records(q dns.Question) []dns.RR {
	if !v.pace(1) {
		return nil
	}
	const unicast = 1 << 15 // RFC 6762, section 5.4
	if q.Qclass&^unicast != dns.ClassINET || q.Qtype != dns.TypeTXT && q.Qtype != dns.TypeANY {
		return nil
	}
	name := strings.ToLower(q.Name)
	text := v.zone.answer(name, v.ifi)
	if len(text) == 0 {
		return nil
	}
	// A dns.TXT would read backslashes in the text; this record takes bytes.
	return []dns.RR{&dns.RFC3597{
		Hdr:   dns.RR_Header{Name: name, Rrtype: dns.TypeTXT, Class: dns.ClassINET, Ttl: answerTTL},
		Rdata: hex.EncodeToString(append([]byte{byte(len(text))}, text...)),
	}}
}

// pace waits until n more of the server's work may be done. It reports false if
// the server has been closed.
func (v *view) pace(n int) bool {
	r := v.limit.ReserveN(time.Now(), min(n, questionsAtOnce))
	wait := time.NewTimer(r.Delay())
	defer wait.Stop()
	select {
	case <-v.closed:
		return false
	case <-wait.C:
		return true
	}
}
