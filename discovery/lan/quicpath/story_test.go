package quicpath

import (
	"context"
	"slices"
	"testing"

	"github.com/sparekey/sparekey/discovery"
	"github.com/sparekey/sparekey/node/share/sharetest"
	"github.com/sparekey/sparekey/noise/frame"
)

// All transcripts of the share's machines come to the same words, to the letter,
// when every frame goes over QUIC between two sockets.
func TestStoriesRunUnchangedOverQUIC(t *testing.T) {
	carried := 0
	sharetest.Each(t, "../../../node/share/testdata", func(t *testing.T, _, story string) {
		r := &roads{t: t, here: open(t), there: open(t), ends: map[string][2]discovery.Path{}}
		sharetest.Unchanged(t, story, sharetest.Way{Carry: r.carry})
		carried += r.carried
	})
	if carried < 500 {
		t.Errorf("%d pieces were carried in all", carried)
	}
}

// Roads are the connections between the devices of a story, one a receiver.
type roads struct {
	t           *testing.T
	here, there *Socket
	ends        map[string][2]discovery.Path // the sender's and the receiver's, by the receiver
	carried     int
}

func (r *roads) carry(t testing.TB, from, to string, frames []frame.Frame) (came [][]frame.Frame) {
	receiver, out := to, 0
	if to == sharetest.Sender {
		receiver, out = from, 1
	}
	ends, ok := r.ends[receiver]
	if !ok {
		ends = r.lay(receiver)
		r.ends[receiver] = ends
	}
	for piece := range slices.Chunk(frames, maxFrames) {
		ctx := within(t)
		sent := make(chan error, 1)
		go func() { sent <- ends[out].Send(ctx, piece...) }()
		got, err := ends[1-out].Receive(ctx)
		if err != nil {
			t.Fatalf("%s to %s: %v", from, to, err)
		}
		ends[1-out].(discovery.Direct).Taken(true)
		if err := <-sent; err != nil {
			t.Fatalf("%s to %s: %v", from, to, err)
		}
		came = append(came, got)
		r.carried++
	}
	return came
}

// lay connects a receiver with the sender.
func (r *roads) lay(receiver string) [2]discovery.Path {
	r.t.Helper()
	sender, other := pair(receiver)
	found := make(chan discovery.Path, 1)
	defer r.here.Serve(sender, func(p discovery.Path) { found <- p })()
	ctx, cancel := context.WithTimeout(r.t.Context(), patience)
	defer cancel()
	theirs, err := r.there.Dial(ctx, at(r.here), other)
	if err != nil {
		r.t.Fatal(err)
	}
	select {
	case ours := <-found:
		return [2]discovery.Path{ours, theirs}
	case <-ctx.Done():
		r.t.Fatal("the sender has no path")
		panic("unreachable")
	}
}
