package mailbox

import (
	"context"
	"testing"

	"github.com/sparekey/sparekey/discovery"
	"github.com/sparekey/sparekey/node/share/sharetest"
	"github.com/sparekey/sparekey/noise/frame"
	"github.com/sparekey/sparekey/relay/relaytest"
)

// TestStoriesRunUnchangedOverAMailbox: all transcripts of the share's machines come to
// the same words when each delivery goes by a mailbox of its own, at a real relay.
func TestStoriesRunUnchangedOverAMailbox(t *testing.T) {
	url, carried := relaytest.Start(t), 0
	sharetest.Each(t, "../../node/share/testdata", func(t *testing.T, _, story string) {
		sharetest.Unchanged(t, story, sharetest.Way{Carry: func(_ testing.TB, _, to string, frames []frame.Frame) [][]frame.Frame {
			carried += len(frames)
			return [][]frame.Frame{throughMailbox(t, url, to == sharetest.Sender, frames)}
		}})
	})
	if carried < 500 {
		t.Errorf("%d frames were carried in all", carried)
	}
}

// throughMailbox puts frames into a new mailbox and returns them as they come out.
// Acknowledgements don't go by mailboxes: here they come by themselves.
func throughMailbox(t *testing.T, url string, toSender bool, frames []frame.Frame) (came []frame.Frame) {
	t.Helper()
	r := newRig(t)
	sender, leave := r.open(url, discovery.Sender, nil)
	defer leave()
	receiver, leave := r.open(url, discovery.Receiver, nil)
	defer leave()
	wanted := map[string]bool{}
	for _, f := range frames {
		if f.Kind() == frame.Ack || len(f.Sealed()) == 0 {
			came = append(came, f)
		} else {
			wanted[string(f)] = true
		}
	}
	r.putOffers(t, sender, frames)
	from, to := sender, receiver
	if toSender {
		from, to = receiver, sender
	}
	putFrames(t, from, receiver, frames)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for len(wanted) > 0 {
		got, err := to.Receive(ctx)
		if err != nil {
			t.Fatalf("%d of %d frames haven't come: %v", len(wanted), len(frames), err)
		}
		for _, f := range got { // what makes the mailbox, opens a lane or bridges isn't the story's
			if wanted[string(f)] {
				delete(wanted, string(f))
				came = append(came, f)
			}
		}
	}
	return came
}

// putOffers makes the mailbox: with the story's offer, or one in its place, and with
// others before it where it isn't the first.
func (r *rig) putOffers(t *testing.T, sender discovery.Path, frames []frame.Frame) {
	t.Helper()
	offers := []frame.Frame{r.offer}
	for _, f := range frames {
		if f.Kind() == frame.Offer {
			for uint64(len(offers)) <= f.Seq() {
				offers = append(offers, random(frame.Offer, frame.Candidate{}, uint64(len(offers))))
			}
			offers[f.Seq()] = f
		}
	}
	for _, f := range offers {
		send(t, sender, f)
	}
}

// putFrames puts the rest in, each candidate's into its lane.
func putFrames(t *testing.T, from discovery.Mailbox, receiver discovery.Path, frames []frame.Frame) {
	t.Helper()
	lanes, logs := []frame.Candidate{}, map[frame.Candidate][]frame.Frame{}
	for _, f := range frames {
		if c := f.Candidate(); f.Kind() != frame.Offer && f.Kind() != frame.Ack && len(f.Sealed()) > 0 {
			if logs[c] == nil {
				lanes = append(lanes, c)
			}
			logs[c] = append(logs[c], f)
		}
	}
	for _, c := range lanes {
		log := logs[c]
		if log[0].Kind() != frame.Handshake {
			send(t, receiver, random(frame.Handshake, c, 0))
		}
		if log[0].Kind() != frame.Taken {
			send(t, from, log...)
		} else if err := from.Settle(t.Context(), discovery.Decision{Closed: log[:1]}); err != nil {
			t.Fatal(err)
		}
	}
}

func send(t *testing.T, p discovery.Path, frames ...frame.Frame) {
	t.Helper()
	if err := p.Send(t.Context(), frames...); err != nil {
		t.Fatal(err)
	}
}
