package node_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sparekey/sparekey/discovery"
	"github.com/sparekey/sparekey/node"
	"github.com/sparekey/sparekey/node/credential"
	"github.com/sparekey/sparekey/node/share"
	"github.com/sparekey/sparekey/noise/frame"
)

// puppet is a format whose every answer a test gives; without one it is a note.
type puppet struct {
	*note
	send, receive func(context.Context, credential.Turn) (credential.Answer, error)
	provision     func(context.Context) error
	there         func() (bool, error)
	sent          atomic.Int32 // how often send was asked
}

func (p *puppet) Lookup(string) (credential.Format, error) { return p, nil }

func (p *puppet) Send(ctx context.Context, t credential.Turn) (credential.Answer, error) {
	p.sent.Add(1)
	if p.send == nil {
		return p.note.Send(ctx, t)
	}
	return p.send(ctx, t)
}

func (p *puppet) Receive(ctx context.Context, t credential.Turn) (credential.Answer, error) {
	if p.receive == nil {
		return p.note.Receive(ctx, t)
	}
	return p.receive(ctx, t)
}

func (p *puppet) Provision(ctx context.Context, key string, state []byte) error {
	if p.provision != nil {
		if err := p.provision(ctx); err != nil {
			return err
		}
	}
	return p.note.Provision(ctx, key, state)
}

func (p *puppet) Provisioned(ctx context.Context, key string, state []byte) (bool, error) {
	if p.there != nil {
		return p.there()
	}
	return p.note.Provisioned(ctx, key, state)
}

// puppets gives both devices formats whose answers a test gives.
func puppets(alice, bob *party) (sends, receives *puppet) {
	sends, receives = &puppet{note: alice.note}, &puppet{note: bob.note}
	alice.Formats, bob.Formats = sends, receives
	return sends, receives
}

// inBubble runs a share in virtual time between two devices, an hour apart, up to
// the receiver's acceptance.
func inBubble(t *testing.T, f func(alice, bob *party, sends, receives *puppet)) {
	synctest.Test(t, func(t *testing.T) {
		a, b := make(chan []frame.Frame), make(chan []frame.Frame)
		alice, bob := newParty(t), newParty(t)
		alice.Finders = []discovery.Finder{finder{&wire{out: a, in: b}}}
		bob.Finders = []discovery.Finder{finder{&wire{out: b, in: a}}}
		alice.patience, bob.patience = 20*time.Hour, 20*time.Hour
		sends, receives := puppets(alice, bob)
		f(alice, bob, sends, receives)
		alice.stop()
		bob.stop()
	})
}

// claim brings a share to its acceptance.
func claim(alice, bob *party) {
	offer := alice.offer("", "the key")
	alice.start(offer)
	bob.claim(offer)
}

func (p *party) do(e share.Event) {
	p.t.Helper()
	if err := p.live.Do(p.t.Context(), e); err != nil {
		p.t.Fatal(err)
	}
}

// TestFormatThatFailsForGoodAfterTheGrantIsAskedNoMore: the receiver is asked back
// instead, and the share ends.
func TestFormatThatFailsForGoodAfterTheGrantIsAskedNoMore(t *testing.T) {
	inBubble(t, func(alice, bob *party, sends, receives *puppet) {
		sends.send = func(ctx context.Context, turn credential.Turn) (credential.Answer, error) {
			switch {
			case turn.In == nil:
				return credential.Answer{Out: [][]byte{[]byte("half a key")}, Grants: true}, nil
			case sends.sent.Load() > 10: // without a pause this would go on for ever
				<-ctx.Done()
			}
			return credential.Answer{}, fmt.Errorf("%w: the lock is broken", credential.ErrFinal)
		}
		receives.receive = func(context.Context, credential.Turn) (credential.Answer, error) {
			return credential.Answer{Out: [][]byte{[]byte("and the other half?")}}, nil
		}
		claim(alice, bob)
		u := alice.until("the end", func(u node.Update) bool { return u.State == share.Cancelled })
		bob.state(share.Cancelled)
		if n := sends.sent.Load(); n != 2 || !strings.Contains(u.Reason, "the lock is broken") {
			t.Errorf("the format was asked %d times, and the end's reason is %q", n, u.Reason)
		}
	})
}

// TestCancelStopsTheFormat: a share that was cancelled asks no issuer again, and
// what is being asked is told to stop.
func TestCancelStopsTheFormat(t *testing.T) {
	for name, hangs := range map[string]bool{"between two tries": false, "while it is being asked": true} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(alice, bob *party, sends, _ *puppet) {
				stopped := make(chan struct{})
				sends.send = func(ctx context.Context, _ credential.Turn) (credential.Answer, error) {
					if hangs {
						<-ctx.Done()
						close(stopped)
						return credential.Answer{}, ctx.Err()
					}
					return credential.Answer{}, errors.New("the issuer can't be reached")
				}
				claim(alice, bob)
				alice.state(share.Pinned)
				time.Sleep(5 * time.Minute) // virtual
				if hangs {
					alice.do(share.Cancel{})
					<-stopped
				} else {
					alice.until("trouble", func(u node.Update) bool { return u.Err != nil && !u.Held })
					alice.do(share.Cancel{})
				}
				asked := sends.sent.Load()
				bob.state(share.Cancelled)
				time.Sleep(10 * time.Hour)
				if again := sends.sent.Load() - asked; again != 0 {
					t.Errorf("a cancelled share asked its format %d times more", again)
				}
			})
		})
	}
}

// TestTroubleThatMayPassIsTriedEverLater: no format is asked without a pause.
func TestTroubleThatMayPassIsTriedEverLater(t *testing.T) {
	inBubble(t, func(alice, bob *party, sends, receives *puppet) {
		var asked []time.Time
		sends.send = func(ctx context.Context, turn credential.Turn) (credential.Answer, error) {
			if asked = append(asked, time.Now()); len(asked) < 10 {
				return credential.Answer{}, errors.New("not now")
			}
			return sends.note.Send(ctx, turn)
		}
		looks := 0
		receives.there = func() (bool, error) {
			if looks++; looks < 5 {
				return false, fmt.Errorf("%w: no wallet", errors.New("not now"))
			}
			return false, nil
		}
		claim(alice, bob)
		bob.state(share.Provisioned)
		for i := 1; i < len(asked); i++ {
			if pause := asked[i].Sub(asked[i-1]); pause < time.Second || i > 1 && i < 5 && pause <= asked[i-1].Sub(asked[i-2]) {
				t.Errorf("try %d came %v after the one before", i, pause)
			}
		}
		if looks != 5 || bob.note.text != "the key" {
			t.Errorf("looked %d times, received %q", looks, bob.note.text)
		}
	})
}

// cantWrite brings a share to where the receiver's format can't put the credential
// in its place, and the person has to do something.
func cantWrite(alice, bob *party, receives *puppet) {
	receives.provision = func(context.Context) error { return errors.New("no space left") }
	claim(alice, bob)
	bob.until("that it is held", func(u node.Update) bool { return u.Held })
}

// TestDeclineAfterAFormatCouldNotWriteWorksInANewProcess: what the format said to
// the old one isn't saved, so it is asked once more, and not to provision again.
func TestDeclineAfterAFormatCouldNotWriteWorksInANewProcess(t *testing.T) {
	inBubble(t, func(alice, bob *party, _, receives *puppet) {
		cantWrite(alice, bob, receives)
		bob.stop()
		receives.provision = func(context.Context) error { t.Error("it was provisioned once more"); return nil }
		looked := make(chan struct{})
		receives.there = func() (bool, error) { time.Sleep(time.Minute); close(looked); return false, nil }
		bob.resume()
		bob.do(share.Decline{Reason: "no room for it"})
		<-looked
		bob.state(share.Declined)
		u := alice.until("the end", func(u node.Update) bool { return u.State.Ended() })
		if u.State != share.Declined || u.Reason != "no room for it" {
			t.Errorf("the sender's share is %s (%s)", u.State, u.Reason)
		}
	})
}

// TestDeclineWaitsForTheFormatThatProvisions: the sender never hears of a decline
// for a credential that is there.
func TestDeclineWaitsForTheFormatThatProvisions(t *testing.T) {
	for name, succeeds := range map[string]bool{"it can't be done": false, "it is done": true} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(alice, bob *party, _, receives *puppet) {
				began, finish := make(chan struct{}), make(chan error)
				receives.provision = func(context.Context) error { close(began); return <-finish }
				claim(alice, bob)
				<-began
				declined := make(chan error)
				go func() { declined <- bob.live.Do(bob.t.Context(), share.Decline{}) }()
				synctest.Wait()
				want := share.Done
				if succeeds {
					finish <- nil
				} else {
					want = share.Declined
					finish <- errors.New("no space left")
				}
				if err := <-declined; err != nil {
					t.Error(err)
				}
				bob.state(map[bool]share.State{true: share.Provisioned, false: share.Declined}[succeeds])
				alice.state(want)
			})
		})
	}
}

// TestDeclineIsRefusedWhereTheFormatCantTell: whether the credential is in its
// place isn't known, so no word about it can be given.
func TestDeclineIsRefusedWhereTheFormatCantTell(t *testing.T) {
	for name, trouble := range map[string]error{"now": errors.New("no wallet"), "for good": fmt.Errorf("%w: no wallet", credential.ErrFinal)} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(alice, bob *party, _, receives *puppet) {
				cantWrite(alice, bob, receives)
				bob.stop()
				var looks atomic.Int32
				receives.there = func() (bool, error) { looks.Add(1); time.Sleep(time.Minute); return false, trouble }
				bob.resume()
				if err := bob.live.Do(bob.t.Context(), share.Decline{}); !errors.Is(err, trouble) {
					t.Errorf("got %v, want why the format can't tell", err)
				}
				time.Sleep(time.Hour)
				if state, _, _, err := bob.record().State(); err != nil || state != share.Provisioning || looks.Load() > 100 {
					t.Errorf("the share stands at %s after %d looks: %v", state, looks.Load(), err)
				}
			})
		})
	}
}

// TestCredentialThatIsInItsPlaceThoughPuttingItThereFailedIsProvisioned: of a folder
// that can't be synced nobody knows by the error what it has. Until the format tells,
// a decline is refused; else the sender would hear of one for a credential that is there.
func TestCredentialThatIsInItsPlaceThoughPuttingItThereFailedIsProvisioned(t *testing.T) {
	inBubble(t, func(alice, bob *party, _, receives *puppet) {
		var placed, tells atomic.Bool
		trouble, looks := errors.New("the disk is busy"), atomic.Int32{}
		receives.provision = func(context.Context) error { placed.Store(true); return errors.New("the folder can't be synced") }
		receives.there = func() (bool, error) {
			if looks.Add(1); placed.Load() && !tells.Load() {
				return false, trouble
			}
			return placed.Load(), nil
		}
		claim(alice, bob)
		bob.until("trouble", func(u node.Update) bool { return errors.Is(u.Err, trouble) && !u.Held })
		if err := bob.live.Do(bob.t.Context(), share.Decline{}); !errors.Is(err, trouble) {
			t.Errorf("a decline is answered with %v, want why the format can't tell", err)
		}
		time.Sleep(time.Hour)
		if n := looks.Load(); n > 150 {
			t.Errorf("the format was asked %d times in an hour", n)
		}
		tells.Store(true)
		bob.state(share.Provisioned)
		alice.state(share.Done)
	})
}

// TestAnotherPlaceIsGivenOnlyWhereTheCredentialIsNotInItsPlaceYet: as after a crash
// between placing it and saving that, it would be placed twice.
func TestAnotherPlaceIsGivenOnlyWhereTheCredentialIsNotInItsPlaceYet(t *testing.T) {
	inBubble(t, func(alice, bob *party, _, receives *puppet) {
		cantWrite(alice, bob, receives)
		bob.stop()
		saved, trouble := bob.record(), errors.New("no wallet")
		to := func(state string) (node.Record, error) {
			return bob.Retarget(t.Context(), saved, func([]byte) ([]byte, error) { return []byte(state), nil })
		}
		changed := func(r node.Record) bool { return !bytes.Equal(r.Machine, saved.Machine) }
		receives.there = func() (bool, error) { return true, nil }
		if r, err := to("elsewhere"); err != nil || changed(r) {
			t.Errorf("where it is in its place already, another is given: %v, %v", changed(r), err)
		}
		receives.there = func() (bool, error) { return false, trouble }
		if r, err := to("elsewhere"); !errors.Is(err, trouble) || changed(r) {
			t.Errorf("where the format can't tell, another is given: %v, %v", changed(r), err)
		}
		receives.there = func() (bool, error) { return false, nil }
		r, err := to("elsewhere")
		if err != nil || !changed(r) {
			t.Fatalf("another place is given: %v, %v", changed(r), err)
		}
		receives.provision = nil
		bob.start(r)
		bob.state(share.Provisioned)
		if bob.note.text != "elsewhere" {
			t.Errorf("it is at %q", bob.note.text)
		}
	})
}

// TestAnotherPlaceForAShareWhoseTimeIsUpEndsNothingBehindTheVaultsBack: a format that
// has not answered yet, and a grace that has passed meanwhile.
func TestAnotherPlaceForAShareWhoseTimeIsUpEndsNothingBehindTheVaultsBack(t *testing.T) {
	inBubble(t, func(alice, bob *party, _, receives *puppet) {
		receives.receive = untilStopped
		claim(alice, bob)
		bob.state(share.Provisioning)
		bob.stop()
		time.Sleep(100 * time.Hour)
		r, err := bob.Retarget(t.Context(), bob.record(), func(b []byte) ([]byte, error) { return b, nil })
		if err != nil {
			t.Fatal(err)
		}
		bob.start(r)
		bob.state(share.Expired)
		if got := bob.record(); got.Secret != [16]byte{} {
			t.Error("it has ended and keeps the link's secret")
		}
	})
}

// record is what the vault holds.
func (p *party) record() node.Record {
	p.t.Helper()
	r, err := p.Load("id")
	if err != nil {
		p.t.Fatal(err)
	}
	return r
}
