package relay_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/sparekey/sparekey/noise/frame"
	"github.com/sparekey/sparekey/relay"
	"github.com/sparekey/sparekey/relay/storetest"
	"github.com/sparekey/sparekey/relay/wire"
)

func TestAShareGoesThroughAMailbox(t *testing.T) {
	overBoth(t, plain, func(t *testing.T, r *rig) {
		s := r.made("share")
		c := s.candidate("receiver")

		claims := r.open("GET", s.at(wire.Claims).String(), s.asSender(), nil)
		claims.want("a sender that subscribes to nothing learns that there is nothing")
		view := r.want("the link's holder sees the offer", 200, "GET", s.mailbox(), s.asLink(), nil)
		if fs := view.frames(t); len(fs) != 1 || !bytes.Equal(fs[0], s.offer) {
			t.Errorf("the view must be the offer alone, got %d frames", len(fs))
		}
		if left := view.header.Get(wire.HeaderExpires); left != "3600" {
			t.Errorf("the view must tell the seconds left, got %q", left)
		}

		grants := r.claimed(c)
		claims.want("handshake and claim reach the sender in one piece", c.handshake(), c.data(1))
		r.want("the sender confirms", 204, "PUT", s.at(wire.Confirm), s.asSender(), c.binding())
		r.want("the sender grants", 204, "PUT", c.entry(wire.Sender, 0), s.asSender(), frame.Append(nil, c.data(0), c.data(1)))
		grants.want("the grant comes on the open answer", c.data(0), c.data(1))
		r.want("the receiver says provisioned", 204, "PUT", c.entry(wire.Receiver, 2), c.holder(), frame.Append(nil, c.data(2)))
		claims.want("the sender hears it on its stream", c.data(2))

		r.want("the sender deletes", 204, "DELETE", s.mailbox(), auth{}, s.over())
		claims.end("a deleted mailbox ends its streams")
		grants.end("a deleted mailbox ends its streams")
		gone := r.want("what is deleted is gone", 410, "GET", s.mailbox(), s.asLink(), nil).problem(t)
		if gone.Type != wire.Gone || gone.Over == nil || !(frame.Proof{H: gone.Over.H, Over: gone.Over.Over}).Proves(s.id) {
			t.Errorf("410 must carry the pair that makes the id, got %+v", gone)
		}
	})
}

// writes are all writing requests of a share in an order in which they work.
func writes(s share) []struct {
	path   wire.Path
	method string
	auth   auth
	body   []byte
} {
	c, d := s.candidate("one"), s.candidate("two")
	type w = struct {
		path   wire.Path
		method string
		auth   auth
		body   []byte
	}
	next := wire.Path{Place: wire.Offer, ID: s.id, Seq: 1}
	return []w{
		{s.mailbox(), "PUT", auth{}, s.create()},
		{next, "PUT", s.asSender(), frame.Append(nil, s.epoch(1))},
		{c.entry(wire.Receiver, 2), "PUT", c.holder(), frame.Append(nil, c.data(2))},
		{c.entry(wire.Receiver, 0), "PUT", c.heir(), frame.Append(nil, c.handshake(), c.data(1), c.data(2), c.data(3))},
		{c.entry(wire.Sender, 0), "PUT", s.asSender(), frame.Append(nil, c.data(0), c.data(1))},
		{d.lane(), "DELETE", d.heir(), frame.Append(nil, d.taken())},
		{d.lane(), "DELETE", s.asSender(), frame.Append(nil, d.taken())},
		{d.lane(), "DELETE", d.heir(), nil},
		{s.at(wire.Confirm), "PUT", s.asSender(), c.bindingUnder(1)},
		{s.mailbox(), "DELETE", auth{}, s.over()},
	}
}

func TestEveryWritingRequestMayBeSentAgain(t *testing.T) {
	overBoth(t, plain, func(t *testing.T, r *rig) {
		s := newShare("again")
		c, d := s.candidate("one"), s.candidate("two")
		for i, w := range writes(s) {
			first := r.do(w.method, w.path.String(), w.auth, w.body)
			again := r.do(w.method, w.path.String(), w.auth, w.body)
			if first.status >= 300 || again.status != first.status || !bytes.Equal(again.body, first.body) {
				t.Fatalf("request %d, %s of the %v: %d %s, and again %d %s; want one good answer twice",
					i, w.method, w.path.Place, first.status, first.body, again.status, again.body)
			}
			if i == 1 { // the streams' requests are writes too
				for range 2 {
					r.claimed(c).close()
					r.claimed(d).close()
				}
			}
		}
		r.want("a deleted id stays refused", 410, "PUT", s.mailbox(), auth{}, s.create())
	})
}

func TestHTP01OtherBytesAtASeqAreRefusedAndTheFirstStay(t *testing.T) {
	overBoth(t, plain, func(t *testing.T, r *rig) {
		s := r.made("htp01")
		c := s.candidate("one")
		r.claimed(c)
		other := frame.New(frame.Data, c.c, 1, bytes.Repeat([]byte{0xee}, 288))
		forged := frame.New(frame.Handshake, c.c, 0, make([]byte, 1136))
		for why, q := range map[string]struct {
			seq    uint64
			frames []frame.Frame
		}{
			"other bytes":                  {1, []frame.Frame{other}},
			"other bytes before new ones":  {1, []frame.Frame{other, c.data(2)}},
			"other bytes behind known":     {0, []frame.Frame{c.handshake(), other}},
			"another length":               {1, []frame.Frame{frame.New(frame.Data, c.c, 1, make([]byte, 400))}},
			"another handshake":            {0, []frame.Frame{forged}},
			"a place behind the log's end": {7, []frame.Frame{c.data(7)}},
		} {
			p := r.want(why, 409, "PUT", c.entry(wire.Receiver, q.seq), c.holder(), frame.Append(nil, q.frames...)).problem(t)
			if p.Type != wire.Conflict {
				t.Errorf("%s: got %s, want a conflict", why, p.Type)
			}
		}
		r.want("another handshake in a claim", 409, "PUT", c.lane(), c.heir(), frame.Append(nil, forged, c.data(1)))
		claims := r.open("GET", s.at(wire.Claims).String(), s.asSender(), nil)
		claims.want("the stored bytes stay", c.handshake(), c.data(1))

		changed := newShare("htp01")
		changed.offer = changed.epoch(9)
		changed.offer[16] = 0
		r.want("another create under the id", 409, "PUT", s.mailbox(), auth{}, changed.create())
		next := wire.Path{Place: wire.Offer, ID: s.id, Seq: 1}
		r.want("the next epoch", 204, "PUT", next, s.asSender(), frame.Append(nil, s.epoch(1)))
		r.want("other bytes at an epoch", 409, "PUT", next, s.asSender(), frame.Append(nil, frame.New(frame.Offer, frame.Candidate{}, 1, make([]byte, 64))))
		next.Seq = 3
		r.want("an epoch left out", 409, "PUT", next, s.asSender(), frame.Append(nil, s.epoch(3)))
	})
}

func TestAFrameMustFitItsPath(t *testing.T) {
	r := newRig(t)
	s := r.made("fit")
	c, d := s.candidate("one"), s.candidate("two")
	r.claimed(c)
	ack := frame.New(frame.Ack, c.c, 2, make([]byte, 64))
	for why, q := range map[string]struct {
		path wire.Path
		auth auth
		body []byte
	}{
		"another candidate's frame":        {c.entry(wire.Receiver, 2), c.holder(), frame.Append(nil, d.data(2))},
		"another seq than the path's":      {c.entry(wire.Receiver, 2), c.holder(), frame.Append(nil, c.data(3))},
		"frames in no order":               {c.entry(wire.Receiver, 2), c.holder(), frame.Append(nil, c.data(3), c.data(2))},
		"data where the handshake belongs": {c.entry(wire.Receiver, 0), c.holder(), frame.Append(nil, c.data(0))},
		"a handshake from the sender":      {c.entry(wire.Sender, 0), s.asSender(), frame.Append(nil, c.handshake())},
		"an ack":                           {c.entry(wire.Receiver, 2), c.holder(), frame.Append(nil, ack)},
		"taken in a log":                   {c.entry(wire.Sender, 0), s.asSender(), frame.Append(nil, c.taken())},
		"nothing":                          {c.entry(wire.Receiver, 2), c.holder(), nil},
		"heartbeats alone":                 {c.entry(wire.Receiver, 2), c.holder(), make([]byte, 40)},
		"no frame":                         {c.entry(wire.Receiver, 2), c.holder(), []byte("{}{}{}{}")},
		"half a frame":                     {c.entry(wire.Receiver, 2), c.holder(), frame.Append(nil, c.data(2))[:100]},
		"a frame larger than frames are":   {c.entry(wire.Receiver, 2), c.holder(), frame.Append(nil, frame.New(frame.Data, c.c, 2, make([]byte, frame.MaxSize)))},
		"an offer of another epoch":        {wire.Path{Place: wire.Offer, ID: s.id, Seq: 1}, s.asSender(), frame.Append(nil, s.epoch(2))},
		"two offers":                       {wire.Path{Place: wire.Offer, ID: s.id, Seq: 1}, s.asSender(), frame.Append(nil, s.epoch(1), s.epoch(2))},
		"a claim without its handshake":    {d.lane(), d.heir(), frame.Append(nil, d.data(1))},
		"a claim of another candidate":     {d.lane(), d.heir(), c.first()},
		"a claim without a device claim":   {d.lane(), s.asLink(), d.first()},
		"a claim with nothing in it":       {d.lane(), d.heir(), nil},
		"a confirmation that is none":      {s.at(wire.Confirm), s.asSender(), []byte(`{"lane":"00"}`)},
		"a confirmation without its epoch": {s.at(wire.Confirm), s.asSender(), bytes.Replace(c.binding(), []byte(`"epoch":0,`), nil, 1)},
	} {
		got := r.do("PUT", q.path.String(), q.auth, q.body)
		if got.status != 400 || got.problem(t).Type != wire.Malformed {
			t.Errorf("%s: got %d %s, want 400 malformed", why, got.status, got.body)
		}
	}
	for why, body := range map[string][]byte{"data": frame.Append(nil, c.data(0)), "another's taken": frame.Append(nil, d.taken()), "two": frame.Append(nil, c.taken(), c.taken())} {
		if got := r.do("DELETE", c.lane().String(), s.asSender(), body); got.status != 400 {
			t.Errorf("a lane closed with %s: got %d, want 400", why, got.status)
		}
	}
	endless := make([]byte, wire.MaxBody+1)
	r.want("a body over its bound", 413, "PUT", c.entry(wire.Receiver, 2), c.holder(), endless)
	large := frame.New(frame.Offer, frame.Candidate{}, 1, make([]byte, wire.MaxOffer))
	r.want("an offer over its bound", 413, "PUT", wire.Path{Place: wire.Offer, ID: s.id, Seq: 1}, s.asSender(), frame.Append(nil, large))
	large = frame.New(frame.Taken, c.c, 0, make([]byte, wire.MaxClosing))
	r.want("a closing frame over its bound", 413, "DELETE", c.lane(), s.asSender(), frame.Append(nil, large))
	r.open("GET", s.at(wire.Claims).String(), s.asSender(), nil).want("nothing of it was stored", c.handshake(), c.data(1))
}

func TestHTP04OnlyTheExactPathLeadsAnywhere(t *testing.T) {
	overBoth(t, plain, func(t *testing.T, r *rig) {
		s := r.made("htp04")
		box := s.mailbox().String()
		id := s.id.String()
		r.store.asked()
		for _, path := range []string{
			"/", "//", "/v1", "/v1/", "/v1/mailboxes", "/v1/mailboxes/", "/v2/mailboxes/" + id, "/V1/mailboxes/" + id, "/v1/Mailboxes/" + id,
			box + "/", box + "//", "/" + box, strings.Replace(box, "/v1", "/v1/", 1), "/v1/./mailboxes/" + id, "/v1/mailboxes/x/../" + id,
			"/v1/mailboxes/%2e%2e/" + id, "/v1/mailboxes/" + id + "%00", "/v1/mailboxes/" + id + "%2fclaims", "/v1/mailboxes/" + id + "%20",
			"/v1/mailboxes/" + fmt.Sprintf("%%%02x", id[0]) + id[1:], strings.Replace(box, "v1", "%76%31", 1), box + "/%63laims",
			box + "/Claims", box + "/lanes/0102030405060708/Sender", box + "/lanes/AABBCCDDEEFF0011", box + "/offer/00", box + "/offer/0",
			box + ";x=1", "/v1/mailboxes/" + id + "é", "/v1/mailboxes/" + strings.Repeat("a", 10<<10), "/s/..", "/s/" + id + "/..", "/metrics", "/debug/pprof/",
		} {
			for _, method := range []string{"GET", "PUT", "DELETE", "POST"} {
				got := r.do(method, path, s.asLink(), s.create())
				if got.status != 404 && got.status != 400 {
					t.Errorf("%s %.60q: got %d, want 400 or 404", method, path, got.status)
				}
				if got.status == 404 && got.problem(t).Type != wire.NoCall {
					t.Errorf("%s %.60q: a path of no mailbox must not be answered as one: %s", method, path, got.body)
				}
			}
		}
		if calls := r.store.asked(); len(calls) != 0 {
			t.Errorf("no path but the exact one may reach the store; it was asked %v", names(calls))
		}
		r.want("the exact path still works", 200, "GET", s.mailbox(), s.asLink(), nil)
	})
}

func TestHTP05NumbersAreReadExactlyOrRefused(t *testing.T) {
	overBoth(t, plain, func(t *testing.T, r *rig) {
		s := r.made("htp05")
		c := s.candidate("one")
		r.claimed(c)
		for _, n := range []string{"-1", "", "+1", "01", "1.5", "1e3", "0x1", "one", "%31", "9007199254740992", "18446744073709551616", "18446744073709551617", strings.Repeat("9", 90), "٣", "1&from=1", "1&after=1&wait=1&known=1&x=1"} {
			for path, a := range map[string]auth{
				c.log(wire.Receiver).String() + "?from=" + n: s.asSender(),
				c.lane().String() + "?from=" + n:             c.heir(),
				s.at(wire.Claims).String() + "?after=" + n:   s.asSender(),
				s.mailbox().String() + "?wait=" + n:          s.asLink(),
				s.mailbox().String() + "?known=" + n + "":    s.asLink(),
				s.mailbox().String() + "?known=1&wait=" + n:  s.asLink(),
			} {
				method := "GET"
				if strings.Contains(path, "/lanes/") && !strings.Contains(path, "/receiver") {
					method = "PUT"
				}
				got := r.do(method, path, a, c.first())
				if got.status != 400 {
					t.Errorf("%s %.120s: got %d, want 400", method, path, got.status)
					continue
				}
				if typ := got.problem(t).Type; typ != wire.Malformed && typ != wire.OutOfRange {
					t.Errorf("%s %.120s: got %s", method, path, typ)
				}
			}
			if !strings.ContainsAny(n, "&%") && n != "" {
				got := r.do("PUT", c.log(wire.Receiver).String()+"/"+n, c.holder(), frame.Append(nil, c.data(1)))
				if got.status != 404 && got.status != 400 {
					t.Errorf("seq %s in a path: got %d, want 400 or 404", n, got.status)
				}
			}
		}
		for _, n := range []string{"-1", "0", "1.0", "1e1", "17", "18446744073709551617", `"4"`, "null", "true", "[4]", strings.Repeat("9", 400)} {
			body := strings.Replace(string(newShare("lanes").create()), `"lanes":4`, `"lanes":`+n, 1)
			got := r.do("PUT", newShare("lanes").mailbox().String(), auth{}, []byte(body))
			if got.status != 400 || got.problem(t).Detail == "" {
				t.Errorf("%.20s lanes: got %d %s, want 400 and why", n, got.status, got.body)
			}
		}
		last := c.entry(wire.Receiver, wire.MaxNumber)
		r.want("the largest seq leaves a gap", 409, "PUT", last, c.holder(), frame.Append(nil, c.data(wire.MaxNumber)))
		r.want("and nothing has a larger one", 400, "PUT", last, c.holder(), frame.Append(nil, c.data(wire.MaxNumber+1)))
		r.open("GET", c.log(wire.Receiver).String()+"?from=9007199254740991", s.asSender(), nil).want("so far ahead nothing is written yet")
		r.open("GET", s.at(wire.Claims).String(), s.asSender(), nil).want("nothing of it had an effect", c.handshake(), c.data(1))
		if got := r.do("GET", s.mailbox().String()+"?wait=121", s.asLink(), nil); got.status != 400 || got.problem(t).Type != wire.OutOfRange {
			t.Errorf("a wait over its bound: got %d %s", got.status, got.body)
		}
	})
}

func TestQTA03ATTLIsWithinItsBounds(t *testing.T) {
	r := newRig(t)
	for i, c := range []struct {
		ttl    string
		status int
		left   string
	}{
		{`,"ttl":0`, 400, ""}, {`,"ttl":-1`, 400, ""}, {`,"ttl":691200`, 400, ""}, {`,"ttl":1.5`, 400, ""}, {`,"ttl":18446744073709551617`, 400, ""},
		{``, 201, "86400"}, {`,"ttl":1`, 201, "1"}, {`,"ttl":604800`, 201, "604800"},
	} {
		s := newShare("qta03" + strconv.Itoa(i))
		body := strings.Replace(string(s.create()), `,"ttl":3600`, c.ttl, 1)
		got := r.want("ttl "+c.ttl, c.status, "PUT", s.mailbox(), auth{}, []byte(body))
		if left := got.header.Get(wire.HeaderExpires); left != c.left {
			t.Errorf("ttl %q: %s seconds left, want %s", c.ttl, left, c.left)
		}
		if c.status == 400 {
			got.problem(t)
			r.want("what was refused isn't there", 404, "GET", s.mailbox(), s.asLink(), nil)
		}
	}
}

func TestACreateMustShowWhatMakesItsID(t *testing.T) {
	r := newRig(t)
	s, other := newShare("mine"), newShare("theirs")
	if p := r.want("a squatter's create", 403, "PUT", s.mailbox(), auth{}, other.create()).problem(t); p.Type != wire.Unproven {
		t.Errorf("got %s, want unproven", p.Type)
	}
	for why, spoil := range map[string]func(*share){
		"an offer of epoch 1":   func(s *share) { s.offer = s.epoch(1) },
		"a data frame as offer": func(s *share) { s.offer = s.candidate("x").data(0) },
		"no frame":              func(s *share) { s.offer = []byte{1, 2, 3} },
	} {
		c := s
		spoil(&c)
		r.want(why, 400, "PUT", s.mailbox(), auth{}, c.create())
	}
	r.want("a body over its bound", 413, "PUT", s.mailbox(), auth{}, append(s.create(), bytes.Repeat([]byte{' '}, wire.MaxJSON)...))
	r.want("the id is still free", 201, "PUT", s.mailbox(), auth{}, s.create())
}

func TestADeleteMustShowTheProof(t *testing.T) {
	r := newRig(t)
	s, other := r.made("mine"), newShare("theirs")
	for _, body := range [][]byte{other.over(), wire.Proof{H: s.proof.H}.Body(), wire.Proof{Over: s.proof.Over}.Body()} {
		if p := r.want("a delete without the proof", 403, "DELETE", s.mailbox(), s.asSender(), body).problem(t); p.Type != wire.Unproven {
			t.Errorf("got %s, want unproven", p.Type)
		}
	}
	r.want("a delete with half a body", 400, "DELETE", s.mailbox(), s.asSender(), []byte(`{"h":`))
	r.want("the mailbox is whole", 200, "GET", s.mailbox(), s.asLink(), nil)
	r.want("nobody's id can't be deleted", 404, "DELETE", other.mailbox(), auth{}, other.over())
}

func TestACreateAgainProlongsNothing(t *testing.T) {
	r := newRig(t)
	s := r.made("again")
	r.clock.Advance(20*time.Minute + 500*time.Millisecond)
	got := r.want("the same create again", 201, "PUT", s.mailbox(), auth{}, s.create())
	if left := got.header.Get(wire.HeaderExpires); left != "2399" {
		t.Errorf("after 20 minutes of an hour %s seconds are left, want 2399", left)
	}
	r.clock.Advance(40 * time.Minute)
	r.want("its time is up", 404, "GET", s.mailbox(), s.asLink(), nil)
}

// late is a Store whose creates take as long as the mailbox lives.
type late struct {
	relay.Store
	clock *storetest.Clock
}

func (l late) Create(ctx context.Context, id frame.ShareID, m relay.Mailbox) error {
	err := l.Store.Create(ctx, id, m)
	l.clock.Advance(m.TTL)
	return err
}

func TestACreateThatTookLongerThanItsTTLIsTriedAgain(t *testing.T) {
	clock := storetest.NewClock()
	r := newRig(t, func(c *relay.Config) {
		c.Now, c.Store = clock.Now, late{relay.NewMemory(clock.Now, relay.Limits{}), clock}
	})
	s := newShare("late")
	got := r.want("a create that nobody can use", 503, "PUT", s.mailbox(), auth{}, s.create())
	if p := got.problem(t); p.Type != wire.Unavailable || got.header.Get("Retry-After") == "" {
		t.Errorf("got %s %v, want unavailable and when to try again", p.Type, got.header)
	}
}

func TestLanesAreBusyClosedAndFreed(t *testing.T) {
	r := newRig(t)
	s := r.made("lanes")
	var lanes []candidate
	for i := range 5 {
		lanes = append(lanes, s.candidate(strconv.Itoa(i)))
	}
	open := r.claimed(lanes[0])
	for _, c := range lanes[1:4] {
		r.claimed(c)
	}
	if p := r.want("a fifth lane of four", 409, "PUT", lanes[4].lane(), lanes[4].heir(), lanes[4].first()).problem(t); p.Type != wire.Busy {
		t.Errorf("got %s, want busy", p.Type)
	}
	thief := lanes[0]
	thief.claim = sha256.Sum256([]byte("thief"))
	r.want("a lane that another device claim holds", 404, "PUT", thief.lane(), thief.heir(), thief.first())
	r.want("nor may the link alone close it", 404, "DELETE", thief.lane(), thief.heir(), nil)
	r.want("nor read it", 404, "GET", thief.log(wire.Sender), thief.heir(), nil)

	r.want("the sender refuses one", 204, "DELETE", lanes[0].lane(), s.asSender(), frame.Append(nil, lanes[0].taken()))
	open.end("its closing frame is the last of the stream", lanes[0].taken())
	for why, q := range map[string]struct {
		method string
		path   wire.Path
		auth   auth
		body   []byte
	}{
		"opening it again":                {"PUT", lanes[0].lane(), lanes[0].heir(), lanes[0].first()},
		"appending to it":                 {"PUT", lanes[0].entry(wire.Receiver, 2), lanes[0].heir(), frame.Append(nil, lanes[0].data(2))},
		"reading it":                      {"GET", lanes[0].log(wire.Sender), lanes[0].heir(), nil},
		"the sender's append":             {"PUT", lanes[0].entry(wire.Sender, 0), s.asSender(), frame.Append(nil, lanes[0].data(0))},
		"the sender's read":               {"GET", lanes[0].log(wire.Receiver), s.asSender(), nil},
		"another closing by its receiver": {"DELETE", lanes[0].lane(), lanes[0].heir(), frame.Append(nil, frame.New(frame.Taken, lanes[0].c, 0, make([]byte, 64)))},
	} {
		p := r.want(why, 409, q.method, q.path, q.auth, q.body).problem(t)
		if p.Type != wire.Closed || !bytes.Equal(p.Closing, lanes[0].taken()) {
			t.Errorf("%s: got %s with closing %.20x, want closed with the sender's frame", why, p.Type, p.Closing)
		}
	}
	r.want("with the device claim alone it is as if nothing were there", 404, "GET", lanes[0].log(wire.Sender), lanes[0].holder(), nil)
	r.claimed(lanes[4])

	quiet := r.open("GET", lanes[1].log(wire.Sender).String(), lanes[1].holder(), nil)
	quiet.want("nothing yet")
	r.want("its holder withdraws another", 204, "DELETE", lanes[1].lane(), lanes[1].holder(), nil)
	quiet.end("a shut closes without a word")
}

func TestAConfirmedMailboxTakesNobodyElse(t *testing.T) {
	r := newRig(t)
	s := r.made("confirm")
	c, d := s.candidate("one"), s.candidate("two")
	r.want("a lane closed before", 204, "DELETE", c.lane(), s.asSender(), frame.Append(nil, c.taken()))
	r.want("is confirmed all the same: its claim came in the room", 204, "PUT", s.at(wire.Confirm), s.asSender(), c.binding())
	r.want("another confirmation", 409, "PUT", s.at(wire.Confirm), s.asSender(), d.binding())
	if p := r.want("another candidate", 409, "PUT", d.lane(), d.heir(), d.first()).problem(t); p.Type != wire.Busy {
		t.Errorf("got %s, want busy", p.Type)
	}
	r.want("the confirmed lane isn't closed", 409, "DELETE", c.lane(), s.asSender(), nil)
	r.claimed(c)
	r.want("the next offer", 204, "PUT", wire.Path{Place: wire.Offer, ID: s.id, Seq: 1}, s.asSender(), frame.Append(nil, s.epoch(1)))
	late := r.want("the confirmation before it, which comes late", 409, "PUT", s.at(wire.Confirm), s.asSender(), c.binding()).problem(t)
	if late.Type != wire.Conflict {
		t.Errorf("got %s, want a conflict", late.Type)
	}
	r.claimed(d)
	r.want("is confirmed under its own offer", 204, "PUT", s.at(wire.Confirm), s.asSender(), d.bindingUnder(1))
}

func TestQTA01WhatEndsAShareStillFitsAFullLog(t *testing.T) {
	r := newRig(t)
	s := r.made("full")
	c := s.candidate("one")
	r.claimed(c)
	status := 204
	seq := uint64(2)
	for ; status == 204; seq++ {
		large := frame.New(frame.Data, c.c, seq, make([]byte, 2<<10))
		status = r.do("PUT", c.entry(wire.Receiver, seq).String(), c.holder(), frame.Append(nil, large)).status
	}
	seq--
	large := frame.Append(nil, frame.New(frame.Data, c.c, seq, make([]byte, 2<<10)))
	if p := r.want("beyond the bound", 409, "PUT", c.entry(wire.Receiver, seq), c.holder(), large).problem(t); p.Type != wire.Full {
		t.Fatalf("got %s, want full", p.Type)
	}
	r.want("the frame that ends the share", 204, "PUT", c.entry(wire.Receiver, seq), c.holder(), frame.Append(nil, c.data(seq)))
	r.want("the other side isn't affected", 204, "PUT", c.entry(wire.Sender, 0), s.asSender(), frame.Append(nil, c.data(0)))
	r.want("nor is the delete", 204, "DELETE", s.mailbox(), auth{}, s.over())
}

func TestQTA01WhatEndsAShareStillFitsWhenOthersUsedUpAllClaims(t *testing.T) {
	r := newRig(t) // 60 claims in a mailbox's life
	s := r.made("used up")
	c, thief := s.candidate("receiver"), s.candidate("thief")
	r.claimed(c)
	for opened := 0; ; opened++ { // whoever has the link can claim, withdraw, and claim again
		resp, err := r.start(t.Context(), "PUT", thief.lane().String(), thief.heir().header(), thief.first())
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode == 409 {
			break
		}
		if r.want("withdrawn", 204, "DELETE", thief.lane(), thief.holder(), nil); opened > 60 {
			t.Fatal("claims have no bound")
		}
	}
	r.want("the receiver can't go on before the sender has chosen", 409, "PUT", c.entry(wire.Receiver, 2), c.holder(), frame.Append(nil, c.data(2)))
	r.want("it is chosen", 204, "PUT", s.at(wire.Confirm), s.asSender(), c.binding())
	r.want("the sender grants", 204, "PUT", c.entry(wire.Sender, 0), s.asSender(), frame.Append(nil, c.data(0)))
	large := frame.Append(nil, frame.New(frame.Data, c.c, 2, make([]byte, 2<<10)))
	r.want("what is large doesn't fit", 409, "PUT", c.entry(wire.Receiver, 2), c.holder(), large)
	r.want("the receiver's end does", 204, "PUT", c.entry(wire.Receiver, 2), c.holder(), frame.Append(nil, c.data(2)))
	r.want("and the delete", 204, "DELETE", s.mailbox(), auth{}, s.over())
}

func TestAViewWaitsForItsMailboxAndForTheNextOffer(t *testing.T) {
	overBoth(t, plain, func(t *testing.T, r *rig) {
		s := newShare("wait")
		held := func(query string) <-chan answer {
			got := make(chan answer, 1)
			go func() { got <- r.do("GET", s.mailbox().String()+query, s.asLink(), nil) }()
			select {
			case a := <-got:
				t.Fatalf("a view%s must be held, got %d %s", query, a.status, a.body)
			case <-r.store.watched: // whatever happens from here on, it sees
			}
			return got
		}
		view := held("?wait=60")
		r.want("the create lands after the link was opened", 201, "PUT", s.mailbox(), auth{}, s.create())
		if a := <-view; a.status != 200 || !bytes.Equal(a.frames(t)[0], s.offer) {
			t.Errorf("the held view must end with the offer, got %d", a.status)
		}
		if a := r.do("GET", s.mailbox().String()+"?known=0", s.asLink(), nil); a.status != 204 || a.header.Get(wire.HeaderExpires) != "3600" {
			t.Errorf("an offer that the client knows is a 204 with the time left, got %d", a.status)
		}
		if a := <-held("?known=0&wait=1"); a.status != 204 {
			t.Errorf("when the wait is over without a later offer: 204, got %d", a.status)
		}
		view = held("?known=0&wait=60")
		r.want("the next offer", 204, "PUT", wire.Path{Place: wire.Offer, ID: s.id, Seq: 1}, s.asSender(), frame.Append(nil, s.epoch(1)))
		if a := <-view; a.status != 200 || a.frames(t)[0].Seq() != 1 {
			t.Errorf("the held view must end with the later offer, got %d", a.status)
		}
		view = held("?known=1&wait=60")
		r.want("the share ends", 204, "DELETE", s.mailbox(), auth{}, s.over())
		if a := <-view; a.status != 410 {
			t.Errorf("the held view must end with the proof, got %d", a.status)
		}
	})
}

func TestAStoreThatFailsIsUnavailableAndOneThatIsFullHasNoSpace(t *testing.T) {
	r := newRig(t)
	s := r.made("fails")
	for err, want := range map[error]struct {
		status int
		typ    wire.Type
	}{
		fmt.Errorf("wal: bad sector"):                       {503, wire.Unavailable},
		fmt.Errorf("append: %w", relay.ErrStorage):          {507, wire.NoSpace},
		fmt.Errorf("write: %w", http.ErrHandlerTimeout):     {503, wire.Unavailable},
		fmt.Errorf("in time: %w", context.DeadlineExceeded): {503, wire.Unavailable},
		errPanic: {500, wire.Broken},
	} {
		r.store.fail(err)
		got := r.do("PUT", s.mailbox().String(), auth{}, s.create())
		if p := got.problem(t); got.status != want.status || p.Type != want.typ {
			t.Errorf("%v: got %d %s, want %d %s", err, got.status, p.Type, want.status, want.typ)
		}
		if strings.Contains(string(got.body), "sector") || want.status == 503 && got.header.Get("Retry-After") == "" {
			t.Errorf("%v: the answer must tell when to come back and not what is inside: %v %s", err, got.header, got.body)
		}
	}
	r.store.fail(fmt.Errorf("wal: bad sector"))
	if got := r.do("GET", "/readyz", auth{}, nil); got.status != 503 {
		t.Errorf("a relay whose store fails isn't ready, got %d", got.status)
	}
	r.store.fail(relay.ErrStorage)
	if got := r.do("GET", "/readyz", auth{}, nil); got.status != 503 || got.problem(t).Type != wire.Unavailable || got.header.Get("Retry-After") == "" {
		t.Errorf("a relay that refuses new mailboxes isn't ready, got %d: %v %s", got.status, got.header, got.body)
	}
	r.store.fail(nil)
	r.want("it recovers by itself", 200, "GET", s.mailbox(), s.asLink(), nil)
	if got := r.do("GET", "/readyz", auth{}, nil); got.status != 200 {
		t.Errorf("a relay whose store works is ready, got %d", got.status)
	}
}
