package node_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sparekey/sparekey/discovery"
	"github.com/sparekey/sparekey/discovery/pathtest"
	"github.com/sparekey/sparekey/node"
	"github.com/sparekey/sparekey/node/credential"
	"github.com/sparekey/sparekey/node/share"
	"github.com/sparekey/sparekey/node/vaulttest"
	"github.com/sparekey/sparekey/noise/frame"
)

// inRoom runs two devices in virtual time in one room, without any relay.
func inRoom(t *testing.T, f func(room *pathtest.Room, alice, bob *party, sends, receives *puppet)) {
	synctest.Test(t, func(t *testing.T) {
		room := pathtest.NewRoom(2 * time.Millisecond)
		alice, bob := newParty(t), newParty(t)
		alice.Finders, bob.Finders = []discovery.Finder{room}, []discovery.Finder{room}
		sends, receives := puppets(alice, bob)
		f(room, alice, bob, sends, receives)
		alice.stop()
		bob.stop()
	})
}

// bothEnd waits until both shares are settled, soon, in these states.
func bothEnd(alice, bob *party, sender, receiver share.State) {
	alice.t.Helper()
	began := time.Now()
	if err := errors.Join(alice.live.Wait(), bob.live.Wait()); err != nil {
		alice.t.Error(err)
	}
	if took := time.Since(began); took > 3*time.Second {
		alice.t.Errorf("they were settled after %v", took)
	}
	for p, want := range map[*party]share.State{alice: sender, bob: receiver} {
		r := p.record()
		if state, reason, _, err := r.State(); err != nil || state != want || !r.Settled || r.Waiting() {
			alice.t.Errorf("the %s stands at %s (%s), want %s; settled: %v; %v", r.Role, state, reason, want, r.Settled, err)
		}
	}
}

func TestShareInTheRoomEndsOnBothSidesWithoutARelay(t *testing.T) {
	never := func(ctx context.Context, _ credential.Turn) (credential.Answer, error) {
		<-ctx.Done()
		return credential.Answer{}, ctx.Err()
	}
	for name, c := range map[string]struct {
		before           func(sends, receives *puppet)
		then             func(alice, bob *party)
		sender, receiver share.State
		placed           int
	}{
		"handed over": {nil, nil, share.Done, share.Done, 1},
		"cancelled after the pin": {func(sends, _ *puppet) { sends.send = never }, func(alice, _ *party) { alice.state(share.Pinned); alice.do(share.Cancel{}) },
			share.Cancelled, share.Cancelled, 0},
		"declined before the grant": {func(sends, _ *puppet) { sends.send = never }, func(alice, bob *party) { alice.state(share.Pinned); bob.do(share.Decline{}) },
			share.Declined, share.Declined, 0},
		"declined with the grant": {func(_, receives *puppet) { receives.receive = never }, func(_, bob *party) { bob.state(share.Provisioning); bob.do(share.Decline{}) },
			share.Declined, share.Declined, 0},
		"can't be taken": {func(_, receives *puppet) {
			receives.receive = func(context.Context, credential.Turn) (credential.Answer, error) {
				return credential.Answer{}, fmt.Errorf("%w: no such lock", credential.ErrFinal)
			}
		}, nil, share.Declined, share.Failed, 0},
		"recalled": {func(_, receives *puppet) { receives.receive = never }, func(alice, bob *party) { bob.state(share.Provisioning); alice.do(share.Cancel{}) },
			share.Cancelled, share.Cancelled, 0},
	} {
		t.Run(name, func(t *testing.T) {
			inRoom(t, func(room *pathtest.Room, alice, bob *party, sends, receives *puppet) {
				if c.before != nil {
					c.before(sends, receives)
				}
				claim(alice, bob)
				if c.then != nil {
					c.then(alice, bob)
				}
				bothEnd(alice, bob, c.sender, c.receiver)
				if n := bob.note.placed; len(n) != c.placed {
					t.Errorf("provisioned %v", n)
				}
				if n := len(room.Cables()); n != 1 {
					t.Errorf("%d cables were laid for it", n)
				}
			})
		})
	}
}

// TestCancelBeforeTheClaimEndsInTheRoomAtOnce: there is nobody to tell.
func TestCancelBeforeTheClaimEndsInTheRoomAtOnce(t *testing.T) {
	inRoom(t, func(_ *pathtest.Room, alice, bob *party, _, _ *puppet) {
		offer := alice.offer("", "the key")
		alice.start(offer)
		bob.start(bob.open(offer))
		bob.previewed()
		began := time.Now()
		alice.do(share.Cancel{})
		if err := alice.live.Wait(); err != nil || time.Since(began) > time.Second {
			t.Errorf("settled after %v: %v", time.Since(began), err)
		}
	})
}

// TestEitherSideCrashesInTheRoomAndTheShareEndsAllTheSame: after each of its states.
func TestEitherSideCrashesInTheRoomAndTheShareEndsAllTheSame(t *testing.T) {
	for _, c := range []struct {
		state share.State
		sends bool
	}{
		{share.Claimed, false}, {share.Pinned, true}, {share.Granted, true}, {share.Provisioning, false}, {share.Provisioned, false},
		{share.Done, true}, {share.Done, false},
	} {
		state := c.state
		t.Run(fmt.Sprintf("%s, the sender: %v", state, c.sends), func(t *testing.T) {
			inRoom(t, func(_ *pathtest.Room, alice, bob *party, _, _ *puppet) {
				p := bob
				if c.sends {
					p = alice
				}
				killed := &dying{Memory: p.vault, at: state}
				p.Vault = killed
				offer := alice.offer("", "the key")
				alice.start(offer)
				bob.start(bob.open(offer))
				bob.previewed()
				if err := bob.live.Accept(bob.t.Context(), nil, ""); err != nil && !errors.Is(err, errKilled) {
					t.Fatal(err)
				}
				if err := p.live.Wait(); !errors.Is(err, errKilled) {
					t.Fatalf("it was to be killed, but: %v", err)
				}
				time.Sleep(5 * time.Second) // the other side is alone for a while
				p.Vault = p.vault
				p.resume()
				bothEnd(alice, bob, share.Done, share.Done)
				if n := bob.note.placed; len(n) != 1 || bob.note.text != "the key" {
					t.Errorf("provisioned %v, received %q", n, bob.note.text)
				}
			})
		})
	}
}

// TestWhoHasEndedAnswersAfterACrash: each kind of end, where the side that hears of it is
// killed when it has saved that, and has answered nobody. The other one is alone for a while,
// and both are settled as soon as it is back.
func TestWhoHasEndedAnswersAfterACrash(t *testing.T) {
	never := func(ctx context.Context, _ credential.Turn) (credential.Answer, error) {
		<-ctx.Done()
		return credential.Answer{}, ctx.Err()
	}
	for name, c := range map[string]struct {
		ends             share.Event
		sends            bool // who ends it
		sender, receiver share.State
	}{
		"cancelled": {share.Cancel{}, true, share.Cancelled, share.Cancelled},
		"declined":  {share.Decline{}, false, share.Declined, share.Declined},
	} {
		t.Run(name, func(t *testing.T) {
			inRoom(t, func(_ *pathtest.Room, alice, bob *party, sends, _ *puppet) {
				sends.send = never
				ends, hears, state := alice, bob, c.receiver
				if !c.sends {
					ends, hears, state = bob, alice, c.sender
				}
				hears.Vault = &dying{Memory: hears.vault, at: state}
				claim(alice, bob)
				alice.state(share.Pinned)
				ends.do(c.ends)
				if err := hears.live.Wait(); !errors.Is(err, errKilled) {
					t.Fatalf("it was to be killed, but: %v", err)
				}
				time.Sleep(30 * time.Second)
				if r := ends.record(); r.Settled {
					t.Error("who has ended it is settled, and nobody has answered")
				}
				hears.Vault = hears.vault
				hears.resume()
				bothEnd(alice, bob, c.sender, c.receiver)
			})
		})
	}
}

// TestWhoIsNotAskedAgainAfterACrashWaitsForAWhile: the answer had arrived.
func TestWhoIsNotAskedAgainAfterACrashWaitsForAWhile(t *testing.T) {
	inRoom(t, func(room *pathtest.Room, alice, bob *party, _, _ *puppet) {
		bob.Vault = &dying{Memory: bob.vault, at: share.Done}
		claim(alice, bob)
		if err := bob.live.Wait(); !errors.Is(err, errKilled) {
			t.Fatalf("it was to be killed, but: %v", err)
		}
		alice.stop()
		if r := bob.record(); !r.Waiting() || r.Secret != [16]byte{} {
			t.Errorf("it waits to answer: %v; its secret is %x", r.Waiting(), r.Secret)
		}
		bob.Vault = bob.vault
		began := time.Now()
		bob.resume()
		if err := bob.live.Wait(); err != nil {
			t.Error(err)
		}
		if took, r := time.Since(began), bob.record(); took > 15*time.Second || !r.Settled || r.Waiting() || r.Path != [32]byte{} {
			t.Errorf("it was settled after %v: %v", took, r.Settled)
		}
	})
}

// TestAtAMailboxNobodyWaitsForAReceiverThatWasKilled: the mailbox has what there was to
// say. One that nobody else deletes the receiver deletes when it is back.
func TestAtAMailboxNobodyWaitsForAReceiverThatWasKilled(t *testing.T) {
	never := func(ctx context.Context, _ credential.Turn) (credential.Answer, error) {
		<-ctx.Done()
		return credential.Answer{}, ctx.Err()
	}
	for _, state := range []share.State{share.Done, share.Cancelled} {
		t.Run(string(state), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				mailbox := pathtest.NewMailbox(time.Millisecond)
				alice, bob := newParty(t), newParty(t)
				alice.Finders, bob.Finders = []discovery.Finder{mailbox}, []discovery.Finder{mailbox}
				bob.Vault = &dying{Memory: bob.vault, at: state}
				if state == share.Cancelled {
					alice.Formats = &puppet{note: alice.note, send: never}
				}
				offer := alice.offer("https://relay.example", "the key")
				alice.start(offer)
				bob.claim(offer)
				if state == share.Cancelled {
					alice.state(share.Pinned)
					alice.do(share.Cancel{})
				}
				began := time.Now()
				if err := alice.live.Wait(); err != nil || time.Since(began) > time.Second {
					t.Errorf("the sender is settled after %v: %v", time.Since(began), err)
				}
				if err := bob.live.Wait(); !errors.Is(err, errKilled) {
					t.Fatalf("it was to be killed, but: %v", err)
				}
				if bob.record().Waiting() {
					bob.Vault = bob.vault
					bob.resume()
					bob.live.Wait()
				}
				if !mailbox.Over() || bob.record().Waiting() {
					t.Errorf("the mailbox is deleted: %v; the receiver waits: %v", mailbox.Over(), bob.record().Waiting())
				}
			})
		})
	}
}

// TestAPathThatSaysItTookTheLastWordSettlesNobody: somebody who has the link stands
// between two devices, hands on all but the ends, and answers for them. Neither side
// believes that the other one knows, and both hear of it once they meet.
func TestAPathThatSaysItTookTheLastWordSettlesNobody(t *testing.T) {
	never := func(ctx context.Context, _ credential.Turn) (credential.Answer, error) {
		<-ctx.Done()
		return credential.Answer{}, ctx.Err()
	}
	for name, c := range map[string]struct {
		ends             func(alice, bob *party)
		swallows         func(discovery.Role, frame.Frame) bool
		sender, receiver share.State
	}{
		"done": {func(alice, _ *party) { alice.state(share.Done) },
			func(from discovery.Role, f frame.Frame) bool {
				return from == discovery.Sender && f.Kind() == frame.Data && f.Seq() > 0
			},
			share.Done, share.Done},
		"cancelled": {func(alice, _ *party) { alice.state(share.Pinned); alice.do(share.Cancel{}) },
			func(from discovery.Role, f frame.Frame) bool {
				return from == discovery.Sender && f.Kind() == frame.Data
			},
			share.Cancelled, share.Cancelled},
		"declined": {func(alice, bob *party) { alice.state(share.Pinned); bob.do(share.Decline{}) },
			func(from discovery.Role, f frame.Frame) bool {
				return from == discovery.Receiver && f.Kind() == frame.Data && f.Seq() > 1
			},
			share.Declined, share.Declined},
	} {
		t.Run(name, func(t *testing.T) {
			inRoom(t, func(room *pathtest.Room, alice, bob *party, sends, _ *puppet) {
				if name != "done" {
					sends.send = never
				}
				room.Shut(true)
				a, b, leave := between(c.swallows)
				defer leave()
				alice.Finders, bob.Finders = append(alice.Finders, several{a}), append(bob.Finders, several{b})
				claim(alice, bob)
				c.ends(alice, bob)
				time.Sleep(time.Minute)
				for _, p := range []*party{alice, bob} {
					if r := p.record(); r.Settled {
						t.Errorf("the %s is settled by a word of the path", r.Role)
					}
				}
				room.Shut(false)
				bothEnd(alice, bob, c.sender, c.receiver)
			})
		})
	}
}

// between lays two cables to one who hands on what comes by either, but what it
// swallows, and says of all that it was taken.
func between(swallows func(from discovery.Role, f frame.Frame) bool) (sender, receiver discovery.Direct, leave func()) {
	a, m := pathtest.NewCable("alice's", time.Millisecond).Ends()
	n, b := pathtest.NewCable("bob's", time.Millisecond).Ends()
	ctx, cancel := context.WithCancel(context.Background())
	var work sync.WaitGroup
	hand := func(from discovery.Role, in, out discovery.Direct) {
		for {
			frames, err := in.Receive(ctx)
			if err != nil {
				return
			}
			in.Taken(true)
			frames = slices.DeleteFunc(slices.Clone(frames), func(f frame.Frame) bool { return swallows(from, f) })
			if len(frames) > 0 {
				work.Go(func() { out.Send(ctx, frames...) })
			}
		}
	}
	work.Go(func() { hand(discovery.Sender, m, n) })
	work.Go(func() { hand(discovery.Receiver, n, m) })
	return a, b, func() { cancel(); m.Close(); n.Close(); work.Wait() }
}

// dying is a vault whose process is killed right behind the save of a state.
type dying struct {
	*vaulttest.Memory
	at share.State
}

var errKilled = errors.New("killed")

func (d *dying) Save(id string, b []byte) error {
	if err := d.Memory.Save(id, b); err != nil {
		return err
	}
	r, err := node.DecodeRecord(b)
	if err != nil {
		return err
	}
	if state, _, _, err := r.State(); err != nil || state == d.at {
		return errors.Join(errKilled, err)
	}
	return nil
}

// TestWhatIsNotSavedIsNotTaken: whoever sent it keeps it, and gives it to the next path.
func TestWhatIsNotSavedIsNotTaken(t *testing.T) {
	inRoom(t, func(room *pathtest.Room, alice, bob *party, _, _ *puppet) {
		full := &fullDisk{Memory: alice.vault}
		alice.Vault = full
		offer := alice.offer("", "the key")
		alice.start(offer)
		bob.start(bob.open(offer))
		bob.previewed()
		full.full = true
		bob.accept()
		if err := alice.live.Wait(); !errors.Is(err, errFull) {
			t.Fatalf("it was to be full, but: %v", err)
		}
		if _, err := alice.Load("id"); err != nil || len(room.Cables()) == 0 {
			t.Error(err)
		}
		full.full = false
		alice.resume()
		bothEnd(alice, bob, share.Done, share.Done)
	})
}

type fullDisk struct {
	*vaulttest.Memory
	full bool
}

var errFull = errors.New("no space left")

func (f *fullDisk) Save(id string, b []byte) error {
	if f.full {
		return errFull
	}
	return f.Memory.Save(id, b)
}

// TestShareInTheRoomCostsEightFrames: offer, handshake and claim, grant, provisioned and
// done, an acknowledgement of the grant, which may take its time to be used, and the last
// one of all.
func TestShareInTheRoomCostsEightFrames(t *testing.T) {
	inRoom(t, func(room *pathtest.Room, alice, bob *party, _, _ *puppet) {
		alice.Formats, bob.Formats = computed{alice.note}, computed{bob.note}
		claim(alice, bob)
		bothEnd(alice, bob, share.Done, share.Done)
		if n := room.Cables()[0].Sent.Load(); n != 8 {
			t.Errorf("%d frames went through the room", n)
		}
	})
}

// several is a finder that gives these paths at once.
type several []discovery.Path

func (s several) Find(ctx context.Context, _ discovery.Meeting, found func(discovery.Path)) error {
	for _, p := range s {
		found(p)
	}
	<-ctx.Done()
	return nil
}

// TestAnotherReceiverInTheRoomHoldsNobodyUp: it is given a few frames that aren't its own,
// refuses them, and is told when it claims that it has come too late.
func TestAnotherReceiverInTheRoomHoldsNobodyUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		alice, bob, carol := newParty(t), newParty(t), newParty(t)
		first, second := pathtest.NewCable("bob's", 3*time.Millisecond), pathtest.NewCable("carol's", time.Millisecond)
		a1, b := first.Ends()
		a2, c := second.Ends()
		alice.Finders, bob.Finders, carol.Finders = []discovery.Finder{several{a2, a1}}, []discovery.Finder{several{b}}, []discovery.Finder{several{c}}
		sends, receives := puppets(alice, bob)
		d := newDialogue(12, sends, receives)
		offer := alice.offer("", "")
		alice.start(offer)
		carol.start(carol.open(offer))
		bob.start(bob.open(offer))
		carol.previewed()
		bob.previewed()
		bob.accept()
		for n := 1; n <= d.turns; n++ {
			if took := d.say(t, n); took > 10*time.Millisecond {
				t.Errorf("message %d took %v", n, took)
			}
			switch n {
			case 8:
				if sent := second.Sent.Load(); sent > 20 {
					t.Errorf("of another's frames %d went by carol's cable", sent)
				}
				carol.accept()
				carol.state(share.Taken)
			default:
				time.Sleep(30 * time.Second)
			}
		}
		bothEnd(alice, bob, share.Done, share.Done)
		if err := carol.live.Wait(); err != nil || len(carol.note.placed) != 0 || bob.note.text != d.all() {
			t.Errorf("carol ends with %v and %v; bob has %q", err, carol.note.placed, bob.note.text)
		}
	})
}
