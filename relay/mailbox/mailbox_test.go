package mailbox

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/sparekey/sparekey/discovery"
	"github.com/sparekey/sparekey/noise/frame"
	"github.com/sparekey/sparekey/relay/liar"
	"github.com/sparekey/sparekey/relay/relaytest"
	"github.com/sparekey/sparekey/relay/wire"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// A rig is a share's outside: what a relay gets to see, and who may do what.
type rig struct {
	id       [16]byte
	preimage [32]byte
	proof    frame.Proof
	view     [32]byte
	sender   [32]byte
	claim    [32]byte
	offer    frame.Frame
}

func newRig(t *testing.T) *rig {
	r := &rig{}
	for _, b := range [][]byte{r.proof.H[:], r.proof.Over[:], r.view[:], r.sender[:], r.claim[:]} {
		rand.Read(b)
	}
	r.preimage = frame.Preimage(r.proof.H, sha256.Sum256(r.proof.Over[:]))
	r.id = frame.ID(r.preimage)
	r.offer = random(frame.Offer, frame.Candidate{}, 0)
	return r
}

func random(k frame.Kind, c frame.Candidate, seq uint64) frame.Frame {
	b := make([]byte, 100)
	rand.Read(b)
	return frame.New(k, c, seq, b)
}

// open returns one side's path, which is found until leave is called.
func (r *rig) open(url string, role discovery.Role, report func(discovery.Report)) (p discovery.Mailbox, leave func()) {
	m := discovery.Meeting{ID: r.id, Role: role, Relay: url, View: r.view, Token: r.claim, Report: report}
	if role == discovery.Sender {
		m.Token, m.Create = r.sender, &discovery.Create{Preimage: r.preimage, TTL: time.Hour, Lanes: 16}
	}
	ctx, cancel := context.WithCancel(context.Background())
	found, done := make(chan discovery.Path, 100), make(chan struct{})
	go func() {
		defer close(done)
		New(Config{}).Find(ctx, m, func(p discovery.Path) { found <- p })
	}()
	return (<-found).(discovery.Mailbox), func() { cancel(); <-done }
}

// find opens a path until the test ends, and gives reports as they come.
func (r *rig) find(t *testing.T, url string, role discovery.Role) (discovery.Mailbox, <-chan discovery.Report) {
	t.Helper()
	reports := make(chan discovery.Report, 1000)
	p, leave := r.open(url, role, func(rep discovery.Report) { reports <- rep })
	t.Cleanup(leave)
	return p, reports
}

func receive(t *testing.T, p discovery.Path) []frame.Frame {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	f, err := p.Receive(ctx)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func await(t *testing.T, reports <-chan discovery.Report, s discovery.ReportState) discovery.Report {
	t.Helper()
	timeout := time.After(patience)
	for {
		select {
		case r := <-reports:
			if r.State == s {
				return r
			}
		case <-timeout:
			t.Fatalf("no report of state %d came", s)
		}
	}
}

// TestAMailboxIsTakenForNoLessThanItHas: what it says is rounded down twice.
func TestAMailboxIsTakenForNoLessThanItHas(t *testing.T) {
	for said, want := range map[string]time.Duration{"": 0, "0": 0, "-1": 0, "x": 0, "1": 3 * time.Second, "86399": 86401 * time.Second} {
		if got := left(http.Header{wire.HeaderExpires: {said}}); got != want {
			t.Errorf("%q is taken for %v, want %v", said, got, want)
		}
	}
}

func TestMailboxCarriesBothLogs(t *testing.T) {
	url, r := relaytest.Start(t), newRig(t)
	receiver, heard := r.find(t, url, discovery.Receiver) // before the mailbox is there
	sender, _ := r.find(t, url, discovery.Sender)
	ctx, made := t.Context(), time.Now()
	for range 2 {
		if err := sender.Send(ctx, r.offer); err != nil {
			t.Fatal("create, and the same again:", err)
		}
	}
	if got := receive(t, receiver); len(got) != 1 || string(got[0]) != string(r.offer) {
		t.Fatal("the receiver is given the offer")
	}
	if left := await(t, heard, discovery.Living).Left; left > time.Hour+rounding || left < time.Hour-time.Since(made) {
		t.Errorf("the mailbox says that it has %v left, want an hour, and none of it lost", left)
	}
	c := frame.Candidate{7}
	hello, claim := random(frame.Handshake, c, 0), random(frame.Data, c, 1)
	if err := receiver.Send(ctx, hello, claim); err != nil {
		t.Fatal(err)
	}
	if got := receive(t, sender); len(got) != 2 {
		t.Fatalf("handshake and claim come in one piece, not %d frames", len(got))
	}
	if err := sender.Settle(ctx, discovery.Decision{Pinned: c, Claim: sha256.Sum256(r.claim[:])}); err != nil {
		t.Fatal(err)
	}
	grant := random(frame.Data, c, 0)
	if err := sender.Send(ctx, grant); err != nil {
		t.Fatal(err)
	}
	if got := receive(t, receiver); len(got) != 1 || string(got[0]) != string(grant) {
		t.Fatal("the grant comes on the claim's own answer")
	}
	if err := receiver.Send(ctx, random(frame.Data, c, 2)); err != nil {
		t.Fatal(err)
	}
	if got := receive(t, sender); len(got) != 1 || got[0].Seq() != 2 {
		t.Fatal("what is appended comes")
	}
	for _, p := range []discovery.Mailbox{sender, receiver} { // the receiver's would end the sender's path
		if err := p.Settle(ctx, discovery.Decision{Over: &r.proof}); err != nil {
			t.Fatalf("a delete, and the same again: %v", err)
		}
	}
	if over := await(t, heard, discovery.Ended).Over; over == nil || *over != r.proof {
		t.Error("the proof is shown to the receiver")
	}
}

// TestWhatWentByAnotherPathIsBridged: the logs go on where they lack what was
// acknowledged by a direct path, and nothing that stands there is replaced.
func TestWhatWentByAnotherPathIsBridged(t *testing.T) {
	url, r, c, ctx := relaytest.Start(t), newRig(t), frame.Candidate{7}, t.Context()
	sender, _ := r.find(t, url, discovery.Sender)
	receiver, _ := r.find(t, url, discovery.Receiver)
	send := func(p discovery.Path, frames ...frame.Frame) {
		t.Helper()
		if err := p.Send(ctx, frames...); err != nil {
			t.Fatal(err)
		}
	}
	at := func(p discovery.Path, from, to uint64, last frame.Frame) {
		t.Helper()
		for want := from; want <= to; {
			for _, f := range receive(t, p) {
				if f.Kind() != frame.Data || f.Seq() != want || want == to && string(f) != string(last) {
					t.Fatalf("seq %d comes where %d belongs", f.Seq(), want)
				}
				want++
			}
		}
	}
	send(sender, r.offer)
	receive(t, receiver)
	send(receiver, random(frame.Handshake, c, 0), random(frame.Data, c, 1))
	receive(t, sender)
	late, later := random(frame.Data, c, 70), random(frame.Data, c, 72)
	send(sender, late)
	at(receiver, 0, 70, late)
	send(sender, later)
	at(receiver, 71, 72, later)
	word := random(frame.Data, c, 4)
	send(receiver, word)
	at(sender, 2, 4, word)
	if err := sender.Send(ctx, random(frame.Data, c, 70)); !errors.Is(err, discovery.ErrRetired) {
		t.Errorf("other bytes where ours stand: %v", err)
	}
}

func TestOtherBytesWhereOursBelongRetireThePath(t *testing.T) {
	url, r := relaytest.Start(t), newRig(t)
	sender, _ := r.find(t, url, discovery.Sender)
	if err := sender.Send(t.Context(), r.offer); err != nil {
		t.Fatal(err)
	}
	if err := sender.Send(t.Context(), random(frame.Offer, frame.Candidate{}, 0)); !errors.Is(err, discovery.ErrRetired) {
		t.Errorf("another create: %v", err)
	}
}

// TestAConfirmUnderAnotherOfferRetiresThePath: the mailbox isn't where the share is.
// The next path sends every offer first.
func TestAConfirmUnderAnotherOfferRetiresThePath(t *testing.T) {
	url, r := relaytest.Start(t), newRig(t)
	pinned := discovery.Decision{Pinned: frame.Candidate{7}, Claim: [32]byte{8}, Epoch: 1}
	sender, _ := r.find(t, url, discovery.Sender)
	send(t, sender, r.offer)
	another, _ := r.find(t, url, discovery.Sender)
	if err := sender.Settle(t.Context(), pinned); !errors.Is(err, discovery.ErrRetired) {
		t.Errorf("a confirm where an earlier one stands: %v", err)
	}
	sender, _ = r.find(t, url, discovery.Sender)
	send(t, sender, r.offer, random(frame.Offer, frame.Candidate{}, 1))
	send(t, another, random(frame.Offer, frame.Candidate{}, 2))
	if err := sender.Settle(t.Context(), pinned); !errors.Is(err, discovery.ErrRetired) {
		t.Errorf("a confirm where a later one stands that isn't this path's: %v", err)
	}
}

// TestAConfirmAndTheNextOfferMayOvertakeEachOther: the relay is given a confirm, and the
// offer that hands its claim back, in both orders. Either way nobody is bound but the next
// receiver, whose lane stays as it is, and the path goes on.
func TestAConfirmAndTheNextOfferMayOvertakeEachOther(t *testing.T) {
	one, two := frame.Candidate{7}, frame.Candidate{8}
	for name, act := range map[string]liar.Act{"the confirm comes late": liar.Wait, "its answer comes late": liar.Late} {
		t.Run(name, func(t *testing.T) {
			p := lying(t, liar.Rule{Method: "PUT", Place: wire.Confirm, Do: act, Gate: "confirm", Times: 1})
			r := newRig(t)
			sender, _ := r.find(t, p.URL(), discovery.Sender)
			send(t, sender, r.offer)
			first := discovery.Decision{Pinned: one, Claim: sha256.Sum256([]byte("another's")), Closed: []frame.Frame{frame.Shut(frame.Candidate{9})}}
			confirmed := make(chan error, 1)
			go func() { confirmed <- sender.Settle(t.Context(), first) }()
			if _, err := p.Until(t.Context(), func(c liar.Call) bool { return c.Place() == wire.Confirm }); err != nil {
				t.Fatal(err)
			}
			send(t, sender, random(frame.Offer, frame.Candidate{}, 1))
			receiver, _ := r.find(t, p.URL(), discovery.Receiver)
			claim := random(frame.Data, two, 1)
			send(t, receiver, random(frame.Handshake, two, 0), claim)
			comes(t, sender, claim, func() {})
			p.Open("confirm")
			if err := <-confirmed; err != nil {
				t.Errorf("a confirm that the next offer has made void: %v", err)
			}
			grant := random(frame.Data, two, 0)
			send(t, sender, grant)
			comes(t, receiver, grant, func() {})
			if err := sender.Settle(t.Context(), discovery.Decision{Pinned: two, Epoch: 1, Claim: sha256.Sum256(r.claim[:])}); err != nil {
				t.Errorf("the confirm of the next receiver: %v", err)
			}
			said := random(frame.Data, two, 2)
			send(t, receiver, said)
			comes(t, sender, said, func() {})
		})
	}
}

// TestRelaysWordEndsNothing is a part of LIE-09 and LIE-08: whatever a relay
// answers but a proof that makes the id is trouble, told and bounded.
func TestRelaysWordEndsNothing(t *testing.T) {
	r := newRig(t)
	forged := `{"type":"urn:sparekey:problem:gone","title":"x","status":410,"h":"` + strings.Repeat("A", 43) + `","over":"` + strings.Repeat("A", 43) + `"}`
	for what, handler := range map[string]http.HandlerFunc{
		"404":          func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(404) },
		"410":          func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(410) },
		"forged proof": func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(410); io.WriteString(w, forged) },
		"500":          func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(500); io.WriteString(w, "oops") },
		"garbage":      func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, strings.Repeat("garbage", 1000)) },
		"a redirect": func(w http.ResponseWriter, q *http.Request) {
			http.Redirect(w, q, "http://127.0.0.1:1/", http.StatusTemporaryRedirect)
		},
		"an endless problem": func(w http.ResponseWriter, q *http.Request) {
			w.WriteHeader(404)
			for b := make([]byte, 1<<16); q.Context().Err() == nil; {
				if _, err := w.Write(b); err != nil {
					return
				}
			}
		},
	} {
		t.Run(what, func(t *testing.T) {
			srv := httptest.NewUnstartedServer(handler)
			srv.Config.Protocols = new(http.Protocols)
			srv.Config.Protocols.SetUnencryptedHTTP2(true)
			srv.Start()
			t.Cleanup(srv.Close)
			_, reports := r.find(t, srv.URL, discovery.Receiver)
			timeout := time.After(patience)
			select {
			case rep := <-reports:
				if rep.State == discovery.Ended || rep.State != discovery.Failing && rep.State != discovery.Missing && rep.State != discovery.Living {
					t.Errorf("reported as %+v", rep)
				}
			case <-timeout:
				t.Error("nothing was reported")
			}
		})
	}
}

func TestRequestsNameNobody(t *testing.T) {
	r := newRig(t)
	var mu sync.Mutex
	var names []string
	srv := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		for n := range q.Header {
			names = append(names, n)
		}
		w.WriteHeader(500)
	}))
	srv.Config.Protocols = new(http.Protocols)
	srv.Config.Protocols.SetUnencryptedHTTP2(true)
	srv.Start()
	t.Cleanup(srv.Close)
	p, reports := r.find(t, srv.URL, discovery.Receiver)
	await(t, reports, discovery.Failing)
	c := frame.Candidate{7}
	p.Send(t.Context(), random(frame.Handshake, c, 0), random(frame.Data, c, 1))
	mu.Lock()
	defer mu.Unlock()
	for _, n := range names {
		if !slices.Contains([]string{"Authorization", "Mailbox-Device-Claim", "Content-Length"}, n) {
			t.Errorf("a request has the header %s", n)
		}
	}
}
