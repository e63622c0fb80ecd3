package relay_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"maps"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/sparekey/sparekey/noise/frame"
	"github.com/sparekey/sparekey/relay"
	"github.com/sparekey/sparekey/relay/wire"
)

// A survey is what a running relay has answered.
type survey struct {
	t     *testing.T
	want  map[string]*operation
	seen  map[string]map[int]map[wire.Type]bool // by operation and status
	types map[wire.Type]bool
}

// note holds an answer against the document.
func (s *survey) note(a answer) {
	s.t.Helper()
	op := a.method + " " + template(a.path)
	var want *reply
	if s.want[op] != nil {
		want = s.want[op].answers[a.status]
	}
	if want == nil {
		s.t.Errorf("%s answered %d, which isn't documented", op, a.status)
		return
	}
	if s.seen[op] == nil {
		s.seen[op] = map[int]map[wire.Type]bool{}
	}
	if s.seen[op][a.status] == nil {
		s.seen[op][a.status] = map[wire.Type]bool{}
	}
	media := a.header.Get("Content-Type")
	if media != want.media {
		s.t.Errorf("%s answered %d with %q, documented is %q", op, a.status, media, want.media)
	}
	if media == wire.TypeProblem && a.method != http.MethodHead {
		typ := a.problem(s.t).Type
		if s.seen[op][a.status][typ], s.types[typ] = true, true; !want.types[typ] {
			s.t.Errorf("%s answered %d %s; documented: %s", op, a.status, typ, typeNames(want.types))
		}
	}
	for _, name := range told {
		if always, documented := want.headers[name]; always && a.header.Get(name) == "" || !documented && a.header.Get(name) != "" {
			s.t.Errorf("%s answered %d with %s: %q; documented is %v, always %v", op, a.status, name, a.header.Get(name), documented, always)
		}
	}
}

// ask does a request and notes its answer.
func (s *survey) ask(r *rig, method, path string, a auth, body []byte) answer {
	s.t.Helper()
	got := r.do(method, path, a, body)
	s.note(got)
	return got
}

// watch opens a stream, notes it, and leaves.
func (s *survey) watch(r *rig, method, path string, a auth, body []byte) {
	s.t.Helper()
	st := r.open(method, path, a, body)
	s.note(answer{method: method, path: path, status: st.resp.StatusCode, header: st.resp.Header})
	st.close()
}

func TestOpenAPITellsExactlyWhatTheRelayAnswers(t *testing.T) {
	doc := readYAML(t, "openapi.yaml")
	s := &survey{t, documented(t, doc), map[string]map[int]map[wire.Type]bool{}, map[wire.Type]bool{}}
	for _, visit := range []func(*survey, *rig){surveyShare, surveyLanes, surveyBodies, surveyFull, surveyFaults, surveyDrain, surveyReads, surveyOthers} {
		visit(s, newRig(t))
	}
	surveyLimits(s)
	for op, o := range s.want {
		for status, want := range o.answers {
			if types, ok := s.seen[op][status]; !ok {
				t.Errorf("%s is documented to answer %d, which no request here led to", op, status)
			} else if !strings.HasPrefix(op, "HEAD ") && !maps.Equal(types, want.types) {
				t.Errorf("%s answered %d with the problems %s; documented: %s", op, status, typeNames(types), typeNames(want.types))
			}
		}
	}
	enum := map[wire.Type]bool{}
	for _, e := range doc.at("components", "schemas", "Problem", "properties", "type", "enum").kids {
		enum[wire.Type(e.key)] = true
	}
	if !maps.Equal(s.types, enum) {
		t.Errorf("the types of problems differ:\nseen       %s\ndocumented %s", typeNames(s.types), typeNames(enum))
	}
}

func surveyShare(s *survey, r *rig) {
	sh := newShare("survey")
	c := sh.candidate("one")
	for i, w := range writes(sh) {
		s.ask(r, w.method, w.path.String(), w.auth, w.body)
		if i == 1 {
			s.watch(r, "PUT", c.lane().String(), c.heir(), c.first())
			s.watch(r, "GET", c.log(wire.Sender).String(), c.holder(), nil)
			s.watch(r, "GET", sh.at(wire.Claims).String(), sh.asSender(), nil)
			s.ask(r, "GET", sh.mailbox().String(), sh.asLink(), nil)
			s.ask(r, "GET", sh.mailbox().String()+"?known=1", sh.asLink(), nil)
		}
	}
	// The share is over: everything is a 410 but the delete.
	s.ask(r, "PUT", sh.mailbox().String(), auth{}, sh.create())
	for _, d := range doors(sh, c) {
		s.ask(r, d.method, d.path, d.right[0], d.body)
	}
}

// surveyLanes asks for what a mailbox's state refuses.
func surveyLanes(s *survey, r *rig) {
	sh, none := r.made("lanes"), newShare("none")
	c, d, late := sh.candidate("one"), sh.candidate("two"), sh.candidate("late")
	r.claimed(c)
	for _, door := range doors(sh, c) {
		s.ask(r, door.method, door.path, bearer(sha256.Sum256(nil)), door.body)
	}
	s.ask(r, "PUT", sh.mailbox().String(), auth{}, bytes.Replace(sh.create(), []byte("3600"), []byte("60"), 1))
	s.ask(r, "PUT", sh.mailbox().String(), auth{}, none.create())
	s.ask(r, "DELETE", sh.mailbox().String(), auth{}, none.over())
	s.ask(r, "DELETE", none.mailbox().String(), auth{}, none.over())
	next := wire.Path{Place: wire.Offer, ID: sh.id, Seq: 7}
	s.ask(r, "PUT", next.String(), sh.asSender(), frame.Append(nil, sh.epoch(7)))
	s.ask(r, "PUT", c.entry(wire.Receiver, 9).String(), c.holder(), frame.Append(nil, c.data(9)))
	s.ask(r, "PUT", c.lane().String(), c.heir(), frame.Append(nil, frame.New(frame.Handshake, c.c, 0, make([]byte, 64))))
	s.ask(r, "GET", sh.at(wire.Claims).String()+"?after=9", sh.asSender(), nil)
	s.ask(r, "DELETE", d.lane().String(), sh.asSender(), frame.Append(nil, d.taken()))
	s.ask(r, "DELETE", d.lane().String(), d.heir(), frame.Append(nil, frame.New(frame.Taken, d.c, 0, make([]byte, 64))))
	s.ask(r, "GET", d.log(wire.Sender).String(), d.heir(), nil)
	s.ask(r, "PUT", d.lane().String(), d.heir(), d.first())
	s.ask(r, "PUT", d.entry(wire.Receiver, 2).String(), d.heir(), frame.Append(nil, d.data(2)))
	s.ask(r, "PUT", sh.at(wire.Confirm).String(), sh.asSender(), c.binding())
	s.ask(r, "PUT", sh.at(wire.Confirm).String(), sh.asSender(), d.binding())
	s.ask(r, "DELETE", c.lane().String(), sh.asSender(), nil)
	s.ask(r, "PUT", late.lane().String(), late.heir(), late.first())
}

// surveyBodies asks for what can't be read.
func surveyBodies(s *survey, r *rig) {
	sh := r.made("bodies")
	c := sh.candidate("one")
	r.claimed(c)
	endless := make([]byte, wire.MaxBody+1)
	for _, door := range doors(sh, c) {
		a := door.right[len(door.right)-1]
		s.ask(r, door.method, door.path+"?bad=1", a, door.body)
		for _, name := range s.want[door.method+" "+template(door.path)].query {
			s.ask(r, door.method, door.path+"?"+name+"=9007199254740992", a, door.body)
		}
		if door.method != "GET" {
			s.ask(r, door.method, door.path, a, endless)
			s.ask(r, door.method, door.path, a, []byte("{"))
		}
	}
	for _, method := range []string{"PUT", "DELETE"} {
		s.ask(r, method, sh.mailbox().String(), auth{}, endless)
		s.ask(r, method, sh.mailbox().String(), auth{}, []byte("{"))
	}
	s.ask(r, "PUT", sh.mailbox().String(), auth{}, bytes.Replace(sh.create(), []byte("3600"), []byte("0"), 1))
	s.ask(r, "PUT", sh.at(wire.Confirm).String(), sh.asSender(), c.bindingUnder(wire.MaxNumber+1))
}

func surveyFull(s *survey, r *rig) {
	sh := r.made("full")
	c := sh.candidate("one")
	r.claimed(c)
	many := []frame.Frame{c.handshake()}
	for seq := uint64(1); seq < wire.MaxFrames; seq++ {
		many = append(many, c.data(seq))
	}
	s.ask(r, "PUT", c.lane().String(), c.heir(), frame.Append(nil, many...))
	s.ask(r, "PUT", c.entry(wire.Receiver, 0).String(), c.holder(), frame.Append(nil, many...))
}

func surveyLimits(s *survey) {
	r := newRig(s.t, func(c *relay.Config) {
		c.Quotas.Creates, c.Quotas.CreateBurst, c.Quotas.Guesses, c.Quotas.GuessBurst = 1, 1, 1, 1
	})
	sh := r.made("limits")
	r.want("the first guess is free", 404, "GET", sh.mailbox(), auth{}, nil)
	s.ask(r, "PUT", sh.mailbox().String(), auth{}, sh.create())
	for _, d := range doors(sh, sh.candidate("one")) {
		s.ask(r, d.method, d.path, auth{}, d.body)
	}
}

func surveyFaults(s *survey, r *rig) {
	sh := r.made("faults")
	c := sh.candidate("one")
	r.claimed(c)
	for _, err := range []error{context.DeadlineExceeded, errPanic, relay.ErrStorage} {
		r.store.fail(err)
		for _, d := range doors(sh, c) {
			if err != relay.ErrStorage || d.method != "GET" { // a store that is full can be read
				s.ask(r, d.method, d.path, d.right[len(d.right)-1], d.body)
			}
		}
		s.ask(r, "PUT", sh.mailbox().String(), auth{}, sh.create())
		s.ask(r, "DELETE", sh.mailbox().String(), auth{}, sh.over())
		s.ask(r, "GET", "/readyz", auth{}, nil)
		s.ask(r, "HEAD", "/readyz", auth{}, nil)
	}
	r.store.fail(nil)
}

func surveyDrain(s *survey, r *rig) {
	sh := r.made("drain")
	r.h.Drain()
	for _, d := range doors(sh, sh.candidate("one")) {
		s.ask(r, d.method, d.path, d.right[0], d.body)
	}
	s.ask(r, "PUT", sh.mailbox().String(), auth{}, sh.create())
	s.ask(r, "GET", "/healthz", auth{}, nil)
	s.ask(r, "GET", "/readyz", auth{}, nil)
	s.ask(r, "DELETE", sh.mailbox().String(), auth{}, sh.over())
}

func surveyReads(s *survey, r *rig) {
	for _, path := range []string{newShare("x").at(wire.Page).String(), "/healthz", "/readyz", "/healthz?x=1", "/readyz?x=1"} {
		s.ask(r, "GET", path, auth{}, nil)
		s.ask(r, "HEAD", path, auth{}, nil)
	}
}

// surveyOthers asks for what the document's words alone speak of: other methods,
// and other paths.
func surveyOthers(s *survey, r *rig) {
	sh := newShare("x")
	methods := []string{"GET", "HEAD", "PUT", "POST", "PATCH", "DELETE", "OPTIONS", "TRACE", "PROPFIND"}
	for place := wire.Mailbox; place <= wire.Ready; place++ {
		path := sh.at(place).String()
		var allow []string
		for _, m := range methods {
			if s.want[m+" "+template(path)] != nil {
				allow = append(allow, m)
			}
		}
		slices.Sort(allow)
		for _, m := range methods {
			if slices.Contains(allow, m) {
				continue
			}
			got := r.do(m, path, auth{}, nil)
			if got.status != 405 || got.header.Get("Allow") != strings.Join(allow, ", ") {
				s.t.Errorf("%s of the %v: got %d, Allow %q; want 405, Allow %q", m, place, got.status, got.header.Get("Allow"), allow)
			}
			if place == wire.Page {
				if media := got.header.Get("Content-Type"); media != "text/html; charset=utf-8" || len(got.body) == 0 {
					s.t.Errorf("%s of the page: got %d bytes of %q, want the page", m, len(got.body), media)
				}
			} else if m != "HEAD" {
				s.types[got.problem(s.t).Type] = true
			}
		}
	}
	s.types[r.do("GET", "/v2/x", auth{}, nil).problem(s.t).Type] = true
}

func TestOpenAPITellsWhoMayCallAndWithWhatQuery(t *testing.T) {
	r := newRig(t)
	s := r.made("who")
	c := s.candidate("one")
	r.claimed(c)
	ops := documented(t, readYAML(t, "openapi.yaml"))
	ways := map[string]auth{"sender": s.asSender(), "holder": c.holder(), "link": s.asLink(), "link+claim": c.heir()}
	for name, d := range doors(s, c) {
		op := ops[d.method+" "+template(d.path)]
		var served []string
		for way, a := range ways {
			if allowed(d.right, a) && (way != "link+claim" || !slices.Contains(op.security, "link")) && !(way == "link" && op.id == "claim") {
				served = append(served, way)
			}
		}
		if strings.HasPrefix(name, "append") { // the document has both sides in one
			for _, way := range served {
				if !slices.Contains(op.security, way) {
					t.Errorf("%s is served with %s, which isn't documented", name, way)
				}
			}
			continue
		}
		if slices.Sort(served); !slices.Equal(served, slices.Sorted(slices.Values(op.security))) {
			t.Errorf("%s is served with %v; documented: %v", name, served, op.security)
		}
		for _, q := range []string{wire.From, wire.After, wire.Known, wire.Wait} {
			got := r.do(d.method, d.path+"?"+q+"=x", d.right[len(d.right)-1], d.body).problem(t)
			if known := strings.HasPrefix(got.Detail, q); known != slices.Contains(op.query, q) {
				t.Errorf("%s knows %s in its query: %v; documented: %v", name, q, known, op.query)
			}
		}
	}
}

func TestOpenAPITellsTheFieldsOfEveryBody(t *testing.T) {
	doc := readYAML(t, "openapi.yaml").at("components", "schemas")
	problem := wire.NewProblem(wire.Gone, "detail")
	problem.Over, problem.Closing = &wire.Proof{}, []byte{1}
	for name, body := range map[string][]byte{
		"Create":  wire.Create{Lanes: 1, TTL: 1e9, Public: []byte("{}")}.Body(),
		"Binding": wire.Binding{}.Body(), "Proof": wire.Proof{}.Body(), "Problem": problem.Body(),
	} {
		var fields map[string]any
		if err := json.Unmarshal(body, &fields); err != nil {
			t.Fatal(err)
		}
		written, listed := slices.Sorted(maps.Keys(fields)), doc.at(name, "properties").keys()
		if slices.Sort(listed); !slices.Equal(written, listed) {
			t.Errorf("a %s has the fields %v; documented: %v", name, written, listed)
		}
	}
}

func TestTheProtocolPageTellsOfEveryCallAndProblem(t *testing.T) {
	page, err := os.ReadFile("PROTOCOL.md")
	if err != nil {
		t.Fatal(err)
	}
	doc := readYAML(t, "openapi.yaml")
	for _, e := range doc.at("components", "schemas", "Problem", "properties", "type", "enum").kids {
		name := strings.TrimPrefix(e.key, "urn:sparekey:problem:")
		row := strings.Contains(string(page), "`"+name+"`")
		if !row {
			t.Errorf("PROTOCOL.md doesn't tell of %s", name)
		}
	}
	words := strings.NewReplacer("{id}", "ID", "{epoch}", "EPOCH", "{lane}", "LANE", "{side}", "SIDE", "{seq}", "SEQ")
	for op := range documented(t, doc) {
		if !strings.HasPrefix(op, "HEAD ") && !strings.Contains(string(page), "`"+words.Replace(op)) {
			t.Errorf("PROTOCOL.md doesn't tell of %s", words.Replace(op))
		}
	}
}
