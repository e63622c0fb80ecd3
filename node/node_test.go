package node_test

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/fxamacker/cbor/v2"
	"go.uber.org/goleak"

	"github.com/sparekey/sparekey/discovery"
	"github.com/sparekey/sparekey/node"
	"github.com/sparekey/sparekey/node/credential"
	"github.com/sparekey/sparekey/node/share"
	"github.com/sparekey/sparekey/node/vaulttest"
	"github.com/sparekey/sparekey/noise"
	"github.com/sparekey/sparekey/noise/frame"
	"github.com/sparekey/sparekey/relay/mailbox"
	"github.com/sparekey/sparekey/relay/relaytest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// note is a format of as many messages as its first one says.
type note struct {
	mu     sync.Mutex
	placed map[string]int
	text   string
}

func (*note) Name() string { return "note" }

func (*note) Send(_ context.Context, t credential.Turn) (credential.Answer, error) {
	return credential.Answer{Out: [][]byte{t.State}, Grants: true, Done: true}, nil
}

func (*note) Receive(_ context.Context, t credential.Turn) (credential.Answer, error) {
	if strings.HasPrefix(string(t.In), "bad") {
		return credential.Answer{}, fmt.Errorf("%w: a bad note", credential.ErrFinal)
	}
	return credential.Answer{State: t.In, Done: true}, nil
}

func (n *note) Provision(_ context.Context, key string, state []byte) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.placed[key]++
	n.text = string(state)
	return nil
}

func (n *note) Provisioned(_ context.Context, key string, _ []byte) (bool, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.placed[key] > 0, nil
}

func (n *note) Lookup(name string) (credential.Format, error) {
	if name != "note" {
		return nil, fmt.Errorf("%w: no format %q", credential.ErrFinal, name)
	}
	return n, nil
}

// A party is a device under test and what it has been told.
type party struct {
	*node.Device
	t       *testing.T
	vault   *vaulttest.Memory
	note    *note
	updates chan node.Update
	live    *node.Live
	cancel  context.CancelFunc

	patience time.Duration // how long until waits for an update
}

var started = time.Now()

func newParty(t *testing.T) *party {
	n := &note{placed: map[string]int{}}
	p := &party{t: t, patience: time.Minute, vault: &vaulttest.Memory{}, note: n}
	p.Device = &node.Device{
		Vault: p.vault, Formats: n, Finders: []discovery.Finder{mailbox.New(mailbox.Config{})}, Rand: rand.Reader,
		Now:       func() share.Time { return share.Time{Boot: [16]byte{1}, Up: time.Since(started)} },
		Authorize: func(context.Context, share.Preview) error { return nil },
	}
	return p
}

// start drives a record; stop waits for the end of it.
func (p *party) start(r node.Record, first ...share.Event) {
	p.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	updates := make(chan node.Update, 1000)
	live, err := p.Start(ctx, "id", r, func(u node.Update) { updates <- u }, first...)
	if err != nil {
		p.t.Fatal(err)
	}
	p.live, p.cancel, p.updates = live, cancel, updates
	p.t.Cleanup(p.stop)
}

func (p *party) stop() {
	p.cancel()
	p.live.Wait()
}

// until waits for an update.
func (p *party) until(what string, ok func(node.Update) bool) node.Update {
	p.t.Helper()
	timeout := time.After(p.patience)
	for {
		select {
		case u := <-p.updates:
			if ok(u) {
				return u
			}
		case <-timeout:
			p.t.Fatalf("waited in vain for: %s", what)
		}
	}
}

func (p *party) state(s share.State) {
	p.t.Helper()
	p.until(string(s), func(u node.Update) bool { return u.State == s })
}

// stored waits until a mailbox has all that a state has to send.
func (p *party) stored(s share.State) {
	p.t.Helper()
	p.until("the mailbox has all of "+string(s), func(u node.Update) bool { return u.Stored && u.State == s })
}

// leave stops once a mailbox has all that a state has to send.
func (p *party) leave(s share.State) {
	p.t.Helper()
	p.stored(s)
	p.stop()
}

func (p *party) previewed() {
	p.t.Helper()
	p.until("a preview", func(u node.Update) bool { return u.Notice != nil && u.Notice.Kind == share.NoticePreview })
}

func (p *party) accept() {
	p.t.Helper()
	if err := p.live.Accept(p.t.Context(), nil, "bens laptop"); err != nil {
		p.t.Fatal(err)
	}
}

func (p *party) offer(relay, text string) node.Record {
	p.t.Helper()
	r, err := p.Offer(p.t.Context(), "id", node.Offer{Preview: share.Preview{Format: "note", Title: "Back door"}, Opening: []byte(text), Relay: relay})
	if err != nil {
		p.t.Fatal(err)
	}
	return r
}

func (p *party) open(r node.Record) node.Record {
	p.t.Helper()
	got, err := p.Open(r.Link())
	if err != nil {
		p.t.Fatal(err)
	}
	return got
}

// claim opens a share's link and accepts what it sees.
func (p *party) claim(offer node.Record) {
	p.t.Helper()
	p.start(p.open(offer))
	p.previewed()
	p.accept()
}

func TestShareGoesFromLinkToReceiver(t *testing.T) {
	relay := relaytest.Start(t)
	alice, bob := newParty(t), newParty(t)
	offer := alice.offer(relay, "the spare key")
	alice.start(offer)
	bob.start(bob.open(offer))
	bob.previewed()
	if bob.vault.Len() != 0 {
		t.Error("viewing has left a trace in the vault")
	}
	bob.accept()
	bob.state(share.Done)
	alice.state(share.Done)
	if err := errors.Join(alice.live.Wait(), bob.live.Wait()); err != nil {
		t.Fatal("a settled share ends by itself:", err)
	}
	if bob.note.text != "the spare key" || len(bob.note.placed) != 1 {
		t.Errorf("received %q, provisioned %v", bob.note.text, bob.note.placed)
	}
	for who, v := range map[string]*vaulttest.Memory{"sender": alice.vault, "receiver": bob.vault} {
		if b, err := v.Load("id"); err != nil || strings.Contains(string(b), "the spare key") || strings.Contains(string(b), string(offer.Secret[:])) {
			t.Errorf("the %s's vault keeps the credential or the secret of an ended share", who)
		}
	}
}

// TestShareWithAFactorIsNotAccepted: its sender is of a later version.
func TestShareWithAFactorIsNotAccepted(t *testing.T) {
	alice, bob := newParty(t), newParty(t)
	offer := alice.offer(relaytest.Start(t), "x")
	preview, err := cbor.Marshal(map[int]any{1: "note", 2: "", 5: 3600, 6: 3600, 7: "pin"})
	if err != nil {
		t.Fatal(err)
	}
	keys := noise.NewKeys([32]byte{1})
	offer.Preimage, _ = keys.Commit(preview)
	offer.ID, offer.Token = frame.ID(offer.Preimage), keys.Capability()
	k := offer.Link().Keys()
	m, err := share.NewSender(alice.Now(), noise.Secrets{ID: offer.ID, PSK: k.PSK, OfferKey: k.Offer}, [32]byte{1}, preview, nil)
	if err != nil {
		t.Fatal(err)
	}
	offer.Machine = m.Marshal()
	alice.start(offer)
	bob.start(bob.open(offer))
	bob.previewed()
	if err := bob.live.Accept(t.Context(), nil, "ben"); !errors.Is(err, node.ErrFactor) {
		t.Errorf("accepted with %v", err)
	}
	if bob.vault.Len() != 0 {
		t.Error("what was not claimed has left a trace in the vault")
	}
}

func TestSecondReceiverIsTakenWhileTheSenderIsOff(t *testing.T) {
	relay := relaytest.Start(t)
	alice, bob, eve := newParty(t), newParty(t), newParty(t)
	offer := alice.offer(relay, "x")
	alice.start(offer)
	bob.claim(offer)
	bob.state(share.Done)
	alice.live.Wait()
	eve.start(eve.open(offer))
	eve.state(share.Taken)
	if eve.live.Wait() != nil || len(eve.note.placed) != 0 {
		t.Error("a taken receiver ends by itself, with nothing")
	}
}

func TestOfTwoReceiversAtOnceOneHoldsIt(t *testing.T) {
	relay := relaytest.Start(t)
	alice, bob, eve := newParty(t), newParty(t), newParty(t)
	offer := alice.offer(relay, "x")
	alice.start(offer)
	for _, p := range []*party{bob, eve} {
		p.start(p.open(offer))
	}
	bob.previewed()
	eve.previewed()
	var both sync.WaitGroup
	both.Go(func() { bob.live.Accept(t.Context(), nil, "") })
	both.Go(func() { eve.live.Accept(t.Context(), nil, "") })
	both.Wait()
	if err := errors.Join(bob.live.Wait(), eve.live.Wait(), alice.live.Wait()); err != nil {
		t.Fatal(err)
	}
	if n := len(bob.note.placed) + len(eve.note.placed); n != 1 {
		t.Errorf("%d receivers hold the credential", n)
	}
}

func TestDevicesNeedNotBeOnlineTogether(t *testing.T) {
	relay := relaytest.Start(t)
	alice, bob := newParty(t), newParty(t)
	offer := alice.offer(relay, "in turns")
	alice.start(offer)
	alice.leave(share.Offered)

	bob.claim(offer)
	bob.leave(share.Claimed)

	alice.resume()
	alice.leave(share.Granted)

	bob.resume()
	bob.leave(share.Provisioned)

	alice.resume()
	alice.state(share.Done)
	alice.live.Wait()

	bob.resume()
	bob.state(share.Done)
	if bob.live.Wait(); bob.note.text != "in turns" {
		t.Errorf("received %q", bob.note.text)
	}
}

func (p *party) resume() {
	p.t.Helper()
	r, err := p.Load("id")
	if err != nil {
		p.t.Fatal(err)
	}
	p.start(r)
}

// TestReceiverThatDiesAfterItsLastWordStillSaysIt: an ended share has forgotten
// its keys, and must not have lost the way to the mailbox with them. Else the
// sender would wait for an answer for ever.
func TestReceiverThatDiesAfterItsLastWordStillSaysIt(t *testing.T) {
	relay := relaytest.Start(t)
	alice, bob := newParty(t), newParty(t)
	offer := alice.offer(relay, "x")
	alice.start(offer)
	alice.leave(share.Offered)
	bob.claim(offer)
	bob.leave(share.Claimed)
	alice.resume()
	alice.leave(share.Granted)
	paths := bob.Finders
	bob.Finders = nil
	bob.resume()
	if err := bob.live.Do(t.Context(), share.Decline{Reason: "no, thanks"}); err != nil {
		t.Fatal(err)
	}
	bob.stop()
	if b, err := bob.vault.Load("id"); err != nil || strings.Contains(string(b), string(offer.Secret[:])) {
		t.Error("an ended share keeps the link's secret")
	}
	bob.Finders = paths
	bob.resume()
	alice.resume()
	alice.state(share.Declined)
	if err := errors.Join(alice.live.Wait(), bob.live.Wait()); err != nil {
		t.Error(err)
	}
	if bob.live.Record().View != [32]byte{} {
		t.Error("a settled share keeps a capability")
	}
}

func TestLinkOpenedBeforeTheMailboxIsThere(t *testing.T) {
	relay := relaytest.Start(t)
	alice, bob := newParty(t), newParty(t)
	offer := alice.offer(relay, "early")
	bob.start(bob.open(offer))
	alice.start(offer)
	bob.previewed()
	bob.accept()
	bob.state(share.Done)
}

func TestRelinquishedShareGoesToAnotherDevice(t *testing.T) {
	relay := relaytest.Start(t)
	alice, bob, amy := newParty(t), newParty(t), newParty(t)
	offer := alice.offer(relay, "second hand")
	alice.start(offer)
	alice.leave(share.Offered) // so that nothing is granted before bob hands back
	bob.claim(offer)
	bob.stored(share.Claimed)
	if err := bob.live.Do(t.Context(), share.Relinquish{}); err != nil {
		t.Fatal(err)
	}
	bob.live.Wait()
	alice.resume()
	amy.claim(offer)
	amy.state(share.Done)
	if amy.note.text != "second hand" || len(bob.note.placed) != 0 {
		t.Errorf("amy has %q, bob %v", amy.note.text, bob.note.placed)
	}
}

func TestFormatThatCantTakeItDeclinesWithTheReason(t *testing.T) {
	relay := relaytest.Start(t)
	alice, bob := newParty(t), newParty(t)
	offer := alice.offer(relay, "bad")
	alice.start(offer)
	bob.claim(offer)
	bob.state(share.Failed)
	u := alice.until("declined", func(u node.Update) bool { return u.State == share.Declined })
	if !strings.Contains(u.Reason, "a bad note") {
		t.Errorf("the sender is told %q", u.Reason)
	}
}

func TestCancelledShareIsGoneForReceivers(t *testing.T) {
	relay := relaytest.Start(t)
	alice, bob := newParty(t), newParty(t)
	offer := alice.offer(relay, "x")
	alice.start(offer)
	bob.start(bob.open(offer))
	bob.previewed()
	if err := alice.live.Do(t.Context(), share.Cancel{}); err != nil {
		t.Fatal(err)
	}
	alice.live.Wait()
	bob.state(share.Taken)
}

func TestWithoutAuthorizationNothingIsMade(t *testing.T) {
	alice := newParty(t)
	alice.Authorize = nil
	_, err := alice.Offer(t.Context(), "id", node.Offer{Preview: share.Preview{Format: "note", Title: "x"}})
	if !errors.Is(err, node.ErrNotAuthorized) || alice.vault.Len() != 0 {
		t.Errorf("got %v, and %d records", err, alice.vault.Len())
	}
}
