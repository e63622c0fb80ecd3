package mailbox

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/sparekey/sparekey/discovery"
	"github.com/sparekey/sparekey/node/share/sharetest"
	"github.com/sparekey/sparekey/noise/frame"
	"github.com/sparekey/sparekey/relay/relaytest"
	"github.com/sparekey/sparekey/relay/wire"
)

// TestStoriesRunUnchangedAtOneMailbox runs each transcript of the share's machines at
// one mailbox of a real relay, from its beginning to its end, where streams run, logs grow,
// lanes close and offers follow each other. They come to the same words, to the letter. That
// asks for this much help, for a story says when something comes, and again, where a
// mailbox gives each frame once:
//
//   - A story stays at one mailbox. What is there already comes again because who reads
//     it begins anew, on another path, as a device does that was started again. What else
//     such a path gives has come before, and is passed over.
//   - What the mailbox has no place for (in a lane that was closed; where other bytes
//     stand; another offer) it must refuse. That goes by another mailbox, as if the relay
//     had lost the one.
//   - A lane that another mailbox or the next offer has left empty is opened by what opened
//     it before, and what its log lacks is bridged.
//   - An ack goes by a direct path beside the mailbox, which takes none.
//   - No lane is confirmed and no mailbox deleted: a story goes on with who comes late.
func TestStoriesRunUnchangedAtOneMailbox(t *testing.T) {
	var sum count
	sharetest.Each(t, "../../node/share/testdata", func(t *testing.T, _, story string) {
		m := &mail{t: t, url: relaytest.Start(t), first: map[frame.Candidate][]frame.Frame{}}
		defer m.leave()
		sharetest.Unchanged(t, story, sharetest.Way{Carry: m.carry})
		sum.add(m.count)
	})
	if sum.pieces < 400 || sum.again < 100 || sum.bridges == 0 || sum.refused == 0 {
		t.Errorf("in all, %+v", sum)
	}
}

// A count is of what was carried.
type count struct {
	pieces  int
	again   int // of these, what the mailbox had been given before
	bridges int // frames that others stand for
	refused int // what the mailbox had no place for
}

func (c *count) add(d count) {
	c.pieces, c.again, c.bridges, c.refused = c.pieces+d.pieces, c.again+d.again, c.bridges+d.bridges, c.refused+d.refused
}

// Mail brings frames from one device of a story to another.
type mail struct {
	t      *testing.T
	url    string
	box    *box
	offers []frame.Frame                     // of the share, from epoch 0 on
	first  map[frame.Candidate][]frame.Frame // what opens a receiver's lane
	count
}

// A box is a mailbox: what stands in it, and the devices that have a path there.
type box struct {
	rig     *rig
	offers  []frame.Frame
	logs    map[side][]frame.Frame // by seq; nil stands for a bridge
	closed  map[frame.Candidate]frame.Frame
	devices map[string]*device
}

// A side is who writes a log, and in which lane.
type side struct {
	role discovery.Role
	lane frame.Candidate
}

// A device has a path, until it begins anew.
type device struct {
	discovery.Mailbox
	leave func()
	lanes map[frame.Candidate]bool // that it follows
}

func (m *mail) carry(_ testing.TB, from, to string, frames []frame.Frame) (came [][]frame.Frame) {
	for _, piece := range pieces(to, frames) {
		if piece[0].Kind() == frame.Ack {
			came = append(came, piece)
			continue
		}
		if m.box == nil || m.refuses(from, piece) {
			m.move(piece)
		}
		came = append(came, m.bring(from, to, piece))
		m.pieces++
	}
	return came
}

// pieces is how frames come. The sender reads all lanes by one stream; a receiver has
// one for the offers and one a lane.
func pieces(to string, frames []frame.Frame) (out [][]frame.Frame) {
	for _, f := range frames {
		if f.Kind() == frame.Ack || f.Kind() == frame.Taken {
			out = append(out, []frame.Frame{f})
		}
	}
	requests := groups(frames)
	if to == sharetest.Sender && len(requests) > 0 {
		requests = [][]frame.Frame{slices.Concat(requests...)}
	}
	return append(out, requests...)
}

// refuses reports whether a piece has no place in the mailbox any more, and sees to it
// that the relay says so. An older offer is an exception: it is left out in silence.
func (m *mail) refuses(from string, piece []frame.Frame) bool {
	b := m.box
	i := slices.IndexFunc(piece, func(f frame.Frame) bool { return b.shut(f) || b.differs(role(from), f) })
	if i < 0 {
		return false
	}
	b.leave(from) // a path that follows the lane gives its closing frame, too
	f, d := piece[i], m.device(from)
	m.refused++
	sent := m.send(d, piece)
	if b.shut(f) {
		m.receive(d, discovery.Sender, []frame.Frame{b.closed[f.Candidate()]})
	}
	switch err := answer(sent); {
	case f.Kind() == frame.Offer:
		return true
	case b.shut(f) && !is(err, wire.Closed), !b.shut(f) && !errors.Is(err, discovery.ErrRetired):
		m.t.Errorf("the mailbox has no place for the %v of %s, and says %v", f.Kind(), from, err)
	}
	return true
}

// shut reports whether a frame belongs into a lane that was closed.
func (b *box) shut(f frame.Frame) bool {
	return f.Kind() != frame.Taken && b.closed[f.Candidate()] != nil
}

// differs reports whether other bytes stand where a frame belongs, or a later offer.
func (b *box) differs(r discovery.Role, f frame.Frame) bool {
	switch n := f.Seq() + 1; f.Kind() {
	case frame.Taken:
		return false
	case frame.Offer:
		return n < uint64(len(b.offers)) || b.has(r, f) && !bytes.Equal(b.offers[f.Seq()], f)
	}
	return b.has(r, f) && !bytes.Equal(b.logs[side{r, f.Candidate()}][f.Seq()], f)
}

// has reports whether something stands where a frame belongs.
func (b *box) has(r discovery.Role, f frame.Frame) bool {
	switch f.Kind() {
	case frame.Offer:
		return f.Seq() < uint64(len(b.offers))
	case frame.Taken:
		return b.closed[f.Candidate()] != nil
	}
	return f.Seq() < uint64(len(b.logs[side{r, f.Candidate()}]))
}

// bridged reports whether a frame stands where a bridge does.
func (b *box) bridged(r discovery.Role, f frame.Frame) bool {
	return f.Kind() == frame.Data && b.has(r, f) && b.logs[side{r, f.Candidate()}][f.Seq()] == nil
}

// note notes what the mailbox was given.
func (m *mail) note(r discovery.Role, piece []frame.Frame) {
	b := m.box
	for _, f := range piece {
		c := f.Candidate()
		switch s := (side{r, c}); f.Kind() {
		case frame.Offer:
			if !b.has(r, f) {
				b.offers = append(b.offers, f)
				clear(b.logs)
				clear(b.closed)
			}
		case frame.Taken:
			b.closed[c] = f
			delete(b.logs, side{discovery.Sender, c})
			delete(b.logs, side{discovery.Receiver, c})
		default:
			for ; uint64(len(b.logs[s])) < f.Seq(); m.bridges++ {
				b.logs[s] = append(b.logs[s], nil)
			}
			if !b.has(r, f) {
				b.logs[s] = append(b.logs[s], f)
			}
		}
	}
}

func role(name string) discovery.Role {
	if name == sharetest.Sender {
		return discovery.Sender
	}
	return discovery.Receiver
}

// move goes on at another mailbox, which has the share's offers.
func (m *mail) move(piece []frame.Frame) {
	m.leave()
	if f := piece[0]; f.Kind() == frame.Offer {
		m.offers = m.offers[:min(f.Seq(), uint64(len(m.offers)))]
	}
	m.box = &box{rig: newRig(m.t), offers: slices.Clone(m.offers), logs: map[side][]frame.Frame{}, closed: map[frame.Candidate]frame.Frame{}, devices: map[string]*device{}}
	m.device(sharetest.Sender) // makes it, if there is an offer
}

func (m *mail) leave() {
	if m.box != nil {
		for name := range m.box.devices {
			m.box.leave(name)
		}
	}
}

func (b *box) leave(name string) {
	if d := b.devices[name]; d != nil {
		d.leave()
		delete(b.devices, name)
	}
}

// device returns a device that has a path to the mailbox.
func (m *mail) device(name string) *device {
	b := m.box
	if d := b.devices[name]; d != nil {
		return d
	}
	own := *b.rig
	own.claim = sha256.Sum256(append(own.claim[:], name...))
	d := &device{lanes: map[frame.Candidate]bool{}}
	d.Mailbox, d.leave = own.open(m.url, role(name), nil)
	b.devices[name] = d
	if role(name) == discovery.Sender {
		m.must(answer(m.send(d, b.offers)))
	}
	return d
}

func (m *mail) must(err error) {
	m.t.Helper()
	if err != nil {
		m.t.Fatal(err)
	}
}

// bring brings a piece by the mailbox. A stream gives each frame once, so who is to
// be given one again, or all that is there in one piece, begins anew.
func (m *mail) bring(from, to string, piece []frame.Frame) []frame.Frame {
	receiver := to
	if to == sharetest.Sender {
		receiver = from
	}
	f, b := piece[0], m.box
	again := slices.ContainsFunc(piece, func(f frame.Frame) bool { return b.has(role(from), f) })
	if f.Kind() == frame.Offer && !again {
		m.leave() // no lane is left
		m.offers = append(m.offers, f)
	}
	for _, request := range groups(piece) {
		switch f := request[0]; {
		case f.Kind() == frame.Handshake:
			m.first[f.Candidate()] = request
		case f.Kind() == frame.Data && b.logs[side{discovery.Receiver, f.Candidate()}] == nil:
			m.must(m.open(receiver, f.Candidate()))
			m.note(discovery.Receiver, m.first[f.Candidate()])
		}
	}
	m.give(from, piece)
	if again || len(groups(piece)) > 1 {
		b.leave(to)
	}
	if again {
		m.again++
	}
	reader := m.device(to)
	if f.Kind() == frame.Offer || to == sharetest.Sender || reader.lanes[f.Candidate()] {
		return m.receive(reader, role(from), piece)
	}
	opened := make(chan error, 1)
	go func() { opened <- m.open(to, f.Candidate()) }()
	came := m.receive(reader, role(from), piece)
	if err := answer(opened); err != nil && (f.Kind() != frame.Taken || !is(err, wire.Closed)) {
		m.t.Errorf("%s opens its lane again: %v", to, err)
	}
	return came
}

// open has a receiver open its lane once more, and follow it.
func (m *mail) open(name string, c frame.Candidate) error {
	d := m.device(name)
	d.lanes[c] = true
	return answer(m.send(d, m.first[c]))
}

// give gives the mailbox a piece.
func (m *mail) give(from string, piece []frame.Frame) {
	d := m.device(from)
	if piece[0].Kind() == frame.Taken {
		m.must(d.Settle(m.t.Context(), discovery.Decision{Closed: piece}))
	} else {
		m.must(answer(m.send(d, piece)))
	}
	for _, f := range piece {
		if f.Kind() == frame.Handshake {
			d.lanes[f.Candidate()] = true
		}
	}
	m.note(role(from), piece)
}

// send sends in the background: what the relay answers may have to be received before
// Send returns.
func (m *mail) send(d *device, piece []frame.Frame) <-chan error {
	sent := make(chan error, 1)
	go func() { sent <- d.Send(m.t.Context(), piece...) }()
	return sent
}

// answer waits for what became of a Send.
func answer(sent <-chan error) error {
	select {
	case err := <-sent:
		return err
	case <-time.After(patience):
		return errors.New("the mailbox doesn't answer, or nobody takes what it does")
	}
}

// receive returns a piece as it comes, in one piece, without what has come before. The
// bridges ahead of it come too: the machines have to pass them over.
func (m *mail) receive(d *device, by discovery.Role, piece []frame.Frame) (came []frame.Frame) {
	m.t.Helper()
	ctx, cancel := context.WithTimeout(m.t.Context(), patience)
	defer cancel()
	for {
		frames, err := d.Receive(ctx)
		if err != nil {
			m.t.Fatalf("a %v has not come: %v", piece[0].Kind(), err)
		}
		n := 0
		for _, f := range frames {
			wanted := slices.ContainsFunc(piece, func(p frame.Frame) bool { return bytes.Equal(f, p) })
			if wanted {
				n++
			}
			if wanted || m.box.bridged(by, f) {
				came = append(came, f)
			}
		}
		switch n {
		case 0:
		case len(piece):
			return came
		default:
			m.t.Fatalf("%d of %d frames come in one piece", n, len(piece))
		}
	}
}
