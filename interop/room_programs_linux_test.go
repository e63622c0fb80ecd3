package interop

import (
	"bytes"
	"context"
	"net/netip"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/sparekey/sparekey/simulations/programs"
	"github.com/sparekey/sparekey/simulations/wire"
)

// A room is a switch with two machines, and nothing else: the second sparekey's
// and the real program's.
type room struct {
	t            *testing.T
	ctx          context.Context
	dir          string
	inside       *wire.Switch
	record       *wire.Recording // of all that is sent in it
	ours, theirs *wire.Station
	real         programs.Device
}

// A kind of room is what both machines are given.
type roomKind struct {
	name   string
	v4, v6 bool // v4: addresses of one network; v6: link-local ones, as the kernel makes them
}

var roomKinds = []roomKind{{"IPv4 and IPv6", true, true}, {"IPv4 alone", true, false}, {"IPv6 alone", false, true}}

func newRoom(t *testing.T, kind roomKind) *room {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	t.Cleanup(cancel)
	r := &room{t: t, ctx: ctx, dir: t.TempDir()}
	var err error
	r.inside, err = wire.NewSwitch()
	r.ok(err, "a switch is made")
	t.Cleanup(func() { r.inside.Close() })
	r.record = r.inside.Record()
	t.Cleanup(r.tells)
	r.ours = r.station(kind, "ours", "192.0.2.11/24")
	r.theirs = r.station(kind, "theirs", "192.0.2.12/24")
	r.real = programs.Device{Bin: bin, Home: filepath.Join(r.dir, "vault"), User: r.dir, Out: r.dir}
	return r
}

// tells what was on the wire, if the test has failed.
func (r *room) tells() {
	if !r.t.Failed() {
		return
	}
	for i, f := range r.record.Frames() {
		if d, ok := f.UDP(); ok && i < 200 {
			r.t.Logf("%v -> %v: %d bytes, %.60q", d.From, d.To, len(d.Payload), d.Payload)
		}
	}
}

func (r *room) station(kind roomKind, name, addr string) *wire.Station {
	r.t.Helper()
	st, err := wire.NewStation(name)
	r.ok(err, "a machine is made")
	r.t.Cleanup(func() { st.Close() })
	if !kind.v6 {
		r.ok(st.NoIPv6(), "it knows no IPv6")
	}
	_, err = r.inside.Plug(st, "eth0")
	r.ok(err, "it is plugged in")
	if kind.v4 {
		r.ok(st.IP("addr add "+addr+" dev eth0"), "it has an address")
	}
	if kind.v6 {
		r.linkLocal(st)
	}
	return st
}

// linkLocal waits for the address that the kernel gives an interface when its carrier
// is there: the second sparekey looks at its interfaces once.
func (r *room) linkLocal(st *wire.Station) {
	r.t.Helper()
	r.until(st.Name+" has a link-local address", func() bool {
		var all []card
		err := st.Do(func() (err error) { all, err = cards(); return err })
		return err == nil && len(cardsWith(all, netip.Addr.Is6)) > 0
	})
}

// until looks at something that tells nobody when it changes.
func (r *room) until(what string, is func() bool) {
	r.t.Helper()
	look := time.NewTicker(10 * time.Millisecond)
	defer look.Stop()
	for !is() {
		select {
		case <-look.C:
		case <-r.ctx.Done():
			r.t.Fatalf("it isn't so that %s", what)
		}
	}
}

func (r *room) ok(err error, promise string) {
	r.t.Helper()
	if err != nil {
		r.t.Fatalf("%s: %v", promise, err)
	}
}

// run starts the real program.
func (r *room) run(args ...string) *programs.Process {
	r.t.Helper()
	p, err := programs.Start(r.theirs, r.real.Command(args...))
	r.ok(err, "sparekey starts")
	r.t.Cleanup(p.Kill)
	return p
}

// share has the real program share a file by the room alone.
func (r *room) share(content []byte) (p *programs.Process, link string) {
	r.t.Helper()
	file := filepath.Join(r.dir, "key.bin")
	r.ok(os.WriteFile(file, content, 0o600), "a file is written")
	p = r.run("share", file, "--yes", "--paths", "lan")
	offered, err := p.Said(r.ctx, "share.offered")
	r.ok(err, "it is offered")
	return p, offered.Link
}

// takes has the real program receive by the room alone.
func (r *room) takes(link string) *programs.Process {
	r.t.Helper()
	return r.run("receive", link, "--yes", "--paths", "lan", "--name", "ben", "-o", filepath.Join(r.dir, "got"))
}

// ends wants a process to end well.
func (r *room) ends(p *programs.Process) {
	r.t.Helper()
	_, err := p.End(r.ctx)
	r.ok(err, "the real program ends well")
}

// sender makes a second sender in the room.
func (r *room) sender() *roomSender {
	r.t.Helper()
	s := newSender(nil, "", filePreview)
	s.link.app = true
	in, err := s.enters(r.ours.Do)
	r.t.Cleanup(in.leave)
	r.ok(err, "the second sender enters")
	return in
}

// receiver makes a second receiver in the room. It doesn't ask for the sender yet.
func (r *room) receiver(link string) *roomReceiver {
	r.t.Helper()
	d, err := newReceiver(nil, link)
	r.ok(err, "the link is read")
	in, err := d.enters(r.ours.Do)
	r.t.Cleanup(in.leave)
	r.ok(err, "the second receiver enters")
	return in
}

// secondReceiverTakesInTheRoom takes a share of the real program's to its end.
func (r *room) secondReceiverTakesInTheRoom(link string, content []byte) {
	r.t.Helper()
	in := r.receiver(link)
	in.seek(r.ctx)
	r.ok(in.view(r.ctx), "the offer comes")
	r.ok(in.accept(r.ctx, "second"), "the claim is taken")
	r.isGiven(in, content)
}

// isGiven wants the grant and the end of a receiver that has claimed.
func (r *room) isGiven(in *roomReceiver, content []byte) {
	r.t.Helper()
	msg, grants, err := in.message(r.ctx)
	r.ok(err, "the grant comes")
	c, err := decodeInfo(msg, "file")
	if err != nil || !grants || !bytes.Equal(c.data, content) {
		r.t.Fatalf("%d bytes, a grant: %v, %v; want the %d that were shared", len(c.data), grants, err, len(content))
	}
	r.ok(in.say(r.ctx, body{word: wordProvisioned}), "the sender is told")
	if b, err := in.end(r.ctx); err != nil || b.word != wordDone {
		r.t.Fatalf("the end is %+v, %v; want done", b, err)
	}
}

// handsOver hands a file over to the real receiver, to its end.
func (r *room) handsOver(s *roomSender, content []byte) {
	r.t.Helper()
	r.ok(s.pin(r.ctx), "the claim opens")
	r.ok(s.say(r.ctx, grant("key.bin", content)...), "the grant is taken")
	r.handedOver(s, content)
}

// handedOver wants the real receiver to have what was granted, and ends the share.
func (r *room) handedOver(s *roomSender, content []byte) {
	r.t.Helper()
	if b, err := s.hear(r.ctx); err != nil || b.word != wordProvisioned {
		r.t.Fatalf("heard %+v, %v; want provisioned", b, err)
	}
	r.ok(s.end(r.ctx, wordDone, ""), "done is taken")
	if got, err := os.ReadFile(filepath.Join(r.dir, "got")); err != nil || !bytes.Equal(got, content) {
		r.t.Fatalf("%d bytes, %v; want the %d that were shared", len(got), err, len(content))
	}
}

func contentOf(size int) []byte { return bytes.Repeat([]byte("a spare key, "), size/13+1)[:size] }

func TestASecondReceiverTakesAFileFromTheRealSenderInARoom(t *testing.T) {
	for _, kind := range roomKinds {
		t.Run(kind.name, func(t *testing.T) {
			r := newRoom(t, kind)
			content := contentOf(300_001)
			share, link := r.share(content)
			r.secondReceiverTakesInTheRoom(link, content)
			r.ends(share)
		})
	}
}

func TestTheRealReceiverTakesAFileFromASecondSenderInARoom(t *testing.T) {
	for _, kind := range roomKinds {
		t.Run(kind.name, func(t *testing.T) {
			r := newRoom(t, kind)
			content := contentOf(300_001)
			s := r.sender()
			receive := r.takes(s.s.link.url())
			r.handsOver(s, content)
			if s.s.label != "ben" {
				t.Errorf("the receiver calls itself %q", s.s.label)
			}
			r.ends(receive)
		})
	}
}
