package node_test

import (
	"context"
	"fmt"
	"slices"
	"testing"

	"github.com/sparekey/sparekey/node"
	"github.com/sparekey/sparekey/node/credential"
	"github.com/sparekey/sparekey/node/share"
	"github.com/sparekey/sparekey/node/vaulttest"
	"github.com/sparekey/sparekey/relay/relaytest"
)

// computed is note as a format that only computes.
type computed struct{ *note }

func (computed) Computed() {}

func (c computed) Lookup(name string) (credential.Format, error) {
	if _, err := c.note.Lookup(name); err != nil {
		return nil, err
	}
	return c, nil
}

// saving is a vault that tells which states were saved, in order.
type saving struct {
	*vaulttest.Memory
	states []share.State // of one goroutine at a time
}

func (s *saving) Save(id string, b []byte) error {
	r, err := node.DecodeRecord(b)
	if err != nil {
		return err
	}
	state, _, _, err := r.State()
	if err != nil {
		return err
	}
	if n := len(s.states); n == 0 || s.states[n-1] != state {
		s.states = append(s.states, state)
	}
	return s.Memory.Save(id, b)
}

// asking is note as a format that makes something when it is asked to send: it
// wants to know that the pin is saved.
type asking struct {
	*note
	vault *saving
	saved []share.State // when it was asked
}

func (a *asking) Send(ctx context.Context, t credential.Turn) (credential.Answer, error) {
	a.saved = slices.Clone(a.vault.states)
	return a.note.Send(ctx, t)
}

func (a *asking) Lookup(name string) (credential.Format, error) {
	if _, err := a.note.Lookup(name); err != nil {
		return nil, err
	}
	return a, nil
}

// exchange runs a share between two devices to its end.
func exchange(t *testing.T, alice, bob *party) {
	t.Helper()
	offer := alice.offer(relaytest.Start(t), "the spare key")
	alice.start(offer)
	bob.claim(offer)
	bob.state(share.Done)
	alice.until("the end is known", func(u node.Update) bool { return u.State == share.Done && u.Known })
	alice.stop()
	bob.stop()
	if bob.note.text != "the spare key" {
		t.Errorf("received %q", bob.note.text)
	}
}

func TestComputedAnswerIsSavedInOneWithWhatAskedForIt(t *testing.T) {
	alice, bob := newParty(t), newParty(t)
	sender, receiver := &saving{Memory: alice.vault}, &saving{Memory: bob.vault}
	alice.Device.Vault, alice.Device.Formats = sender, computed{alice.note}
	bob.Device.Vault, bob.Device.Formats = receiver, computed{bob.note}
	exchange(t, alice, bob)
	for who, got := range map[string][]share.State{"sender": sender.states, "receiver": receiver.states} {
		want := map[string][]share.State{
			"sender":   {share.Offered, share.Granted, share.Done},
			"receiver": {share.Claimed, share.Provisioning, share.Provisioned, share.Done},
		}[who]
		if fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("the %s saved %v, want %v", who, got, want)
		}
	}
}

func TestFormatThatMakesSomethingIsAskedOnceThePinIsSaved(t *testing.T) {
	alice, bob := newParty(t), newParty(t)
	sender := &saving{Memory: alice.vault}
	format := &asking{note: alice.note, vault: sender}
	alice.Device.Vault, alice.Device.Formats = sender, format
	exchange(t, alice, bob)
	if want := []share.State{share.Offered, share.Pinned}; !slices.Equal(format.saved, want) {
		t.Errorf("when the format was asked, saved were %v, want %v", format.saved, want)
	}
}

func TestCancelOfAShareThatLiesStillComesBeforeAClaimThatWaits(t *testing.T) {
	relay := relaytest.Start(t)
	alice, bob := newParty(t), newParty(t)
	alice.Device.Formats, bob.Device.Formats = computed{alice.note}, computed{bob.note}
	offer := alice.offer(relay, "the spare key")
	alice.start(offer)
	alice.leave(share.Offered)
	bob.claim(offer)
	bob.stored(share.Claimed)

	r, err := alice.Load("id")
	if err != nil {
		t.Fatal(err)
	}
	alice.start(r, share.Cancel{})
	alice.until("the end is known", func(u node.Update) bool { return u.Known })
	bob.until("an end", func(u node.Update) bool { return u.State.Ended() })
	alice.stop()
	if got, _, _, err := alice.live.Record().State(); got != share.Cancelled || err != nil || bob.note.text != "" {
		t.Errorf("the sender's share ended as %s (%v), and %q was received", got, err, bob.note.text)
	}
}
