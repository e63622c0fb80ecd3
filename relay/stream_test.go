package relay_test

import (
	"bytes"
	"context"
	"io"
	"net"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sparekey/sparekey/noise/frame"
	"github.com/sparekey/sparekey/relay"
	"github.com/sparekey/sparekey/relay/wire"
)

func TestAStreamResumesAtExactlyTheFrameThatIsAskedFor(t *testing.T) {
	overBoth(t, plain, func(t *testing.T, r *rig) {
		s := r.made("resume")
		c, d := s.candidate("one"), s.candidate("two")
		r.claimed(c)
		r.claimed(d)
		mine := []frame.Frame{c.handshake(), c.data(1)}
		for seq := uint64(2); seq < 6; seq++ {
			mine = append(mine, c.data(seq))
			r.want("an append", 204, "PUT", c.entry(wire.Receiver, seq), c.holder(), frame.Append(nil, c.data(seq)))
		}
		all := append([]frame.Frame{c.handshake(), c.data(1), d.handshake(), d.data(1)}, mine[2:]...)
		for n := range len(mine) + 1 {
			log := r.open("GET", c.log(wire.Receiver).String()+"?from="+strconv.Itoa(n), s.asSender(), nil)
			log.want("a log from "+strconv.Itoa(n), mine[n:]...)
			log.close()
		}
		for n := range len(all) + 1 {
			claims := r.open("GET", s.at(wire.Claims).String()+"?after="+strconv.Itoa(n), s.asSender(), nil)
			claims.want("the claims after "+strconv.Itoa(n), all[n:]...)
			claims.close()
		}
		later := r.open("GET", c.log(wire.Sender).String()+"?from=1", c.holder(), nil)
		later.want("a log that isn't that long yet")
		grants := r.open("PUT", c.lane().String()+"?from=1", c.heir(), c.first())
		grants.want("nor on a claim's answer")
		r.want("the sender writes", 204, "PUT", c.entry(wire.Sender, 0), s.asSender(), frame.Append(nil, c.data(0), c.data(1)))
		later.want("what lies before from isn't sent", c.data(1))
		grants.want("nor on a claim's answer", c.data(1))
	})
}

func TestErasedFramesKeepTheirNumbersAmongTheClaims(t *testing.T) {
	r := newRig(t)
	s := r.made("numbers")
	c, d := s.candidate("one"), s.candidate("two")
	r.claimed(c)
	r.claimed(d)
	claims := r.open("GET", s.at(wire.Claims).String(), s.asSender(), nil)
	claims.want("both claims", c.handshake(), c.data(1), d.handshake(), d.data(1))
	r.want("the first is refused", 204, "DELETE", c.lane(), s.asSender(), frame.Append(nil, c.taken()))
	erased := frame.Shut(frame.Candidate{})
	r.open("GET", s.at(wire.Claims).String(), s.asSender(), nil).want("its frames are gone, their places aren't", erased, erased, d.handshake(), d.data(1))
	r.want("the second goes on", 204, "PUT", d.entry(wire.Receiver, 2), d.holder(), frame.Append(nil, d.data(2)))
	claims.want("an old stream counts on", d.data(2))

	p := r.want("", 409, "GET", wire.Path{Place: wire.Claims, ID: s.id}, s.asSender(), nil, "?after=6").problem(t)
	if p.Type != wire.Ahead {
		t.Errorf("a sender that has seen more than there is meets a relay that was rolled back: got %s, want ahead", p.Type)
	}
	r.open("GET", s.at(wire.Claims).String()+"?after=5", s.asSender(), nil).want("all is known")
}

func TestTheNextOfferEndsTheStreamsOfAllLanes(t *testing.T) {
	r := newRig(t)
	s := r.made("epochs")
	c := s.candidate("one")
	grants := r.claimed(c)
	claims := r.open("GET", s.at(wire.Claims).String(), s.asSender(), nil)
	claims.want("the claim", c.handshake(), c.data(1))
	log := r.open("GET", c.log(wire.Receiver).String(), s.asSender(), nil)
	log.want("the lane's log", c.handshake(), c.data(1))
	r.want("the sender takes the pin back", 204, "PUT", wire.Path{Place: wire.Offer, ID: s.id, Seq: 1}, s.asSender(), frame.Append(nil, s.epoch(1)))
	grants.end("no closing frame: the receiver looks for a later offer")
	log.end("the lane is erased")
	again := r.claimed(c)
	claims.want("the claims go on, and erased lanes may be opened again", c.handshake(), c.data(1))
	again.close()
}

func TestAStreamIsNeverSilentForLong(t *testing.T) {
	overBoth(t, func(c *relay.Config) { c.Heartbeat = 20 * time.Millisecond }, func(t *testing.T, r *rig) {
		s := r.made("beat")
		claims := r.open("GET", s.at(wire.Claims).String(), s.asSender(), nil)
		for range 5 {
			claims.beat("a heartbeat comes without anything having happened")
		}
	})
}

func TestAStreamEndsWhenTheMailboxRunsOut(t *testing.T) {
	r := newRig(t, func(c *relay.Config) { c.Heartbeat = 10 * time.Millisecond })
	s := r.made("out")
	c := s.candidate("one")
	grants := r.claimed(c)
	r.clock.Advance(2 * time.Hour)
	for {
		if _, err := grants.r.Read(); err == io.EOF {
			break
		} else if err != frame.ErrHeartbeat {
			t.Fatalf("the stream must end with its mailbox, got %v", err)
		}
	}
	r.want("its time is up", 404, "GET", s.mailbox(), s.asLink(), nil)
}

func TestAReaderThatTakesNothingIsCutOff(t *testing.T) {
	stopped := make(chan struct{}, 1)
	var store *relay.Memory
	r := newRig(t, func(c *relay.Config) {
		store = relay.NewMemory(c.Now, relay.Limits{LogFrames: 1000, LogBytes: 64 << 20})
		c.Store = watched{store, stopped}
		c.WriteTime = 50 * time.Millisecond
	})
	s := r.made("slow")
	c := s.candidate("one")
	if err := store.Open(t.Context(), s.id, c.c, [32]byte{1}, []frame.Frame{c.handshake()}); err != nil {
		t.Fatal(err)
	}
	for seq := range uint64(400) { // 24 MB: more than sockets take by themselves
		f := frame.New(frame.Data, c.c, seq, make([]byte, 60<<10))
		if err := store.Append(t.Context(), s.id, c.c, relay.SenderSide, []frame.Frame{f}); err != nil {
			t.Fatal(err)
		}
	}
	conn, err := net.Dial("tcp", r.base[len("http://"):])
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	conn.(*net.TCPConn).SetReadBuffer(4 << 10)
	io.WriteString(conn, "GET "+c.log(wire.Sender).String()+" HTTP/1.1\r\nHost: x\r\nAuthorization: "+wire.Bearer(s.sender)+"\r\n\r\n")
	select {
	case <-stopped:
	case <-time.After(patience):
		t.Error("the stream is still held for a reader that takes nothing")
	}
}

// watched tells when a watch has ended.
type watched struct {
	relay.Store
	stopped chan struct{}
}

func (w watched) Watch(id frame.ShareID) (<-chan struct{}, func()) {
	changed, stop := w.Store.Watch(id)
	return changed, func() {
		stop()
		select {
		case w.stopped <- struct{}{}:
		default:
		}
	}
}

func TestWhatIsAppendedWhileAStreamRunsComesOnceAndInOrder(t *testing.T) {
	r := newRig(t)
	s := r.made("order")
	c := s.candidate("one")
	grants := r.claimed(c)
	const n = 38
	go func() {
		for seq := range uint64(n) {
			r.do("PUT", c.entry(wire.Sender, seq).String(), s.asSender(), frame.Append(nil, c.data(seq)))
		}
	}()
	for seq := uint64(0); seq < n; {
		f, err := grants.r.Read()
		if err == frame.ErrHeartbeat {
			continue
		}
		if err != nil || !bytes.Equal(f, c.data(seq)) {
			t.Fatalf("frame %d is %.40x, %v", seq, f, err)
		}
		seq++
	}
}

func TestStreamsAndHeldViewsAndBodiesAreBounded(t *testing.T) {
	r := newRig(t, func(c *relay.Config) {
		c.Quotas = relay.Quotas{Streams: 2, Waiters: -1, BodyBytes: 100 << 10}
	})
	s := r.made("bounds")
	c, d := s.candidate("one"), s.candidate("two")
	r.claimed(c)
	claims := r.open("GET", s.at(wire.Claims).String(), s.asSender(), nil)
	for why, q := range map[string]struct {
		method string
		path   wire.Path
		auth   auth
	}{
		"a claim": {"PUT", d.lane(), d.heir()}, "a log": {"GET", c.log(wire.Sender), c.holder()}, "the claims": {"GET", s.at(wire.Claims), s.asSender()},
	} {
		got := r.want(why+" beyond the bound of streams", 503, q.method, q.path, q.auth, d.first())
		if got.problem(t).Type != wire.Unavailable || got.header.Get("Retry-After") != "1" {
			t.Errorf("%s: got %s %v", why, got.body, got.header)
		}
	}
	claims.want("the claim that wasn't answered wasn't stored either", c.handshake(), c.data(1))

	large := frame.New(frame.Data, c.c, 2, make([]byte, 60<<10))
	next := frame.New(frame.Data, c.c, 3, make([]byte, 60<<10))
	got := r.want("more than all bodies may have", 503, "PUT", c.entry(wire.Receiver, 2), c.holder(), frame.Append(nil, large, next))
	if got.problem(t).Type != wire.Unavailable {
		t.Errorf("got %s, want unavailable", got.body)
	}
	for range 3 {
		r.want("what was taken of the bound is given back", 204, "PUT", c.entry(wire.Receiver, 2), c.holder(), frame.Append(nil, large))
	}
}

func TestHeldViewsAreBounded(t *testing.T) {
	r := newRig(t, func(c *relay.Config) { c.Quotas.Waiters = 1 })
	s := newShare("held")
	done := make(chan answer, 1)
	go func() { done <- r.do("GET", s.mailbox().String()+"?wait=60", s.asLink(), nil) }()
	<-r.store.watched
	if got := r.do("GET", s.mailbox().String()+"?wait=60", s.asLink(), nil); got.status != 503 || got.problem(t).Type != wire.Unavailable {
		t.Errorf("a held view beyond the bound: got %d %s", got.status, got.body)
	}
	r.want("without wait it is answered", 404, "GET", s.mailbox(), s.asLink(), nil)
	r.want("the mailbox comes", 201, "PUT", s.mailbox(), auth{}, s.create())
	if got := <-done; got.status != 200 {
		t.Errorf("the one that was held is answered: got %d", got.status)
	}
	r.want("and its place is free", 204, "GET", s.mailbox(), s.asLink(), nil, "?known=0&wait=1")
}

// swapping gives a lane to another claim at the moment in which it is read.
type swapping struct {
	relay.Store
	swap atomic.Pointer[func()]
}

func (s *swapping) Read(ctx context.Context, id frame.ShareID, lane frame.Candidate, side relay.Side, from uint64) ([]frame.Frame, error) {
	if f := s.swap.Swap(nil); f != nil {
		(*f)()
	}
	return s.Store.Read(ctx, id, lane, side, from)
}

func TestAStreamNeverShowsWhatAnotherClaimsLaneHolds(t *testing.T) {
	var store *swapping
	r := newRig(t, func(c *relay.Config) {
		store = &swapping{Store: c.Store}
		c.Store = store
	})
	s := r.made("swap")
	c := s.candidate("one")
	grants := r.claimed(c)
	swap := func() {
		ctx := context.Background()
		for _, err := range []error{
			store.Close(ctx, s.id, frame.Shut(c.c)),
			store.Open(ctx, s.id, c.c, [32]byte{1}, []frame.Frame{c.handshake()}),
			store.Append(ctx, s.id, c.c, relay.SenderSide, []frame.Frame{c.data(0)}),
		} {
			if err != nil {
				t.Error(err)
			}
		}
	}
	store.swap.Store(&swap)
	r.want("something changes", 204, "PUT", c.entry(wire.Sender, 0), s.asSender(), frame.Append(nil, c.data(0)))
	grants.end("the lane is another's now")
}
