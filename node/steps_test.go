package node_test

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sparekey/sparekey/discovery"
	"github.com/sparekey/sparekey/discovery/pathtest"
	"github.com/sparekey/sparekey/node"
	"github.com/sparekey/sparekey/node/credential"
	"github.com/sparekey/sparekey/node/share"
)

// patch is a finder that gives the paths a test plugs in.
type patch chan discovery.Path

func (p patch) Find(ctx context.Context, _ discovery.Meeting, found func(discovery.Path)) error {
	for {
		select {
		case path := <-p:
			found(path)
		case <-ctx.Done():
			return nil
		}
	}
}

// TestRecordTellsWhichStepCameByWhichPath: a share that begins by one path and goes on
// by another; its state stays the same while it moves, and the person is told.
func TestRecordTellsWhichStepCameByWhichPath(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		alice, bob := newParty(t), newParty(t)
		sends, receives := puppets(alice, bob)
		sockets := [2]patch{make(patch), make(patch)}
		alice.Finders, bob.Finders = []discovery.Finder{sockets[0]}, []discovery.Finder{sockets[1]}
		plug := func(c *pathtest.Cable) {
			a, b := c.Ends()
			sockets[0] <- a
			sockets[1] <- b
		}
		asked, rest := make(chan struct{}), make(chan struct{})
		sends.send = func(_ context.Context, turn credential.Turn) (credential.Answer, error) {
			if turn.In == nil {
				return credential.Answer{Out: [][]byte{[]byte("whose key?")}}, nil
			}
			return credential.Answer{Out: [][]byte{[]byte("the key")}, Grants: true, Done: true}, nil
		}
		receives.receive = func(_ context.Context, turn credential.Turn) (credential.Answer, error) {
			if string(turn.In) == "whose key?" {
				close(asked)
				<-rest
				return credential.Answer{Out: [][]byte{[]byte("bens")}}, nil
			}
			return credential.Answer{State: turn.In, Done: true}, nil
		}
		hall, kitchen := pathtest.NewCable("in the hall", time.Millisecond), pathtest.NewCable("in the kitchen", time.Millisecond)
		offer := alice.offer("", "the key")
		alice.start(offer)
		bob.start(bob.open(offer))
		plug(hall)
		bob.previewed()
		bob.accept()
		<-asked
		synctest.Wait()
		hall.Break()
		plug(kitchen)
		close(rest)
		moved := alice.until("it goes on in the kitchen", func(u node.Update) bool { return u.Path == "cable in the kitchen" })
		if moved.State != share.Pinned || moved.Notice != nil {
			t.Errorf("told that it goes on in the kitchen at %s, with %v", moved.State, moved.Notice)
		}
		bob.state(share.Done)
		alice.state(share.Done)
		for p, want := range map[*party][]node.Step{
			alice: {{State: share.Pinned, Path: "cable in the hall"}, {State: share.Done, Path: "cable in the kitchen"}},
			bob: {{State: share.Viewed, Path: "cable in the hall"}, {State: share.Provisioning, Path: "cable in the kitchen"},
				{State: share.Done, Path: "cable in the kitchen"}},
		} {
			if r := p.record(); !slices.Equal(r.Steps, want) || !slices.Equal(r.Paths, []string{"cable in the hall", "cable in the kitchen"}) {
				t.Errorf("%s: %v by %q, want %v", r.Role, r.Steps, r.Paths, want)
			}
		}
		alice.stop()
		bob.stop()
	})
}

// TestRecordOfManyPathsStaysSmall: a claim that is handed back and made again a
// hundred times, each time by another path.
func TestRecordOfManyPathsStaysSmall(t *testing.T) {
	var r node.Record
	for i := range 100 {
		for _, s := range []share.State{share.Pinned, share.Offered} {
			node.Carried(&r, fmt.Sprint("path ", i), node.Step{State: s, Path: fmt.Sprint("path ", i)})
		}
	}
	want := []node.Step{{State: share.Pinned, Path: "path 99"}, {State: share.Offered, Path: "path 99"}}
	if !slices.Equal(r.Steps, want) || len(r.Paths) != 8 {
		t.Errorf("%v and %q", r.Steps, r.Paths)
	}
}
