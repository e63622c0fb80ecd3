package relay_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"strings"
	"testing"
	"time"

	"github.com/sparekey/sparekey/noise/frame"
	"github.com/sparekey/sparekey/relay"
	"github.com/sparekey/sparekey/relay/disk"
	"github.com/sparekey/sparekey/relay/storetest"
	"github.com/sparekey/sparekey/relay/wire"
)

// own is set for a process that is a relay of its own: TestMain runs it.
const own = "SPAREKEY_TEST_RELAY"

func TestMain(m *testing.M) {
	if os.Getenv(own) != "" {
		if err := serveOwn(os.Stdin, os.Stdout); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

// serveOwn is a relay that does as it is told on its standard input: let time
// pass, sweep, or write all of its live memory to a file.
func serveOwn(in io.Reader, out io.Writer) error {
	clock := storetest.NewClock()
	store := relay.NewMemory(clock.Now, relay.Limits{})
	h := relay.NewHandler(relay.Config{Store: store, Now: clock.Now, PublicURL: "https://relay.example"})
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	served := make(chan error, 1)
	go func() { served <- relay.Serve(ctx, l, nil, h) }()
	fmt.Fprintln(out, l.Addr())
	for lines := bufio.NewScanner(in); lines.Scan(); fmt.Fprintln(out, "done") {
		word, rest, _ := strings.Cut(lines.Text(), " ")
		switch word {
		case "advance":
			d, _ := time.ParseDuration(rest)
			clock.Advance(d)
		case "sweep":
			if _, err := store.Sweep(ctx, clock.Now()); err != nil {
				return err
			}
		case "dump":
			if err := dump(rest); err != nil {
				return err
			}
		}
	}
	cancel()
	return <-served
}

// dump writes all live objects, globals and stacks to a file.
func dump(name string) error {
	f, err := os.Create(name)
	if err != nil {
		return err
	}
	for range 3 { // pools forget what isn't used twice in a row
		runtime.GC()
	}
	debug.WriteHeapDump(f.Fd())
	return f.Close()
}

// An ownRelay is a relay in a process of its own, whose memory is looked into.
type ownRelay struct {
	*rig
	in  io.Writer
	out *bufio.Scanner
	dir string
}

func newOwnRelay(t *testing.T) *ownRelay {
	cmd := exec.Command(os.Args[0])
	cmd.Env, cmd.Stderr = append(os.Environ(), own+"=1"), os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	o := &ownRelay{rig: &rig{t: t, client: client(false)}, in: in, out: bufio.NewScanner(out), dir: t.TempDir()}
	t.Cleanup(func() {
		o.client.CloseIdleConnections()
		in.Close()
		if err := cmd.Wait(); err != nil {
			t.Errorf("the relay: %v", err)
		}
	})
	o.base = "http://" + o.line()
	return o
}

func (o *ownRelay) line() string {
	if !o.out.Scan() {
		o.t.Fatalf("the relay says no more: %v", o.out.Err())
	}
	return o.out.Text()
}

func (o *ownRelay) tell(format string, args ...any) {
	o.t.Helper()
	fmt.Fprintf(o.in, format+"\n", args...)
	if got := o.line(); got != "done" {
		o.t.Fatalf("the relay says %q", got)
	}
}

// holds returns which of the marks are in the relay's memory, in any spelling
// that they have in requests.
func (o *ownRelay) holds(marks map[string][]byte) (found []string) {
	o.t.Helper()
	name := filepath.Join(o.dir, "dump")
	o.tell("dump %s", name)
	memory, err := os.ReadFile(name)
	if err != nil || len(memory) < 1<<20 {
		o.t.Fatalf("a memory of %d bytes: %v", len(memory), err)
	}
	for what, mark := range marks {
		for how, b := range map[string][]byte{"": mark, " in base64url": []byte(wire.Text(mark)), " in hex": []byte(hex.EncodeToString(mark))} {
			if bytes.Contains(memory, b) {
				found = append(found, what+how)
			}
		}
	}
	return found
}

// forgets waits until none of the marks is in the relay's memory. The connection on
// which they came may not be idle yet when its answer has been read, or the relay not
// have seen that it is closed.
func (o *ownRelay) forgets(what string, marks map[string][]byte) {
	o.t.Helper()
	held := func() []string { o.client.CloseIdleConnections(); return o.holds(marks) }
	found := held()
	for deadline := time.Now().Add(patience); found != nil && time.Now().Before(deadline); {
		found = held()
	}
	if found != nil {
		o.t.Errorf("of %s the relay's memory holds %v", what, found)
	}
}

// filled puts something into every field of a mailbox, and returns all that is
// known of it but the pair that proves its end.
func (r *rig) filled(name string) (share, map[string][]byte) {
	s := newShare(name)
	r.want("create", 201, "PUT", s.mailbox(), auth{}, bytes.Replace(s.create(), []byte(`"ttl"`), []byte(`"public":{"title":"`+name+`-public"},"ttl"`), 1))
	c, d, e := s.candidate(name+"one"), s.candidate(name+"two"), s.candidate(name+"three")
	marked := func(c candidate, k frame.Kind, seq uint64, what string) frame.Frame {
		return frame.New(k, c.c, seq, bytes.Repeat([]byte(name+what), 20))
	}
	claim := func(c candidate) {
		s := r.open("PUT", c.lane().String(), c.heir(), frame.Append(nil, marked(c, frame.Handshake, 0, "-handshake"), marked(c, frame.Data, 1, "-receiver")))
		s.close()
	}
	for _, opened := range []candidate{c, d, e} {
		claim(opened)
	}
	r.want("append", 204, "PUT", c.entry(wire.Sender, 0), s.asSender(), frame.Append(nil, marked(c, frame.Data, 0, "-sender")))
	r.want("close", 204, "DELETE", d.lane(), s.asSender(), frame.Append(nil, marked(d, frame.Taken, 0, "-closing")))
	r.want("withdraw", 204, "DELETE", e.lane(), e.holder(), nil)
	r.want("confirm", 204, "PUT", s.at(wire.Confirm), s.asSender(), c.binding())
	r.open("GET", s.at(wire.Claims).String(), s.asSender(), nil).close()
	r.want("a view", 200, "GET", s.mailbox(), s.asLink(), nil)
	r.want("a view of what is known", 204, "GET", s.mailbox(), s.asLink(), nil, "?known=0")
	hash := func(b [32]byte) []byte { h := sha256.Sum256(b[:]); return h[:] }
	return s, map[string][]byte{
		"id": s.id[:], "preimage": s.preimage[:], "link capability": s.link[:], "sender's capability": s.sender[:], "offer": []byte(name + "-offer"),
		"hash of the link capability": hash(s.link), "hash of the sender's": hash(s.sender), "device claim": c.claim[:], "hash of it": hash(c.claim),
		"claim of a lane that was closed": d.claim[:], "hash of that": hash(d.claim), "lane": c.c[:], "closed lane": d.c[:], "withdrawn lane": e.c[:],
		"public": []byte(name + "-public"), "handshake": []byte(name + "-handshake"), "receiver's frame": []byte(name + "-receiver"),
		"sender's frame": []byte(name + "-sender"), "closing": []byte(name + "-closing"),
	}
}

func TestRET01NothingOfAMailboxIsInMemoryAfterItsEnd(t *testing.T) {
	o := newOwnRelay(t)
	_, lives := o.filled("ret01-lives")
	deleted, ofDeleted := o.filled("ret01-deleted")
	_, ofExpired := o.filled("ret01-expired")
	o.client.CloseIdleConnections()
	if found := o.holds(lives); len(found) < 12 {
		t.Fatalf("of a mailbox that lives only %v is found: this test looks in the wrong place", found)
	}
	o.want("its share ends", 204, "DELETE", deleted.mailbox(), auth{}, deleted.over())
	o.want("and whoever knows the id is told", 410, "GET", deleted.mailbox(), deleted.asLink(), nil)
	o.forgets("a mailbox that was deleted", ofDeleted)
	o.tell("advance 2h")
	o.tell("sweep")
	for _, marks := range []map[string][]byte{ofExpired, lives, {"h": deleted.proof.H[:], "over": deleted.proof.Over[:]}} {
		o.forgets("mailboxes and tombstones that ran out", marks)
	}
}

// onDisk serves a store on a disk.
func onDisk(t *testing.T, dir string, clock *storetest.Clock) *rig {
	store, err := disk.Open(dir, disk.Options{Now: clock.Now, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	return newRig(t, func(c *relay.Config) { c.Now, c.Store = clock.Now, store })
}

func TestRET02AMailboxThatRanOutWhileTheRelayWasDownIsNeverServed(t *testing.T) {
	dir, clock := t.TempDir(), storetest.NewClock()
	var s, ended share
	t.Run("before", func(t *testing.T) {
		r := onDisk(t, dir, clock)
		s, _ = r.filled("ret02")
		ended, _ = r.filled("ret02-ended")
		r.want("one has ended", 204, "DELETE", ended.mailbox(), auth{}, ended.over())
		r.stop()
		r.store.Shutdown()
	})
	clock.Advance(time.Hour)
	r := onDisk(t, dir, clock)
	defer func() { r.stop(); r.store.Shutdown() }()
	none := newShare("none")
	for _, over := range []share{s, ended} {
		c := over.candidate("ret02one")
		absent := doors(none, none.candidate("one"))
		for name, d := range doors(over, c) {
			got, want := r.do(d.method, d.path, d.right[0], d.body), r.do(d.method, absent[name].path, d.right[0], d.body)
			if got.status != 404 || !equal(got, want) {
				t.Errorf("%s of a mailbox whose time was up before the start: got %d %s, want what an id gets that nobody created", name, got.status, got.body)
			}
		}
		r.want("its delete", 404, "DELETE", over.mailbox(), auth{}, over.over())
	}
	r.eventually("what ran out is swept at the start, unasked", func() bool {
		return strings.Contains(r.metrics(), "sparekey_relay_swept_total 2\n")
	})
}
