package main

import (
	"context"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sparekey/sparekey/discovery"
	"github.com/sparekey/sparekey/node/link"
	"github.com/sparekey/sparekey/noise/frame"
)

// A room brings the two devices of a share together that are in it: each receiver
// that comes, and its sender.
type room struct {
	mu    sync.Mutex
	comes map[[32]byte]chan *across // the receivers, by topic
	enter chan discovery.Meeting
}

func newRoom() *room {
	return &room{comes: map[[32]byte]chan *across{}, enter: make(chan discovery.Meeting, 8)}
}

func (r *room) Find(ctx context.Context, m discovery.Meeting, found func(discovery.Path)) error {
	r.mu.Lock()
	comes, there := r.comes[m.Topic]
	if !there {
		comes = make(chan *across)
		r.comes[m.Topic] = comes
	}
	r.mu.Unlock()
	r.enter <- m
	if m.Role == discovery.Receiver {
		here, there := connected()
		select {
		case comes <- there:
			found(here)
			<-ctx.Done()
		case <-ctx.Done():
		}
		return nil
	}
	for {
		select {
		case p := <-comes:
			found(p)
		case <-ctx.Done():
			return nil
		}
	}
}

// across is one device's end of a path through the room; both ends close as one.
type across struct {
	out, in chan []frame.Frame
	closed  context.Context
	close   context.CancelFunc
}

func connected() (a, b *across) {
	there, back := make(chan []frame.Frame), make(chan []frame.Frame)
	closed, close := context.WithCancel(context.Background())
	return &across{there, back, closed, close}, &across{back, there, closed, close}
}

func (p *across) Send(ctx context.Context, frames ...frame.Frame) error {
	select {
	case p.out <- frames:
		return nil
	case <-p.closed.Done():
		return p.closed.Err()
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (p *across) Receive(ctx context.Context) ([]frame.Frame, error) {
	select {
	case f := <-p.in:
		return f, nil
	case <-p.closed.Done():
		return nil, p.closed.Err()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (p *across) Close() error   { p.close(); return nil }
func (p *across) String() string { return "across the room" }

// A guest is a device in the room whose commands run in this process.
type guest struct {
	t    *testing.T
	room *room
	home string
}

// runs starts a command; what it says goes to the writers, its exit code to the channel.
func (g guest) runs(ctx context.Context, stdout, stderr io.Writer, args ...string) (exit chan int) {
	a := assemble(nil, stdout, stderr)
	a.room = g.room
	exit = make(chan int, 1)
	go func() { exit <- a.run(ctx, append(args, "--home", g.home, "--config", os.DevNull)) }()
	return exit
}

// entered waits for a device to look for the other one in the room.
func (r *room) entered(t *testing.T) discovery.Meeting {
	t.Helper()
	select {
	case m := <-r.enter:
		return m
	case <-time.After(patience):
		t.Fatal("nobody has looked for the other device in the room")
		panic("unreachable")
	}
}

// ends waits for a command's end.
func ends(t *testing.T, exit chan int, want int, said *record) {
	t.Helper()
	select {
	case got := <-exit:
		if got != want {
			t.Fatalf("exit %d, want %d: %s", got, want, said)
		}
	case <-time.After(patience):
		t.Fatalf("it doesn't end: %s", said)
	}
}

// Write lets a record be what a command speaks to.
func (r *record) Write(p []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.all.Write(p)
}

// TestAShareByTheRoomAloneNamesNoRelay: a relay that is set is left out of it, the
// link is the app's, and so it stays when the share is resumed.
func TestAShareByTheRoomAloneNamesNoRelay(t *testing.T) {
	t.Setenv("SPAREKEY_RELAY", "https://relay.example.org")
	t.Setenv("SPAREKEY_PATHS", "")
	dir := t.TempDir()
	file := filepath.Join(dir, "key")
	if err := os.WriteFile(file, []byte(spare), 0o600); err != nil {
		t.Fatal(err)
	}
	alice := guest{t, newRoom(), filepath.Join(dir, "alice")}
	var link, said record
	ctx, interrupt := context.WithCancel(t.Context())
	exit := alice.runs(ctx, &link, &said, "share", file, "--yes", "--paths", "lan", "--qr", "never")
	if m := alice.room.entered(t); m.Relay != "" {
		t.Errorf("the share's mailbox is looked for at %s", m.Relay)
	}
	interrupt()
	ends(t, exit, exitInterrupted, &said)
	if !strings.HasPrefix(link.String(), "sparekey:///s/") || !strings.Contains(said.String(), "on one network") {
		t.Errorf("the link is %s: %s", link.String(), said.String())
	}
	ctx, interrupt = context.WithCancel(t.Context())
	exit = alice.runs(ctx, io.Discard, &said, "resume")
	if m := alice.room.entered(t); m.Relay != "" {
		t.Errorf("once resumed, its mailbox is looked for at %s", m.Relay)
	}
	interrupt()
	ends(t, exit, exitInterrupted, &said)

	bob := guest{t, alice.room, filepath.Join(dir, "bob")}
	ctx, leave := context.WithCancel(t.Context())
	sender := alice.runs(ctx, io.Discard, &said, "resume")
	exit = bob.runs(t.Context(), io.Discard, &said, "receive", strings.TrimSpace(link.String()), "--yes", "-o", filepath.Join(dir, "got"))
	ends(t, exit, exitDone, &said)
	leave()
	<-sender
	if got, err := os.ReadFile(filepath.Join(dir, "got")); string(got) != spare {
		t.Errorf("received %q: %v\n%s", got, err, said.String())
	}
}

// TestTwoDevicesInTheRoomLeaveTheirLinksRelayAlone: neither a look nor a whole share
// makes a call to it, and nothing is asked about it.
func TestTwoDevicesInTheRoomLeaveTheirLinksRelayAlone(t *testing.T) {
	t.Parallel()
	p := newLiar(t, newRelay(t).url)
	ann := newDevice(t)
	link := ann.offered(p.URL())
	calls := callsSoFar(t, p)
	here, dir := newRoom(), t.TempDir()
	alice, bob := guest{t, here, ann.home}, guest{t, here, filepath.Join(dir, "bob")}
	var said record
	ctx, leave := context.WithCancel(t.Context())
	sender := alice.runs(ctx, io.Discard, &said, "resume", "--paths", "lan")
	ends(t, bob.runs(t.Context(), io.Discard, &said, "view", link, "--paths", "lan", "--no-prompt"), exitDone, &said)
	ends(t, bob.runs(t.Context(), io.Discard, &said, "receive", link, "--paths", "lan", "--yes", "-o", filepath.Join(dir, "got")), exitDone, &said)
	leave()
	<-sender
	if got, err := os.ReadFile(filepath.Join(dir, "got")); string(got) != spare {
		t.Errorf("received %q: %v\n%s", got, err, &said)
	}
	if n := callsSoFar(t, p); n != calls {
		t.Errorf("%d calls were made to the relay", n-calls)
	}
}

// TestWhatCanLeadNowhereIsRefused: a link without a relay leads to the room alone.
func TestWhatCanLeadNowhereIsRefused(t *testing.T) {
	for _, c := range []struct {
		w     ways
		relay string
		leads bool
	}{
		{everyWay, "https://relay.example.org", true},
		{everyWay, "", true},
		{ways{wayLAN}, "https://relay.example.org", true},
		{ways{wayRelay}, "https://relay.example.org", true},
		{ways{wayRelay}, "", false},
	} {
		err := passable(c.w, c.relay)
		if leads := err == nil; leads != c.leads || err != nil && asFailure(err).Exit != exitNoPath {
			t.Errorf("by %q, with the relay %q: %v", c.w, c.relay, err)
		}
	}
}

// TestARelayThatWasLeftOutIsAskedAboutWhenAShareGoesOn: who has accepted a share in
// the room alone has not agreed to contact its link's relay.
func TestARelayThatWasLeftOutIsAskedAboutWhenAShareGoesOn(t *testing.T) {
	a := newApp(t, t.TempDir())
	l := link.Link{Relay: "https://relay.example.org", ID: [16]byte{1}, Secret: [16]byte{2}}
	r, err := a.device().Open(l)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		chosen, now ways
		asks        bool
	}{
		{ways{wayLAN}, ways{wayRelay}, true},
		{ways{wayLAN}, everyWay, true},
		{everyWay, ways{wayRelay}, false},
		{nil, ways{wayRelay}, false},
	} {
		r.Ways = c.chosen
		err := a.admit(t.Context(), c.now, l, r, receiveFlags{})
		if asks := err != nil && asFailure(err).Code == "no_terminal"; asks != c.asks || err != nil && !asks {
			t.Errorf("accepted by %q, going on by %q: %v", c.chosen, c.now, err)
		}
	}
}
