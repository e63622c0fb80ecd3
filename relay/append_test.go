package relay_test

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/http"
	"testing"

	"github.com/sparekey/sparekey/noise/frame"
	"github.com/sparekey/sparekey/relay"
	"github.com/sparekey/sparekey/relay/wire"
)

// A trickle is an append whose body is sent piece by piece.
type trickle struct {
	t      *testing.T
	w      *io.PipeWriter
	status chan int
}

// begin starts an append, with a length told or not.
func (r *rig) begin(p wire.Path, h http.Header, length int64) *trickle {
	r.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	body, w := io.Pipe()
	req, err := http.NewRequestWithContext(ctx, "PUT", r.base+p.String(), body)
	if err != nil {
		r.t.Fatal(err)
	}
	req.Header, req.ContentLength = h, length
	s := &trickle{r.t, w, make(chan int, 1)}
	go func() {
		defer cancel()
		res, err := r.client.Do(req)
		if err != nil {
			s.status <- 0
			return
		}
		res.Body.Close()
		s.status <- res.StatusCode
	}()
	return s
}

func (s *trickle) send(b []byte) {
	s.t.Helper()
	if _, err := s.w.Write(b); err != nil {
		s.t.Fatal(err)
	}
}

func (s *trickle) end(why string, status int) {
	s.t.Helper()
	s.w.Close()
	if got := <-s.status; got != status {
		s.t.Errorf("%s: got %d, want %d", why, got, status)
	}
}

// lengthOf is a body's.
func lengthOf(frames ...frame.Frame) int64 { return int64(len(frame.Append(nil, frames...))) }

func TestFramesOfAnAppendArePassedOnAsTheyCome(t *testing.T) {
	r := newRig(t)
	s := r.made("come")
	c := s.candidate("one")
	r.claimed(c)
	claims := r.open("GET", s.at(wire.Claims).String(), s.asSender(), nil)
	claims.want("what is there", c.handshake(), c.data(1))
	put := r.begin(c.entry(wire.Receiver, 2), c.holder().header(), lengthOf(c.data(2), c.data(3), c.data(4)))
	put.send(frame.Append(nil, c.data(2)))
	claims.want("the first frame, while the second hasn't been sent", c.data(2))
	last := frame.Append(nil, c.data(4))
	put.send(append(frame.Append(nil, c.data(3)), last[:100]...))
	claims.want("the second, while the third is half here", c.data(3))
	put.send(last[100:])
	put.end("all of it", 204)
	claims.want("the third", c.data(4))
}

// TestABrokenAppendLeavesWholeFramesAndItsDeviceGoesOn: what stands before a fault is
// taken, and the same frames again, whole, are taken from where it broke.
func TestABrokenAppendLeavesWholeFramesAndItsDeviceGoesOn(t *testing.T) {
	many := func(c candidate) (frames []frame.Frame) {
		for i := range uint64(wire.MaxFrames + 1) {
			frames = append(frames, c.data(i+2))
		}
		return frames
	}
	for why, broken := range map[string]struct {
		body func(c, other candidate) []byte
		left int // of its frames
	}{
		"a gap between frames":        {func(c, _ candidate) []byte { return frame.Append(nil, c.data(2), c.data(4)) }, 1},
		"another candidate's frame":   {func(c, d candidate) []byte { return frame.Append(nil, c.data(2), c.data(3), d.data(4)) }, 2},
		"what is no frame":            {func(c, _ candidate) []byte { return append(frame.Append(nil, c.data(2)), "\x00\x00\x00\x20{}"...) }, 1},
		"a length that no frame has":  {func(c, _ candidate) []byte { return append(frame.Append(nil, c.data(2)), "{}{}{}"...) }, 1},
		"half a frame":                {func(c, _ candidate) []byte { return frame.Append(nil, c.data(2), c.data(3))[:400] }, 1},
		"a frame more than there may": {func(c, _ candidate) []byte { return frame.Append(nil, many(c)...) }, wire.MaxFrames},
	} {
		t.Run(why, func(t *testing.T) {
			overBoth(t, func(c *relay.Config) { c.Store = relay.NewMemory(c.Now, relay.Limits{}) }, func(t *testing.T, r *rig) {
				s := r.made("broken")
				c := s.candidate("one")
				r.claimed(c)
				r.want(why, 400, "PUT", c.entry(wire.Receiver, 2), c.holder(), broken.body(c, s.candidate("two")))
				all := many(c)
				r.open("GET", c.log(wire.Receiver).String()+"?from=2", s.asSender(), nil).want("what stands before the fault", all[:broken.left]...)
				r.want("the same again, as far as it goes", 204, "PUT", c.entry(wire.Receiver, 2), c.holder(), frame.Append(nil, all[:wire.MaxFrames]...))
				r.open("GET", c.log(wire.Receiver).String()+"?from=2", s.asSender(), nil).want("all of it, once", all[:wire.MaxFrames]...)
			})
		})
	}
}

func TestABodyThatEndsTooEarlyLeavesItsWholeFrames(t *testing.T) {
	r := newRig(t)
	s := r.made("early")
	c := s.candidate("one")
	r.claimed(c)
	conn, err := net.Dial("tcp", r.base[len("http://"):])
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	whole := frame.Append(nil, c.data(2), c.data(3))
	for name, value := range c.holder().header() {
		whole = append([]byte(name+": "+value[0]+"\r\n\r\n"), whole...)
	}
	head := "PUT " + c.entry(wire.Receiver, 2).String() + " HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n"
	conn.Write(append([]byte(head), whole...))
	conn.(*net.TCPConn).CloseWrite()
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil || resp.StatusCode != 400 {
		t.Errorf("got %v, %v; want 400", resp, err)
	}
	r.open("GET", s.at(wire.Claims).String(), s.asSender(), nil).want("the two whole frames of a torn request", c.handshake(), c.data(1), c.data(2), c.data(3))
}

func TestFramesThatComeTogetherAreOneWrite(t *testing.T) {
	r := newRig(t)
	s := r.made("together")
	c := s.candidate("one")
	r.claimed(c)
	r.store.asked()
	r.want("three frames", 204, "PUT", c.entry(wire.Receiver, 2), c.holder(), frame.Append(nil, c.data(2), c.data(3), c.data(4)))
	if got := r.appends(); got != 1 {
		t.Errorf("the store was asked %d times, want once", got)
	}
}

// appends returns how often the store was asked to append since it was last looked at.
func (r *rig) appends() (n int) {
	for _, name := range names(r.store.asked()) {
		if name == "Append" {
			n++
		}
	}
	return n
}

// TestQTA04AnAppendIsStoredInSeveralWritesOnlyWhereTheBoundHasRoomForThem: whoever
// sends frame by frame makes the relay write its record for each; that counts, and
// where nothing is left of the bound the rest is one write, and none is refused.
func TestQTA04AnAppendIsStoredInSeveralWritesOnlyWhereTheBoundHasRoomForThem(t *testing.T) {
	const cost = 4096 // of a write, beside its bytes
	for why, c := range map[string]struct {
		told  bool // the body's length
		room  int  // for so many writes
		least int
		most  int
	}{
		"room for all": {true, 9, 3, 3}, "room for one more": {true, 2, 2, 2}, "room for none more": {true, 1, 1, 1}, "no length": {false, 9, 1, 1},
	} {
		t.Run(why, func(t *testing.T) {
			var frames []frame.Frame
			sh := newShare("writes")
			cand := sh.candidate("one")
			for seq := uint64(2); seq < 5; seq++ {
				frames = append(frames, cand.data(seq))
			}
			length := lengthOf(frames...)
			r := newRig(t, func(cfg *relay.Config) {
				cfg.ClientAddr = byHeader
				cfg.Quotas.WriteBytes, cfg.Quotas.WriteBurst = 1, int(length)+cost*c.room
			})
			r.made("writes")
			r.claimed(cand)
			r.store.asked()
			told := length
			if !c.told {
				told = -1
			}
			put := r.begin(cand.entry(wire.Receiver, 2), from(cand.holder(), "192.0.2.1"), told)
			claims := r.open("GET", sh.at(wire.Claims).String(), sh.asSender(), nil)
			claims.want("what was there", cand.handshake(), cand.data(1))
			for i, f := range frames {
				put.send(frame.Append(nil, f))
				if i+1 < c.least {
					claims.want("a frame that is stored before the rest", f)
				}
			}
			put.end("all of it", 204)
			if got := r.appends(); got < c.least || got > c.most {
				t.Errorf("%d writes, want %d to %d", got, c.least, c.most)
			}
			if got := r.doWith(t.Context(), "PUT", cand.entry(wire.Receiver, 2).String(), from(cand.holder(), "192.0.2.1"), frame.Append(nil, frames...)); c.told && c.room < 3 && got.status != 429 {
				t.Errorf("the bound is used up, and the next append gets %d", got.status)
			}
		})
	}
}

func TestAnAppendThatIsRefusedIsReadToItsEnd(t *testing.T) {
	overBoth(t, plain, func(t *testing.T, r *rig) {
		s := r.made("refused")
		c := s.candidate("one")
		r.claimed(c)
		large := frame.New(frame.Data, c.c, 3, make([]byte, 60<<10))
		var body []frame.Frame
		for range 16 {
			body = append(body, large)
		}
		for range 4 { // whoever answers too early breaks a connection now and then
			r.want("a gap", 409, "PUT", c.entry(wire.Receiver, 3), c.holder(), frame.Append(nil, body...))
		}
	})
}
