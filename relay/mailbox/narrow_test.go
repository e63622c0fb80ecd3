package mailbox

import (
	"context"
	"crypto/sha256"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/sparekey/sparekey/discovery"
	"github.com/sparekey/sparekey/noise/frame"
	"github.com/sparekey/sparekey/relay/relaytest"
)

// A narrow connection takes so many bytes, once it is told, and no more until it
// opens: as one does whose window is full.
type narrow struct {
	net.Conn
	mu   sync.Mutex
	some *sync.Cond
	left int // -1: all there are
}

func newNarrow(c net.Conn) *narrow {
	n := &narrow{Conn: c, left: -1}
	n.some = sync.NewCond(&n.mu)
	return n
}

func (n *narrow) allow(bytes int) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.left = bytes
	n.some.Broadcast()
}

func (n *narrow) Write(b []byte) (done int, err error) {
	for len(b) > 0 && err == nil {
		n.mu.Lock()
		for n.left == 0 {
			n.some.Wait()
		}
		some := len(b)
		if n.left > 0 {
			some = min(some, n.left)
			n.left -= some
		}
		n.mu.Unlock()
		var wrote int
		wrote, err = n.Conn.Write(b[:some])
		done, b = done+wrote, b[wrote:]
	}
	return done, err
}

func (n *narrow) Close() error {
	n.allow(-1) // who waits hears of it
	return n.Conn.Close()
}

// TestAReaderHasTheFirstFramesWhileTheLastAreOnTheirWay: of frames that don't fit what
// a connection takes at first, those that fit it are passed on at once.
func TestAReaderHasTheFirstFramesWhileTheLastAreOnTheirWay(t *testing.T) {
	url, r, c := relaytest.Start(t), newRig(t), frame.Candidate{7}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	receiver, _ := r.find(t, url, discovery.Receiver)

	dialled := make(chan *narrow, 100)
	finder := New(Config{Dial: func(ctx context.Context, network, addr string) (net.Conn, error) {
		conn, err := (&net.Dialer{}).DialContext(ctx, network, addr)
		if err != nil {
			return nil, err
		}
		n := newNarrow(conn)
		dialled <- n
		return n, nil
	}})
	m := discovery.Meeting{
		ID: r.id, Role: discovery.Sender, Relay: url, View: r.view, Token: r.sender,
		Create: &discovery.Create{Preimage: r.preimage, TTL: time.Hour, Lanes: 4},
	}
	paths := make(chan discovery.Path, 100)
	found := make(chan error, 1)
	go func() { found <- finder.Find(ctx, m, func(p discovery.Path) { paths <- p }) }()
	sender := <-paths
	send(t, sender, r.offer)
	receive(t, receiver)
	send(t, receiver, random(frame.Handshake, c, 0), random(frame.Data, c, 1))
	receive(t, sender)
	if err := sender.(discovery.Mailbox).Settle(ctx, discovery.Decision{Pinned: c, Claim: sha256.Sum256(r.claim[:])}); err != nil {
		t.Fatal(err)
	}

	var frames []frame.Frame
	for seq := range uint64(20) {
		frames = append(frames, frame.New(frame.Data, c, seq, make([]byte, 4<<10)))
	}
	conn := <-dialled
	conn.allow(14 << 10)
	sent := make(chan error, 1)
	go func() { sent <- sender.Send(ctx, frames...) }()
	came := 0
	for came < 3 {
		came += len(receive(t, receiver))
	}
	if came != 3 {
		t.Errorf("%d frames came of the three that fit", came)
	}
	conn.allow(-1)
	for came < len(frames) {
		came += len(receive(t, receiver))
	}
	if err := <-sent; err != nil || came != len(frames) {
		t.Errorf("%d of %d frames came, and the sender hears: %v", came, len(frames), err)
	}
	cancel()
	<-found
}
