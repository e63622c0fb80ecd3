package relay_test

import (
	"bytes"
	"crypto/sha256"
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/sparekey/sparekey/noise/frame"
	"github.com/sparekey/sparekey/relay"
	"github.com/sparekey/sparekey/relay/wire"
)

// doors are all requests that need a capability, of one mailbox and candidate.
func doors(s share, c candidate) map[string]struct {
	method, path string
	body         []byte
	right        []auth
} {
	type door = struct {
		method, path string
		body         []byte
		right        []auth
	}
	return map[string]door{
		"view":            {"GET", s.mailbox().String(), nil, []auth{s.asLink()}},
		"offer":           {"PUT", s.at(wire.Offer).String(), frame.Append(nil, s.epoch(1)), []auth{s.asSender()}},
		"claim":           {"PUT", c.lane().String(), c.first(), []auth{s.asLink(), c.heir()}},
		"close":           {"DELETE", c.lane().String(), nil, []auth{s.asSender(), c.holder(), c.heir()}},
		"append, sender":  {"PUT", c.entry(wire.Sender, 0).String(), frame.Append(nil, c.data(0)), []auth{s.asSender()}},
		"append, recv":    {"PUT", c.entry(wire.Receiver, 2).String(), frame.Append(nil, c.data(2)), []auth{c.holder(), c.heir()}},
		"log of sender":   {"GET", c.log(wire.Sender).String(), nil, []auth{s.asSender(), c.holder(), c.heir()}},
		"log of receiver": {"GET", c.log(wire.Receiver).String(), nil, []auth{s.asSender(), c.holder(), c.heir()}},
		"claims":          {"GET", s.at(wire.Claims).String(), nil, []auth{s.asSender()}},
		"confirm":         {"PUT", s.at(wire.Confirm).String(), c.binding(), []auth{s.asSender()}},
	}
}

// unlike is the part of an answer that could tell one mailbox from another.
func unlike(a answer) (int, http.Header, []byte) {
	h := a.header.Clone()
	h.Del("Date")
	return a.status, h, a.body
}

func equal(a, b answer) bool {
	as, ah, ab := unlike(a)
	bs, bh, bb := unlike(b)
	if as != bs || !bytes.Equal(ab, bb) || len(ah) != len(bh) {
		return false
	}
	for k := range ah {
		if !slices.Equal(ah[k], bh[k]) {
			return false
		}
	}
	return true
}

func TestHTP02AbsentAndForbiddenMailboxesAnswerAlike(t *testing.T) {
	overBoth(t, func(c *relay.Config) { c.Quotas.Guesses = -1 }, func(t *testing.T, r *rig) {
		s, other, none := r.made("mine"), r.made("other"), newShare("none")
		c, strange := s.candidate("one"), other.candidate("strange")
		closed := s.candidate("closed")
		r.claimed(c)
		r.claimed(strange)
		r.want("a lane is closed", 204, "DELETE", closed.lane(), s.asSender(), frame.Append(nil, closed.taken()))
		wrong := sha256.Sum256([]byte("wrong"))
		keys := map[string]auth{
			"none": {}, "wrong": bearer(wrong), "zero": bearer([32]byte{}), "of another mailbox's sender": other.asSender(), "of another's link": other.asLink(),
			"of another's lane": strange.holder(), "of another's link and lane": strange.heir(), "the link": s.asLink(), "the sender": s.asSender(),
			"the device claim": c.holder(), "link and device claim": c.heir(), "link and a wrong claim": both(s.link, wrong), "wrong link, right claim": both(wrong, c.claim),
			"the claim twice": both(c.claim, c.claim), "a claim without a link": {device: &c.claim},
		}
		for _, lane := range []candidate{c, closed} {
			for name, d := range doors(s, lane) {
				if lane.c == closed.c && name == "claim" {
					continue // what the link may do, the closed lane or not: TestLanesAreBusyClosedAndFreed
				}
				for key, a := range keys {
					if allowed(d.right, a) || name == "claim" && a.bearer != nil && *a.bearer == s.link || lane.c == closed.c && allowed([]auth{lane.heir()}, a) || heirOfClosed(s, lane, closed, name, a) {
						continue
					}
					there := r.do(d.method, d.path, a, d.body)
					absent := r.do(d.method, doors(none, none.candidate("one"))[name].path, a, d.body)
					if !equal(there, absent) {
						t.Errorf("%s with %s: %d %s %v; and where nothing is: %d %s %v; want no difference",
							name, key, there.status, there.body, there.header, absent.status, absent.body, absent.header)
					}
					if there.status != 404 || there.problem(t).Type != wire.Absent {
						t.Errorf("%s with %s: got %d, want 404 absent", name, key, there.status)
					}
				}
			}
		}
		r.open("GET", s.at(wire.Claims).String(), s.asSender(), nil).want("nothing of it had an effect", c.handshake(), c.data(1))
	})
}

// heirOfClosed reports whether a request is one that the link's holder with any
// device claim may make of a lane that isn't open.
func heirOfClosed(s share, lane, closed candidate, name string, a auth) bool {
	if lane.c != closed.c || a.device == nil || a.bearer == nil || *a.bearer != s.link {
		return false
	}
	return slices.Contains([]string{"close", "append, recv", "log of sender", "log of receiver"}, name)
}

func allowed(right []auth, a auth) bool {
	return slices.ContainsFunc(right, func(b auth) bool {
		return a.bearer != nil && *a.bearer == *b.bearer && (b.device == nil || a.device != nil && *a.device == *b.device)
	})
}

func TestHTP02AbsentAndForbiddenMailboxesTakeTheSameTime(t *testing.T) {
	r := newRig(t, func(c *relay.Config) { c.Quotas.Guesses = -1 })
	s, none := r.made("mine"), newShare("none")
	for i := range 4 { // a mailbox with something in it
		r.claimed(s.candidate(string(rune('a' + i))))
	}
	wrong := bearer(sha256.Sum256([]byte("wrong")))
	const tries = 300
	var there, absent []time.Duration
	timed := func(p wire.Path) time.Duration {
		start := time.Now()
		r.want("a wrong capability", 404, "GET", p, wrong, nil)
		return time.Since(start)
	}
	for range tries {
		there = append(there, timed(s.mailbox()))
		absent = append(absent, timed(none.mailbox()))
	}
	slices.Sort(there)
	slices.Sort(absent)
	a, b := there[tries/2], absent[tries/2]
	if diff := (a - b).Abs(); diff > min(a, b)/4 {
		t.Errorf("half of the forbidden answers took %v, half of the absent ones %v; want no difference to speak of", a, b)
	}
	if b < time.Millisecond {
		t.Errorf("an absent answer took %v: nothing hides what the store does", b)
	}
}

func TestAHeldViewHidesWhatItMayNotShow(t *testing.T) {
	r := newRig(t)
	s, none := r.made("mine"), newShare("none")
	wrong := bearer(sha256.Sum256([]byte("wrong")))
	var answers []answer
	for _, p := range []wire.Path{s.mailbox(), none.mailbox()} {
		start := time.Now()
		got := r.do("GET", p.String()+"?wait=1", wrong, nil)
		answers = append(answers, got)
		if took := time.Since(start); got.status != 404 || took < time.Second {
			t.Errorf("a wrong capability must be held like an unknown id, for the whole wait: %d after %v", got.status, took)
		}
	}
	if !equal(answers[0], answers[1]) {
		t.Errorf("held and refused, the two are told apart: %v %v", answers[0], answers[1])
	}
}
