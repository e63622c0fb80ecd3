package node_test

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sparekey/sparekey/node"
	"github.com/sparekey/sparekey/node/credential"
	"github.com/sparekey/sparekey/node/share"
)

// elsewhere is another place, whatever the state says besides.
func elsewhere(state []byte) ([]byte, error) { return append(state, ", elsewhere"...), nil }

// retargeting gives another place, and returns what becomes of that once it waits.
func (p *party) retargeting() <-chan error {
	done := make(chan error, 1)
	go func() { done <- p.live.Retarget(p.t.Context(), elsewhere) }()
	synctest.Wait()
	return done
}

// TestAnotherPlaceGivenWhileTheFormatIsAskedIsKept: the format's answer doesn't stand
// in its place, and what the format has answered isn't lost to it.
func TestAnotherPlaceGivenWhileTheFormatIsAskedIsKept(t *testing.T) {
	for name, trouble := range map[string]error{"and answers": nil, "and can't answer at first": errors.New("not now")} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(alice, bob *party, _, receives *puppet) {
				asked, answer := make(chan string, 2), make(chan error)
				receives.receive = func(_ context.Context, turn credential.Turn) (credential.Answer, error) {
					asked <- string(turn.State)
					return credential.Answer{State: append(turn.In, turn.State...), Done: true}, <-answer
				}
				claim(alice, bob)
				<-asked
				if err := bob.live.Do(bob.t.Context(), share.Redirect{State: []byte("lost")}); err == nil {
					t.Error("a state that the format's answer would replace is taken")
				}
				done := bob.retargeting()
				if answer <- trouble; trouble != nil {
					if state := <-asked; state != ", elsewhere" {
						t.Errorf("the next try goes on from %q", state)
					}
					answer <- nil
				}
				if err := <-done; err != nil {
					t.Error(err)
				}
				bob.state(share.Provisioned)
				if bob.note.text != "the key, elsewhere" {
					t.Errorf("it is at %q", bob.note.text)
				}
			})
		})
	}
}

// TestAnotherPlaceGivenBetweenTwoMessagesIsKept, by the process that drives the share
// and by the next one.
func TestAnotherPlaceGivenBetweenTwoMessagesIsKept(t *testing.T) {
	for name, stopped := range map[string]bool{"driven": false, "stopped": true} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(alice, bob *party, sends, receives *puppet) {
				rest := make(chan struct{})
				sends.send = func(_ context.Context, turn credential.Turn) (credential.Answer, error) {
					if turn.In == nil {
						return credential.Answer{Out: [][]byte{[]byte("half a key")}, Grants: true}, nil
					}
					<-rest
					return credential.Answer{Out: [][]byte{[]byte("the rest")}, Done: true}, nil
				}
				receives.receive = func(_ context.Context, turn credential.Turn) (credential.Answer, error) {
					if string(turn.In) == "half a key" {
						return credential.Answer{State: turn.In, Out: [][]byte{[]byte("and the rest?")}}, nil
					}
					return credential.Answer{State: turn.State, Done: true}, nil
				}
				claim(alice, bob)
				bob.state(share.Provisioning)
				synctest.Wait() // the format has answered, and waits for more
				if !stopped {
					if err := bob.live.Retarget(bob.t.Context(), elsewhere); err != nil {
						t.Fatal(err)
					}
				} else {
					bob.stop()
					r, err := bob.Retarget(bob.t.Context(), bob.record(), elsewhere)
					if err != nil {
						t.Fatal(err)
					}
					bob.start(r)
				}
				close(rest)
				bob.state(share.Provisioned)
				if bob.note.text != "half a key, elsewhere" {
					t.Errorf("it is at %q", bob.note.text)
				}
			})
		})
	}
}

// TestAnotherPlaceIsTakenOnceTheFormatCanTellWhereItIs: else a credential could be put
// in two places.
func TestAnotherPlaceIsTakenOnceTheFormatCanTellWhereItIs(t *testing.T) {
	for name, c := range map[string]struct {
		there bool
		tells error
		want  error
	}{
		"it is in its place":           {there: true, want: node.ErrNotPlacing},
		"it isn't":                     {},
		"the format can't tell at all": {tells: fmt.Errorf("%w: no wallet", credential.ErrFinal), want: credential.ErrFinal},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(alice, bob *party, _, receives *puppet) {
				var asked atomic.Bool
				receives.there = func() (bool, error) {
					if !asked.Load() {
						return false, fmt.Errorf("%w: no wallet yet", credential.ErrFinal)
					}
					time.Sleep(time.Minute)
					return c.there, c.tells
				}
				claim(alice, bob)
				bob.until("that it is held", func(u node.Update) bool { return u.Held })
				asked.Store(true)
				if err := bob.live.Retarget(bob.t.Context(), elsewhere); !errors.Is(err, c.want) {
					t.Errorf("another place is answered %v, want %v", err, c.want)
				}
				if c.tells != nil {
					return
				}
				bob.state(share.Provisioned)
				want := "the key, elsewhere"
				if c.there {
					want = ""
				}
				if bob.note.text != want {
					t.Errorf("it is put at %q, want %q", bob.note.text, want)
				}
			})
		})
	}
}

// TestDeclineOfWhatTheFormatCouldNotTellAsksItOnceMore: the person has seen to it
// meanwhile.
func TestDeclineOfWhatTheFormatCouldNotTellAsksItOnceMore(t *testing.T) {
	inBubble(t, func(alice, bob *party, _, receives *puppet) {
		trouble := fmt.Errorf("%w: no wallet yet", credential.ErrFinal)
		var mended atomic.Bool
		receives.there = func() (bool, error) {
			if mended.Load() {
				return false, nil
			}
			return false, trouble
		}
		receives.provision = func(context.Context) error { return errors.New("no space left") }
		claim(alice, bob)
		bob.until("that it is held", func(u node.Update) bool { return u.Held })
		if err := bob.live.Do(bob.t.Context(), share.Decline{}); !errors.Is(err, trouble) {
			t.Errorf("a decline is answered %v, want why the format can't tell", err)
		}
		mended.Store(true)
		bob.do(share.Decline{})
		bob.state(share.Declined)
		alice.state(share.Declined)
	})
}

// TestThereIsNoOtherPlaceForWhatIsNotHere, and it is said.
func TestThereIsNoOtherPlaceForWhatIsNotHere(t *testing.T) {
	inBubble(t, func(alice, bob *party, sends, _ *puppet) {
		sends.send = untilStopped
		claim(alice, bob)
		alice.state(share.Pinned)
		for who, p := range map[string]*party{"a sender": alice, "a receiver without a grant": bob} {
			if err := p.live.Retarget(bob.t.Context(), elsewhere); !errors.Is(err, node.ErrNotPlacing) {
				t.Errorf("%s: %v", who, err)
			}
		}
	})
}

// TestWhatWaitsForAFormatThatIsNotAskedAnyMoreIsAnswered: the share has come to a halt.
func TestWhatWaitsForAFormatThatIsNotAskedAnyMoreIsAnswered(t *testing.T) {
	inBubble(t, func(alice, bob *party, _, receives *puppet) {
		began := make(chan struct{})
		receives.provision = func(ctx context.Context) error { close(began); <-ctx.Done(); return ctx.Err() }
		claim(alice, bob)
		<-began
		moved := bob.retargeting()
		declined := make(chan error, 1)
		go func() { declined <- bob.live.Do(bob.t.Context(), share.Decline{}) }()
		synctest.Wait()
		bob.do(share.Copied{})
		synctest.Wait()
		for what, done := range map[string]<-chan error{"another place": moved, "a decline": declined} {
			select {
			case <-done:
			default:
				t.Errorf("%s still waits", what)
			}
		}
	})
}
