package lan_test

import (
	"context"
	"crypto/rand"
	"errors"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sparekey/sparekey/discovery"
	"github.com/sparekey/sparekey/discovery/lan"
	"github.com/sparekey/sparekey/discovery/lan/beacon"
	"github.com/sparekey/sparekey/discovery/lan/quicpath"
	"github.com/sparekey/sparekey/node"
	"github.com/sparekey/sparekey/node/credential"
	"github.com/sparekey/sparekey/node/link"
	"github.com/sparekey/sparekey/node/share"
	"github.com/sparekey/sparekey/node/vaulttest"
	"github.com/sparekey/sparekey/noise/frame"
)

// An impostor holds the link, so it can prove a path, and stands where the sender is
// looked for. What it does there is up to the test.
type impostor struct {
	keys   link.Keys
	socket *quicpath.Socket
	offer  []frame.Frame // the sender's own
	met    chan quicpath.Path
}

// poses has somebody answer for the sender until the test ends, with such a first flight.
func poses(t *testing.T, l link.Link, offer []frame.Frame, does func(*impostor, quicpath.Path)) *impostor {
	t.Helper()
	socket, err := quicpath.Listen(quicpath.Config{})
	if err != nil {
		t.Fatal(err)
	}
	i := &impostor{l.Keys(), socket, offer, make(chan quicpath.Path, 1000)}
	sh := quicpath.Share{Own: i.tag(discovery.Sender), Key: i.keys.Path, Role: discovery.Sender, First: func() []frame.Frame { return offer }}
	var doing sync.WaitGroup
	stop := socket.Serve(sh, func(p discovery.Path) {
		i.met <- p.(quicpath.Path)
		doing.Go(func() { does(i, p.(quicpath.Path)) })
	})
	air := beacon.New(beacon.Config{})
	unsaid := air.Answer(i.tag(discovery.Sender).String(), func(net.Interface) []byte {
		return lan.TextOf(i.keys.Topic, i.keys.Path, discovery.Sender, netip.AddrPortFrom(netip.MustParseAddr("10.0.0.1"), socket.Port()))
	})
	t.Cleanup(func() {
		unsaid()
		air.Close()
		stop()
		socket.Close()
		doing.Wait()
	})
	return i
}

func (i *impostor) tag(r discovery.Role) quicpath.Tag { return lan.TagOf(i.keys.Topic, r) }

// dials makes one more path to the receiver at the end of one.
func (i *impostor) dials(p quicpath.Path) (quicpath.Path, error) {
	sh := quicpath.Share{Peer: i.tag(discovery.Receiver), Key: i.keys.Path, Role: discovery.Sender}
	more, err := i.socket.Dial(context.Background(), p.Remote(), sh)
	if err != nil {
		return nil, err
	}
	return more.(quicpath.Path), nil
}

// answers receives what comes, says to each piece whether it is taken, and something more.
func answers(p discovery.Direct, taken bool, more func(came []frame.Frame) []frame.Frame) {
	for {
		came, err := p.Receive(context.Background())
		if err != nil {
			return
		}
		p.Taken(taken)
		if say := more(came); say != nil {
			go p.Send(context.Background(), say...) // it ends with the path
		}
	}
}

// LAN-01: what an impostor may do that has answered first, and the sender comes after.
func TestLAN01AReceiverThatAnImpostorHoldsUpFindsTheSenderThatComesLater(t *testing.T) {
	if !alone(t) {
		return
	}
	nothing := func([]frame.Frame) []frame.Frame { return nil }
	for name, c := range map[string]struct {
		mute bool // it has no offer
		does func(*impostor, quicpath.Path)
	}{
		"it says nothing at all":            {true, func(_ *impostor, p quicpath.Path) {}},
		"it repeats the offer, and no more": {false, func(_ *impostor, p quicpath.Path) {}},
		"it takes all that comes":           {false, func(_ *impostor, p quicpath.Path) { answers(p, true, nothing) }},
		"it refuses all that comes":         {false, func(_ *impostor, p quicpath.Path) { answers(p, false, nothing) }},
		"it repeats the offer again and again": {false, func(i *impostor, p quicpath.Path) {
			answers(p, true, func([]frame.Frame) []frame.Frame { return i.offer })
		}},
		"it answers with rubbish": {false, func(_ *impostor, p quicpath.Path) {
			answers(p, true, func(came []frame.Frame) []frame.Frame {
				junk := make([]byte, 64)
				rand.Read(junk)
				return []frame.Frame{frame.New(frame.Data, came[0].Candidate(), 1, junk)}
			})
		}},
		"it repeats the receiver's own words": {false, func(_ *impostor, p quicpath.Path) {
			answers(p, true, func(came []frame.Frame) []frame.Frame { return came })
		}},
		"it leaves whenever something comes": {false, func(_ *impostor, p quicpath.Path) {
			p.Receive(context.Background())
			p.Close()
		}},
		"it crowds the receiver": {false, func(i *impostor, p quicpath.Path) {
			for range 20 {
				if _, err := i.dials(p); err != nil {
					return
				}
			}
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			heldUp(t, c.mute, c.does)
		})
	}
}

// heldUp has a receiver meet an impostor before its sender.
func heldUp(t *testing.T, mute bool, does func(*impostor, quicpath.Path)) {
	sender, receiver := newWallet(t), newWallet(t)
	r, err := sender.Offer(t.Context(), "it", node.Offer{Preview: share.Preview{Format: "thing", Title: "it"}, Opening: []byte("one")})
	if err != nil {
		t.Fatal(err)
	}
	var offer []frame.Frame
	if !mute {
		offer = overheard(t, sender, r)
	}
	i := poses(t, r.Link(), offer, does)
	opened, err := receiver.Open(r.Link())
	if err != nil {
		t.Fatal(err)
	}
	receives := receiver.starts(t, opened)
	within(t, i.met, "the receiver's way to the impostor")
	if !mute {
		within(t, receiver.claimed, "the claim")
	}
	ends(t, sender.starts(t, r), receives)
	if n := receiver.placed.Load(); n != 1 || receiver.text.Load() != "one" {
		t.Errorf("it was provisioned %d times; it is %v", n, receiver.text.Load())
	}
}

// overheard starts a sender, takes its offer as whoever holds the link can, and stops it.
func overheard(t *testing.T, w *wallet, r node.Record) []frame.Frame {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	live, err := w.Start(ctx, "it", r, nil)
	if err != nil {
		t.Fatal(err)
	}
	k := r.Link().Keys()
	listens := enterFor(t, discovery.Meeting{Role: discovery.Receiver, Topic: k.Topic, Key: k.Path, First: func() []frame.Frame { return nil }})
	defer listens.stop()
	p := listens.path(t)
	got, err := p.Receive(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	cancel()
	if err := live.Wait(); !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	return got
}

// ends waits until all shares are settled, and as they should be.
func ends(t *testing.T, all ...*node.Live) {
	t.Helper()
	for _, l := range all {
		within(t, l.Done(), "the end")
		if err := l.Wait(); err != nil {
			t.Error(err)
		}
		r := l.Record()
		if state, reason, _, err := r.State(); err != nil || state != share.Done {
			t.Errorf("a %s stands at %s (%s): %v", r.Role, state, reason, err)
		}
	}
}

func within[V any](t *testing.T, c <-chan V, what string) (v V) {
	t.Helper()
	select {
	case v = <-c:
	case <-time.After(patience):
		t.Fatalf("%s has not come", what)
	}
	return v
}

// A wallet is a device that accepts what it sees, and counts what it puts in its place.
type wallet struct {
	node.Device
	claimed chan struct{}
	placed  atomic.Int32
	text    atomic.Value
}

func newWallet(t *testing.T) *wallet {
	room := lan.New(lan.Config{})
	t.Cleanup(func() { room.Close() })
	began := time.Now()
	w := &wallet{claimed: make(chan struct{}, 1)}
	w.Device = node.Device{
		Vault: &vaulttest.Memory{}, Formats: w, Finders: []discovery.Finder{room}, Rand: rand.Reader,
		Now:       func() share.Time { return share.Time{Boot: [16]byte{1}, Up: time.Since(began)} },
		Authorize: func(context.Context, share.Preview) error { return nil },
	}
	return w
}

// starts drives a share until the test ends; a receiver's is accepted.
func (w *wallet) starts(t *testing.T, r node.Record) *node.Live {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	seen := make(chan struct{}, 1)
	live, err := w.Start(ctx, "it", r, func(u node.Update) {
		if u.Notice != nil && u.Notice.Kind == share.NoticePreview {
			seen <- struct{}{}
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	var accepting sync.WaitGroup
	accepting.Go(func() {
		select {
		case <-seen:
			live.Accept(ctx, nil, "bob")
			w.claimed <- struct{}{}
		case <-ctx.Done():
		}
	})
	t.Cleanup(func() {
		cancel()
		live.Wait()
		accepting.Wait()
	})
	return live
}

func (w *wallet) Lookup(string) (credential.Format, error) { return counted{w}, nil }

// counted is a thing whose places are counted.
type counted struct{ wallet *wallet }

func (counted) Name() string { return "thing" }
func (counted) Computed()    {}

func (counted) Send(ctx context.Context, t credential.Turn) (credential.Answer, error) {
	return thing{}.Send(ctx, t)
}

func (counted) Receive(ctx context.Context, t credential.Turn) (credential.Answer, error) {
	return thing{}.Receive(ctx, t)
}

func (c counted) Provision(_ context.Context, _ string, state []byte) error {
	c.wallet.placed.Add(1)
	c.wallet.text.Store(string(state))
	return nil
}

func (c counted) Provisioned(context.Context, string, []byte) (bool, error) {
	return c.wallet.placed.Load() > 0, nil
}
