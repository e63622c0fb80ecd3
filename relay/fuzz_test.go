package relay_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"testing"

	"github.com/sparekey/sparekey/noise/frame"
	"github.com/sparekey/sparekey/relay"
	"github.com/sparekey/sparekey/relay/wire"
)

// raw is a request as it comes on a connection.
func raw(method, target string, a auth, body []byte) []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "%s %s HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n", method, target, len(body))
	a.header().Write(&b)
	b.WriteString("\r\n")
	b.Write(body)
	return b.Bytes()
}

// impatient is a Store for a client that leaves as soon as it would have to wait.
type impatient struct {
	relay.Store
	leave func()
}

func (i impatient) Watch(id frame.ShareID) (<-chan struct{}, func()) {
	i.leave()
	return i.Store.Watch(id)
}

// FuzzRequest sends any bytes to a relay with a mailbox of the request's and one
// of somebody else's. Whatever comes, it answers as is documented, and asks its
// store for nothing but what the path names.
func FuzzRequest(f *testing.F) {
	s, other := newShare("fuzz"), newShare("other")
	c := s.candidate("one")
	f.Add(raw("PUT", s.mailbox().String(), auth{}, s.create()))
	f.Add(raw("DELETE", s.mailbox().String(), auth{}, s.over()))
	f.Add(raw("GET", s.mailbox().String()+"?known=0&wait=1", s.asLink(), nil))
	for _, d := range doors(s, c) {
		f.Add(raw(d.method, d.path, d.right[0], d.body))
	}
	for _, d := range doors(other, other.candidate("one")) {
		f.Add(raw(d.method, d.path, s.asSender(), d.body))
	}
	f.Add(raw("GET", c.log(wire.Sender).String()+"?from=18446744073709551616", s.asSender(), frame.Heartbeat()))
	f.Add(raw("GET", "/v1/mailboxes/%2e%2e/"+s.id.String(), auth{}, []byte{0, 0, 0, 17}))
	f.Add(raw("OPTIONS", "*", auth{}, nil))
	f.Add(raw("CONNECT", "host:1", auth{}, nil))
	f.Add([]byte("GET http://x/s/" + s.id.String() + " HTTP/1.0\n\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := http.ReadRequest(bufio.NewReader(bytes.NewReader(b)))
		if err != nil {
			return // net/http answers these itself
		}
		ctx, leave := context.WithCancel(t.Context())
		defer leave()
		store := newFaulty(relay.NewMemory(nil, relay.Limits{}))
		h := relay.NewHandler(relay.Config{Store: impatient{store, leave}, Quotas: relay.Quotas{Guesses: -1}})
		for _, sh := range []share{s, other} {
			serve(t, h, "PUT", sh.mailbox().String(), auth{}, sh.create())
		}
		serve(t, h, "PUT", c.lane().String(), c.heir(), c.first())
		store.asked()
		w := httptest.NewRecorder()
		r.RemoteAddr = "192.0.2.1:1"
		h.ServeHTTP(w, r.WithContext(ctx))
		holdToTheProtocol(t, r, w, store.asked())
	})
}

func holdToTheProtocol(t *testing.T, r *http.Request, w *httptest.ResponseRecorder, calls []asked) {
	t.Helper()
	path := wire.ParsePath(r.URL.EscapedPath())
	statuses := []int{200, 201, 204, 400, 403, 404, 405, 409, 410, 413}
	if path.Place == wire.Mailbox && r.Method == http.MethodGet && r.URL.RawQuery != "" {
		statuses = append(statuses, 503) // a held view whose client has left: nobody reads that
	}
	if !slices.Contains(statuses, w.Code) {
		t.Fatalf("%s %s: %d %s", r.Method, r.URL, w.Code, w.Body)
	}
	if w.Code >= 400 && path.Place != wire.Page && r.Method != http.MethodHead {
		if p, err := wire.ParseProblem(w.Body.Bytes()); err != nil || p.Status != w.Code || p.Type == wire.Broken {
			t.Fatalf("%s %s: %d with %q is no problem of the client's", r.Method, r.URL, w.Code, w.Body)
		}
	}
	for _, call := range calls {
		if call.id != frame.ShareID(path.ID) || path.Place == wire.Nowhere || path.Place == wire.Page || path.Place == wire.Health {
			t.Fatalf("%s %s: the store was asked for %s of another mailbox", r.Method, r.URL, call.call)
		}
	}
}

// FuzzBody sends any body to every call of a mailbox, with every right to it.
// What isn't a body that PROTOCOL.md names changes nothing, but that an append keeps
// the frames before what is wrong.
func FuzzBody(f *testing.F) {
	s := newShare("fuzz")
	c := s.candidate("one")
	calls := []door{{"PUT", s.mailbox().String(), s.create(), nil}, {"DELETE", s.mailbox().String(), s.over(), nil}}
	for _, name := range []string{"offer", "claim", "close", "append, sender", "append, recv", "confirm"} {
		calls = append(calls, doors(s, c)[name])
	}
	for i, d := range calls {
		f.Add(byte(i), d.body)
		f.Add(byte(i), append(d.body[:len(d.body):len(d.body)], d.body...))
		f.Add(byte(i), d.body[:len(d.body)/2])
	}
	f.Fuzz(func(t *testing.T, which byte, body []byte) {
		d := calls[int(which)%len(calls)]
		a := auth{}
		if d.right != nil {
			a = d.right[len(d.right)-1]
		}
		memory := relay.NewMemory(nil, relay.Limits{})
		h := relay.NewHandler(relay.Config{Store: memory})
		serve(t, h, "PUT", s.mailbox().String(), auth{}, s.create())
		serve(t, h, "PUT", c.lane().String(), c.heir(), c.first())
		before, _ := memory.View(t.Context(), s.id)
		w := serve(t, h, d.method, d.path, a, body)
		if w.Code >= 500 {
			t.Fatalf("%s %s with %.200q: %d %s", d.method, d.path, body, w.Code, w.Body)
		}
		if w.Code < 400 {
			return
		}
		after, err := memory.View(t.Context(), s.id)
		claims, _ := memory.Claims(t.Context(), s.id, 0)
		if err != nil || fmt.Sprint(after) != fmt.Sprint(before) || len(claims) != 2+good(c, d.path, body) {
			t.Fatalf("%s %s with %.200q was refused with %d, and yet it changed something", d.method, d.path, body, w.Code)
		}
	})
}

// good returns how many frames a body for a receiver's log of two begins with that
// belong there.
func good(c candidate, path string, body []byte) (n int) {
	p := wire.ParsePath(path)
	if p.Place != wire.Entry || p.Side != wire.Receiver {
		return 0
	}
	r := frame.NewReader(bytes.NewReader(body))
	for n < wire.MaxFrames {
		f, err := r.Read()
		if errors.Is(err, frame.ErrHeartbeat) {
			continue
		}
		if err != nil || f.Kind() != frame.Data || f.Candidate() != c.c || f.Seq() != p.Seq+uint64(n) {
			return n
		}
		n++
	}
	return n
}
