package relay_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sparekey/sparekey/noise/frame"
	"github.com/sparekey/sparekey/relay"
	"github.com/sparekey/sparekey/relay/wire"
)

// A door is a request that needs a capability, and the capabilities that open it.
type door struct {
	method, path string
	body         []byte
	right        []auth
}

// doors are all of them, of one mailbox and candidate.
func doors(s share, c candidate) map[string]door {
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
		r.want("a lane is closed", 204, "DELETE", closed.lane(), s.asSender(), frame.Append(nil, closed.taken()))
		r.claimed(c) // after the close: from here on no stream has anything to ask the store
		r.claimed(strange)
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
					r.store.asked()
					there := r.do(d.method, d.path, a, d.body)
					thereAsked := names(r.store.asked())
					absent := r.do(d.method, doors(none, none.candidate("one"))[name].path, a, d.body)
					if absentAsked := names(r.store.asked()); !slices.Equal(thereAsked, absentAsked) {
						t.Errorf("%s with %s: the store is asked %v, and where nothing is %v; want the same work", name, key, thereAsked, absentAsked)
					}
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

// slow is a Store that takes longer for mailboxes that are there, as on a disk.
type slow struct {
	relay.Store
	there, absent time.Duration
}

func (s slow) View(ctx context.Context, id frame.ShareID) (relay.Status, error) {
	st, err := s.Store.View(ctx, id)
	if err == nil {
		time.Sleep(s.there)
	} else {
		time.Sleep(s.absent)
	}
	return st, err
}

func TestHTP02AbsentAndForbiddenMailboxesTakeTheSameTime(t *testing.T) {
	for status, quotas := range map[int]relay.Quotas{404: {Guesses: -1}, 429: {Guesses: 1, GuessBurst: 1}} {
		t.Run(strconv.Itoa(status), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { sameTime(t, status, quotas) })
		})
	}
}

func sameTime(t *testing.T, status int, quotas relay.Quotas) {
	h := relay.NewHandler(relay.Config{
		Store: slow{relay.NewMemory(nil, relay.Limits{}), 700 * time.Microsecond, 20 * time.Microsecond}, Quotas: quotas,
	})
	s, none := newShare("mine"), newShare("none")
	serve(t, h, "PUT", s.mailbox().String(), auth{}, s.create())
	timed := func(d door, a auth) (int, time.Duration) {
		start := time.Now()
		w := serve(t, h, d.method, d.path, a, d.body)
		return w.Code, time.Since(start)
	}
	wrong := bearer(sha256.Sum256([]byte("wrong")))
	there, absent := doors(s, s.candidate("one")), doors(none, none.candidate("one"))
	timed(absent["view"], wrong) // the one guess that is free
	for name := range there {
		a, took := timed(there[name], wrong)
		b, tookToo := timed(absent[name], wrong)
		if a != status || b != status || took != tookToo {
			t.Errorf("%s with a wrong capability: %d after %v, and where nothing is %d after %v; want no difference", name, a, took, b, tookToo)
		}
	}
	if code, took := timed(there["view"], s.asLink()); code != 200 || took != 700*time.Microsecond {
		t.Errorf("who has the right one waits for the store alone: %d after %v", code, took)
	}
}

func TestHTP02NoSpellingOfACapabilityCostsLessThanAnother(t *testing.T) {
	r := newRig(t, func(c *relay.Config) { c.Quotas.Guesses = -1 })
	s := r.made("spellings")
	want := r.want("no capability", 404, "GET", s.mailbox(), auth{}, nil)
	right := wire.Bearer(s.link)
	for _, value := range []string{
		"", "Bearer", "Bearer ", right[:len(right)-1], right + "A", right + " ", "Basic " + right[7:], right[7:], "Bearer " + right, right + ", " + right,
		strings.ToUpper(right[:6]) + right[6:] + "=", strings.Replace(right, " ", "  ", 1), "Bearer " + strings.Repeat("A", 43), "Bearer " + strings.Repeat("x", 8<<10),
	} {
		r.store.asked()
		got := r.doWith(t.Context(), "GET", s.mailbox().String(), http.Header{"Authorization": {value}}, nil)
		if !equal(got, want) {
			t.Errorf("%.60q: got %d %v, want what no capability gets", value, got.status, got.header)
		}
		if asked := names(r.store.asked()); !slices.Equal(asked, []string{"View"}) {
			t.Errorf("%.60q: the store is asked %v, want one view whatever is shown", value, asked)
		}
	}
	twice := http.Header{"Authorization": {right, right}}
	if got := r.doWith(t.Context(), "GET", s.mailbox().String(), twice, nil); !equal(got, want) {
		t.Errorf("two capabilities are none: got %d", got.status)
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
