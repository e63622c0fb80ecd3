package quicpath

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"log"
	"net/netip"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/quic-go/quic-go"
	"go.uber.org/goleak"

	"github.com/sparekey/sparekey/discovery"
	"github.com/sparekey/sparekey/noise/frame"
)

// TestMain fails where anything is left running, or where the library printed what
// a person would see on the terminal. (It would: the network in memory has no
// buffers to raise.)
func TestMain(m *testing.M) {
	var printed bytes.Buffer
	log.SetOutput(&printed)
	goleak.VerifyTestMain(m, goleak.Cleanup(func(code int) {
		if printed.Len() > 0 {
			fmt.Fprintf(os.Stderr, "printed at people: %s", printed.Bytes())
			code = 1
		}
		os.Exit(code)
	}))
}

// patience is how long a test waits for what must happen. Nothing depends on it
// but how long a broken test takes.
const patience = 60 * time.Second

// pair returns what the two devices of a share know.
func pair(name string) (sender, receiver Share) {
	key := sha256.Sum256([]byte(name))
	a, b := Tag(key[:9]), Tag(key[9:18])
	return Share{Own: a, Peer: b, Key: key, Role: discovery.Sender}, Share{Own: b, Peer: a, Key: key, Role: discovery.Receiver}
}

// open opens a Socket on loopback that the test closes.
func open(t testing.TB) *Socket {
	t.Helper()
	s, err := Listen(Config{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func at(s *Socket) netip.AddrPort {
	return netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), s.Port())
}

// within returns a context that ends the wait of a test that hangs.
func within(t testing.TB) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	t.Cleanup(cancel)
	return ctx
}

// serve answers for a share, and gives the paths that are found.
func serve(t testing.TB, s *Socket, sh Share) <-chan discovery.Path {
	t.Helper()
	found := make(chan discovery.Path, 100)
	t.Cleanup(s.Serve(sh, func(p discovery.Path) { found <- p }))
	return found
}

// next waits for what a channel gives.
func next[V any](t testing.TB, from <-chan V, what string) V {
	t.Helper()
	v, err := soon(from, what)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func soon[V any](from <-chan V, what string) (v V, err error) {
	select {
	case v = <-from:
	case <-time.After(patience):
		err = fmt.Errorf("%s did not come in %v", what, patience)
	}
	return v, err
}

// joined returns both ends of a path between two sockets.
func joined(t testing.TB, name string) (listens, dials discovery.Direct) {
	t.Helper()
	sender, receiver := pair(name)
	return joinedFor(t, sender, receiver)
}

func joinedFor(t testing.TB, sender, receiver Share) (listens, dials discovery.Direct) {
	t.Helper()
	a, b := open(t), open(t)
	found := serve(t, a, sender)
	p, err := b.Dial(within(t), at(a), receiver)
	if err != nil {
		t.Fatal(err)
	}
	return next(t, found, "the listener's path").(discovery.Direct), p.(discovery.Direct)
}

// frames returns data frames of the given sizes of their sealed parts.
func frames(sizes ...int) (fs []frame.Frame) {
	for i, n := range sizes {
		fs = append(fs, frame.New(frame.Data, frame.Candidate{1}, uint64(i), bytes.Repeat([]byte{byte(i)}, max(n, frame.SealSize))))
	}
	return fs
}

func same(a, b []frame.Frame) bool {
	return bytes.Equal(frame.Append(nil, a...), frame.Append(nil, b...))
}

// take receives one piece, answers it, and returns it.
func take(t testing.TB, p discovery.Direct, ok bool) []frame.Frame {
	t.Helper()
	got, err := p.Receive(within(t))
	if err != nil {
		t.Fatal(err)
	}
	p.Taken(ok)
	return got
}

// give sends a piece and has it taken at the other end.
func give(t *testing.T, from, to discovery.Direct) error {
	t.Helper()
	sent := make(chan error, 1)
	go func() { sent <- from.Send(within(t), frames(100)...) }()
	if _, err := to.Receive(within(t)); err != nil {
		return err
	}
	to.Taken(true)
	return <-sent
}

func TestFramesGoBothWaysAndSendReturnsWhenTheyAreTaken(t *testing.T) {
	listens, dials := joined(t, "both ways")
	for _, way := range []struct{ from, to discovery.Direct }{{listens, dials}, {dials, listens}} {
		for _, sent := range [][]frame.Frame{frames(100), frames(32, 5000, 60000), frames(make([]int, maxFrames)...)} {
			answer := make(chan error, 1)
			go func() { answer <- way.from.Send(within(t), sent...) }()
			got, err := way.to.Receive(within(t))
			if err != nil || !same(got, sent) {
				t.Fatalf("one Send is one piece: %d frames came of %d: %v", len(got), len(sent), err)
			}
			select {
			case err := <-answer:
				t.Fatalf("Send waits until the piece is taken, and returned %v", err)
			default:
			}
			way.to.Taken(true)
			if err := next(t, answer, "the answer"); err != nil {
				t.Fatalf("what was taken is sent: %v", err)
			}
		}
	}
}

func TestWhatIsNotTakenIsAnErrorForWhoSent(t *testing.T) {
	listens, dials := joined(t, "not taken")
	answer := make(chan error, 1)
	go func() { answer <- dials.Send(within(t), frames(100)...) }()
	take(t, listens, false)
	if err := next(t, answer, "the answer"); !errors.Is(err, errNotTaken) {
		t.Errorf("a piece that was not taken is an error: %v", err)
	}
	go func() { answer <- dials.Send(within(t), frames(100)...) }()
	take(t, listens, true)
	if err := next(t, answer, "the answer"); err != nil {
		t.Errorf("the path goes on after it: %v", err)
	}
}

func TestAnswersGoToThePiecesInTheirOrder(t *testing.T) {
	listens, dials := joined(t, "order")
	answers := make(chan string, 3)
	for i := range 3 {
		go func() { answers <- fmt.Sprint(i, dials.Send(within(t), frames(100+i)...) == nil) }()
	}
	var order []int
	for range 3 {
		got, err := listens.Receive(within(t))
		if err != nil {
			t.Fatal(err)
		}
		order = append(order, len(got[0].Sealed())-100)
	}
	want := map[string]bool{}
	for i, which := range order {
		listens.Taken(i == 1)
		want[fmt.Sprint(which, i == 1)] = true
	}
	for range 3 {
		if a := next(t, answers, "an answer"); !want[a] {
			t.Errorf("Send %q; pieces came in the order %v, and the second alone was taken", a, order)
		}
	}
	listens.Taken(true) // nothing is left to answer
}

func TestAWholeCredentialOfOneMebibyteIsOnePiece(t *testing.T) {
	listens, dials := joined(t, "whole")
	var sizes []int
	for left := 1 << 20; left > 0; left -= 60 << 10 {
		sizes = append(sizes, 60<<10+frame.SealSize)
	}
	sent := frames(sizes...)
	for _, way := range []struct{ from, to discovery.Direct }{{listens, dials}, {dials, listens}} {
		answer := make(chan error, 1)
		go func() { answer <- way.from.Send(within(t), sent...) }()
		if got := take(t, way.to, true); !same(got, sent) {
			t.Fatalf("%d frames came of %d", len(got), len(sent))
		}
		if err := next(t, answer, "the answer"); err != nil {
			t.Fatal(err)
		}
	}
}

func TestMoreThanAPieceHoldsGoesInSeveral(t *testing.T) {
	listens, dials := joined(t, "several")
	sent := frames(make([]int, 2*maxFrames+1)...)
	answer := make(chan error, 1)
	go func() { answer <- dials.Send(within(t), sent...) }()
	var got []frame.Frame
	for len(got) < len(sent) {
		got = append(got, take(t, listens, true)...)
	}
	if err := next(t, answer, "the answer"); err != nil || !same(got, sent) {
		t.Errorf("all come, in order: %d of %d, %v", len(got), len(sent), err)
	}
	if err := dials.Send(within(t)); err != nil {
		t.Errorf("nothing to send is sent at once: %v", err)
	}
}

func TestTheListenersFramesComeWithItsFirstFlight(t *testing.T) {
	for _, c := range []struct {
		promise string
		ready   []frame.Frame
		come    int
	}{
		{"what fits comes", frames(1000, 2000), 2},
		{"up to 4 kB, with the length of each", frames(4096 - 4 - frame.HeaderSize), 1},
		{"what is larger than the flight waits", frames(4096 - 3 - frame.HeaderSize), 0},
		{"so does what stands behind it", frames(1000, 4000, 100), 1},
		{"nothing is no piece", nil, 0},
	} {
		sender, receiver := pair("first")
		sender.First = func() []frame.Frame { return c.ready }
		listens, dials := joinedFor(t, sender, receiver)
		if early := listens.(discovery.Early).Early(); !same(early, c.ready[:c.come]) {
			t.Errorf("%s: the listener says it of %d frames", c.promise, len(early))
		}
		if c.come > 0 {
			if got := take(t, dials, true); !same(got, c.ready[:c.come]) {
				t.Errorf("%s: %d frames came, not %d", c.promise, len(got), c.come)
			}
		}
		answer := make(chan error, 1)
		go func() { answer <- listens.Send(within(t), frames(50)...) }()
		if got := take(t, dials, true); !same(got, frames(50)) {
			t.Errorf("%s: then comes what is sent: %d frames", c.promise, len(got))
		}
		if err := next(t, answer, "the answer"); err != nil {
			t.Errorf("%s: and its answer is its own: %v", c.promise, err)
		}
	}
}

func TestACallThatIsEndedLeavesThePathAlone(t *testing.T) {
	listens, dials := joined(t, "ended")
	ctx, cancel := context.WithCancel(context.Background())
	answer := make(chan error, 1)
	go func() { answer <- dials.Send(ctx, frames(100)...) }()
	if _, err := listens.Receive(within(t)); err != nil {
		t.Fatal(err)
	}
	cancel()
	if err := next(t, answer, "the ended Send"); !errors.Is(err, context.Canceled) {
		t.Errorf("a Send that is ended says so: %v", err)
	}
	listens.Taken(true) // of what nobody waits for
	if _, err := listens.Receive(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("a Receive that is ended says so: %v", err)
	}
	go func() { answer <- dials.Send(within(t), frames(200)...) }()
	if got := take(t, listens, true); !same(got, frames(200)) {
		t.Error("the next piece comes")
	}
	if err := next(t, answer, "the next answer"); err != nil {
		t.Errorf("and is answered: %v", err)
	}
}

func TestCloseEndsEveryCallOnBothEnds(t *testing.T) {
	listens, dials := joined(t, "close")
	ended := make(chan error, 4)
	for _, p := range []discovery.Direct{listens, dials} {
		go func() { _, err := p.Receive(within(t)); ended <- err }()
		go func() { ended <- p.Send(within(t), frames(100)...) }()
	}
	// A Send at each end has come through to the other's Receive, so that what Close
	// ends has begun.
	for range 2 {
		if err := next(t, ended, "a Receive"); err != nil {
			t.Fatal(err)
		}
	}
	for _, p := range []discovery.Direct{listens, dials} {
		go func() { _, err := p.Receive(within(t)); ended <- err }()
	}
	listens.Close()
	listens.Close()
	for range 4 {
		if err := next(t, ended, "an ended call"); err == nil {
			t.Error("what Close ends returns an error")
		}
	}
	dials.Close()
	for _, p := range []discovery.Direct{listens, dials} {
		p.Taken(true)
		if _, err := p.Receive(within(t)); err == nil {
			t.Error("nothing is received on a closed path")
		}
		if err := p.Send(within(t), frames(1)...); err == nil {
			t.Error("nothing is sent on a closed path")
		}
	}
}

func TestASocketClosedWithPathsOpenEndsThemAtTheOtherDevice(t *testing.T) {
	sender, receiver := pair("socket")
	a, b := open(t), open(t)
	found := serve(t, a, sender)
	p, err := b.Dial(within(t), at(a), receiver)
	if err != nil {
		t.Fatal(err)
	}
	next(t, found, "the path")
	a.Close()
	if _, err := p.Receive(within(t)); err == nil || !strings.Contains(err.Error(), "closed") {
		t.Errorf("the other device is told at once: %v", err)
	}
	if _, err := a.Dial(within(t), at(b), receiver); !errors.Is(err, ErrClosed) {
		t.Errorf("a closed socket dials nobody: %v", err)
	}
}

func TestStrangersAreToldApartFromSilence(t *testing.T) {
	sender, receiver := pair("mine")
	a, b := open(t), open(t)
	stop := a.Serve(sender, func(discovery.Path) { t.Error("nobody proved") })

	wrong := receiver
	wrong.Key[0] ^= 1
	if _, err := b.Dial(within(t), at(a), wrong); !errors.Is(err, ErrStranger) {
		t.Errorf("another key is another share: %v", err)
	}
	alike := receiver
	alike.Role = discovery.Sender
	if _, err := b.Dial(within(t), at(a), alike); !errors.Is(err, ErrStranger) {
		t.Errorf("two senders have nothing to say to each other: %v", err)
	}
	_, others := pair("another")
	if _, err := b.Dial(within(t), at(a), others); !errors.Is(err, ErrStranger) {
		t.Errorf("what is not served is not answered: %v", err)
	}
	stop()
	if _, err := b.Dial(within(t), at(a), receiver); !errors.Is(err, ErrStranger) {
		t.Errorf("nor is what was served: %v", err)
	}
	ctx, cancel := context.WithCancel(within(t))
	cancel()
	if _, err := b.Dial(ctx, at(a), receiver); err == nil || errors.Is(err, ErrStranger) {
		t.Errorf("an ended Dial says nothing of who is there: %v", err)
	}
}

func TestEndsAreToldInWordsForPeople(t *testing.T) {
	ended := func(code quic.ApplicationErrorCode, remote bool) error {
		return &quic.ApplicationError{ErrorCode: code, Remote: remote}
	}
	for _, c := range []struct {
		err      error
		says     string
		stranger bool
	}{
		{ended(codeDone, false), "this device has closed it", false},
		{ended(codeBroken, false), "the other end doesn't keep to the protocol", false},
		{ended(codeMute, false), "nothing is heard of the other device", false},
		{ended(codeDone, true), "the other device has closed it", false},
		{ended(codeUnproven, true), "it is not the other device of this share: it got no proof from this one that it takes", true},
		{ended(codeBroken, true), "the other device gave up on this one, with error 2", false},
		{ended(codeMute, true), "the other device heard nothing of this one", false},
		{&quic.IdleTimeoutError{}, "nothing is heard of the other device", false},
		{&quic.HandshakeTimeoutError{}, "nothing is heard of the other device", false},
		{context.DeadlineExceeded, "nothing is heard of the other device", false},
		{&quic.TransportError{ErrorCode: 0x150, Remote: true}, "it is not the other device of this share: it doesn't answer for it", true},
		{io.ErrUnexpectedEOF, "it is not the other device of this share: unexpected EOF", true},
		{context.Canceled, "context canceled", false},
	} {
		if err := because(c.err); err.Error() != c.says || errors.Is(err, ErrStranger) != c.stranger {
			t.Errorf("%v is told as %q", c.err, err)
		}
	}
}

func TestSeveralSharesOnOneSocketKeepApart(t *testing.T) {
	const n = 20
	a, b, ctx := open(t), open(t), within(t)
	var all sync.WaitGroup
	for i := range n {
		sender, receiver := pair(fmt.Sprint("share", i))
		if i%2 == 1 { // either side may be the one that listens
			sender, receiver = receiver, sender
		}
		sender.First = func() []frame.Frame { return frames(100 + i) }
		found := serve(t, a, sender)
		all.Go(func() {
			if err := exchange(ctx, b, at(a), receiver, found, i); err != nil {
				t.Errorf("share %d: %v", i, err)
			}
		})
	}
	all.Wait()
}

// exchange dials, and has frames go both ways whose sizes tell which share's they are.
func exchange(ctx context.Context, b *Socket, to netip.AddrPort, sh Share, found <-chan discovery.Path, which int) error {
	p, err := b.Dial(ctx, to, sh)
	if err != nil {
		return err
	}
	dials := p.(discovery.Direct)
	if got, err := dials.Receive(ctx); err != nil || !same(got, frames(100+which)) {
		return fmt.Errorf("the first flight is another's: %d frames, %w", len(got), err)
	}
	dials.Taken(true)
	q, err := soon(found, "the listener's path")
	if err != nil {
		return err
	}
	listens := q.(discovery.Direct)
	answer := make(chan error, 1)
	go func() { answer <- dials.Send(ctx, frames(500+which)...) }()
	if got, err := listens.Receive(ctx); err != nil || !same(got, frames(500+which)) {
		return fmt.Errorf("a piece is another's: %d frames, %w", len(got), err)
	}
	listens.Taken(true)
	sent, err := soon(answer, "the answer")
	return errors.Join(sent, err)
}
