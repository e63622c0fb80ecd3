package relay_test

import (
	"errors"
	"testing"
	"time"

	"github.com/sparekey/sparekey/noise/frame"
	"github.com/sparekey/sparekey/relay"
	"github.com/sparekey/sparekey/relay/storetest"
)

func TestMemoryKeepsWhatAStorePromises(t *testing.T) {
	storetest.Test(t, func(_ *testing.T, c *storetest.Clock, l relay.Limits) relay.Store { return relay.NewMemory(c.Now, l) })
}

func TestTombstonesAreBoundedAndFreeTheirPlaceInTime(t *testing.T) {
	clock := storetest.NewClock()
	m := relay.NewMemory(clock.Now, relay.Limits{Mailboxes: 2, Names: 3})
	for seed := range uint64(3) {
		sh := storetest.NewShare(clock, seed, nil)
		if err := errors.Join(m.Create(t.Context(), sh.ID, sh.Mailbox), m.Delete(t.Context(), sh.ID, sh.Proof)); err != nil {
			t.Fatal(err)
		}
	}
	fourth := storetest.NewShare(clock, 4, nil)
	if err := m.Create(t.Context(), fourth.ID, fourth.Mailbox); !errors.Is(err, relay.ErrStorage) {
		t.Errorf("who creates and deletes all the time meets a bound, got %v", err)
	}
	clock.Advance(time.Hour)
	if n, err := m.Sweep(t.Context(), clock.Now()); n != 3 || err != nil {
		t.Errorf("swept %d, %v; want the three tombstones", n, err)
	}
	fourth.Mailbox.Expires = clock.Now().Add(time.Hour)
	if err := m.Create(t.Context(), fourth.ID, fourth.Mailbox); err != nil {
		t.Errorf("the places are free again: %v", err)
	}
}

func TestBytesAreBoundedAndGivenBack(t *testing.T) {
	clock := storetest.NewClock()
	m := relay.NewMemory(clock.Now, relay.Limits{Bytes: 20_000})
	sh, fill := storetest.NewShare(clock, 1, nil), make([]byte, 9_000)
	a, claimA := sh.Candidate()
	b, claimB := sh.Candidate()
	ctx := t.Context()
	large := []frame.Frame{sh.Frame(frame.Data, a, 2, fill)}
	if err := errors.Join(m.Create(ctx, sh.ID, sh.Mailbox), m.Open(ctx, sh.ID, a, claimA, sh.Hello(a, nil)), m.Open(ctx, sh.ID, b, claimB, sh.Hello(b, fill)[:1])); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		if err := m.Append(ctx, sh.ID, a, relay.ReceiverSide, large); err != nil {
			t.Fatalf("there is room for one: %v", err)
		}
		again := []frame.Frame{sh.Frame(frame.Data, a, 3, fill)}
		if err := m.Append(ctx, sh.ID, a, relay.ReceiverSide, again); !errors.Is(err, relay.ErrStorage) {
			t.Fatalf("not for two, got %v", err)
		}
		if err := m.Append(ctx, sh.ID, a, relay.ReceiverSide, []frame.Frame{sh.Frame(frame.Data, a, 3, nil)}); err != nil {
			t.Fatalf("a frame that may end the share fits: %v", err)
		}
		if err := errors.Join(m.Close(ctx, sh.ID, frame.Shut(a)), m.Open(ctx, sh.ID, a, claimA, sh.Hello(a, nil))); err != nil {
			t.Fatalf("what an erased lane took is given back: %v", err)
		}
	}
	if err := m.Delete(ctx, sh.ID, sh.Proof); err != nil {
		t.Fatal(err)
	}
	next := storetest.NewShare(clock, 2, nil)
	c, claim := next.Candidate()
	if err := errors.Join(m.Create(ctx, next.ID, next.Mailbox), m.Open(ctx, next.ID, c, claim, next.Hello(c, fill)[:1]), m.Append(ctx, next.ID, c, relay.SenderSide, []frame.Frame{next.Frame(frame.Data, c, 0, fill)})); err != nil {
		t.Errorf("and what a deleted mailbox took: %v", err)
	}
}
