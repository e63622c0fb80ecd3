package share_test

import (
	"crypto/sha256"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sparekey/sparekey/node/share"
	"github.com/sparekey/sparekey/noise"
	"github.com/sparekey/sparekey/noise/frame"
)

// A world is one sender and any number of receivers, with nothing between them
// but what a test delivers.
type world struct {
	t         testing.TB
	now       share.Time
	rnd       io.Reader
	link      noise.Secrets
	sender    share.Sender
	receivers map[string]*share.Receiver
	turns     int            // messages that the sender's format sends; the last one grants
	wallet    map[string]int // how often each receiver has provisioned
	log       func(format string, args ...any)
	names     map[frame.Candidate]string
	old       map[string][]frame.Frame // frames kept by a story
	replies   []frame.Frame
}

func newWorld(t testing.TB, seed uint64) *world {
	var s [32]byte
	s[0], s[1] = byte(seed), byte(seed>>8)
	return &world{
		t: t, rnd: rand.NewChaCha8(s), turns: 1, now: share.Time{Boot: [16]byte{1}, Up: time.Hour, Wall: 400000 * time.Hour},
		receivers: map[string]*share.Receiver{}, wallet: map[string]int{}, names: map[frame.Candidate]string{},
		old: map[string][]frame.Frame{}, log: func(string, ...any) {},
	}
}

func (w *world) bytes32() (b [32]byte) {
	io.ReadFull(w.rnd, b[:])
	return b
}

// share makes the sender, for an offer of the given life.
func (w *world) share(life time.Duration) {
	p, err := share.Preview{Format: "test", Title: "Back door", Life: uint32(life / time.Second), Grace: uint32(share.Grace / time.Second)}.Encode()
	if err != nil {
		w.t.Fatal(err)
	}
	seed := w.bytes32()
	c, _ := noise.NewKeys(seed).Commit(p)
	w.link = noise.Secrets{ID: frame.ID(c), PSK: w.bytes32(), OfferKey: w.bytes32()}
	if w.sender, err = share.NewSender(w.now, w.link, seed, p, []byte("secret")); err != nil {
		w.t.Fatal(err)
	}
	w.stepSender(share.Woken{})
}

func (w *world) open(name string) {
	r := share.NewReceiver(w.link)
	w.receivers[name] = &r
}

// stepSender steps the sender through a save, so that what isn't saved is lost
// only where a story says so.
func (w *world) stepSender(e share.Event) share.Effects {
	was := w.sender
	next, eff := w.sender.Step(w.now, w.rnd, e)
	w.sender = next
	w.report("sender", was.State, next.State, next.Reason, eff)
	if next.Epoch() > was.Epoch() {
		w.log("sender: opens epoch %d\n", next.Epoch())
	}
	return eff
}

func (w *world) step(name string, e share.Event) share.Effects {
	r := w.receivers[name]
	was := *r
	next, eff := r.Step(w.now, w.rnd, e)
	*r = next
	for _, c := range next.Candidates {
		w.names[c.Log.Session.Candidate] = name
	}
	w.report(name, was.State, next.State, next.Reason, eff)
	return eff
}

func (w *world) report(name string, was, is share.State, reason string, eff share.Effects) {
	if was != is {
		if reason != "" {
			reason = " (" + reason + ")"
		}
		w.log("%s: %s → %s%s\n", name, was, is, reason)
	}
	if was != is && !eff.Save && is != share.Offered {
		w.t.Errorf("%s: %s → %s was not to be saved", name, was, is)
	}
	if eff.Bad {
		w.log("%s: something did not authenticate\n", name)
	}
	for _, n := range eff.Tell {
		switch n.Kind {
		case share.NoticeAnother:
			w.log("%s: another device came\n", name)
		case share.NoticeReleased:
			w.log("%s: the claim was handed back\n", name)
		case share.NoticeRecalled:
			w.log("%s: asked not to provision\n", name)
		case share.NoticeClaimed:
			w.log("%s: pins %s\n", name, w.names[w.sender.Candidate()])
		}
	}
	w.replies = eff.Reply
}

// toSender delivers frames to the sender in one piece, and its replies back.
func (w *world) toSender(frames []frame.Frame) {
	if len(frames) == 0 {
		return
	}
	eff := w.stepSender(share.Arrived{Frames: frames})
	for _, f := range eff.Reply {
		if name := w.names[f.Candidate()]; name != "" {
			if f.Kind() == frame.Taken {
				w.log("sender → %s: taken\n", name)
			}
			w.step(name, share.Arrived{Frames: []frame.Frame{f}})
		}
	}
}

func (w *world) toReceiver(name string, frames []frame.Frame) {
	if len(frames) == 0 {
		return
	}
	eff := w.step(name, share.Arrived{Frames: frames})
	if len(eff.Reply) > 0 {
		w.stepSender(share.Arrived{Frames: eff.Reply})
	}
}

// forReceiver is what the sender has for one receiver.
func (w *world) forReceiver(name string) (out []frame.Frame) {
	for _, f := range w.sender.Outbox() {
		if f.Kind() == frame.Offer && f.Seq() == w.sender.Epoch() || w.names[f.Candidate()] == name {
			out = append(out, f)
		}
	}
	return out
}

// work does the outstanding task of a side, if there is one.
func (w *world) work(name string) bool {
	if name == "sender" {
		t, ok := w.sender.Task()
		if ok {
			w.stepSender(w.answer(t))
		}
		return ok
	}
	t, ok := w.receivers[name].Task()
	if !ok {
		return false
	}
	switch t.Do {
	case share.Ask:
		a := share.Answer{State: append(slices.Clone(t.State), t.In...)}
		if strings.HasPrefix(string(t.In), "last") {
			a.Done = true
		} else {
			a.Out = [][]byte{[]byte("more, please")}
		}
		w.step(name, share.Answered{Key: t.Key, Answer: a})
	case share.Look:
		w.step(name, share.Looked{Key: t.Key, There: w.wallet[name] > 0})
	case share.Provision:
		w.wallet[name]++
		w.log("%s: provisions\n", name)
		w.step(name, share.Placed{Key: t.Key})
	}
	return true
}

// answer is the sender's format: turns messages, the last of which grants.
func (w *world) answer(t share.Task) share.Event {
	n := strings.Count(string(t.State), "+")
	a := share.Answer{State: append(slices.Clone(t.State), '+'), Out: [][]byte{fmt.Appendf(nil, "message %d", n)}}
	if n == w.turns-1 {
		a.Grants, a.Out = true, [][]byte{fmt.Appendf(nil, "last: %s", "the credential")}
	}
	return share.Answered{Key: t.Key, Answer: a}
}

// run delivers and works until nothing happens any more.
func (w *world) run() {
	for range 100 {
		before := w.fingerprint()
		for _, name := range w.sorted() {
			w.toReceiver(name, w.forReceiver(name))
			for w.work(name) {
			}
			w.toSender(w.receivers[name].Outbox())
			for w.work("sender") {
			}
		}
		if before == w.fingerprint() {
			return
		}
	}
	w.t.Fatal("the world does not come to rest")
}

func (w *world) sorted() (names []string) {
	for n := range w.receivers {
		names = append(names, n)
	}
	slices.Sort(names)
	return names
}

func (w *world) fingerprint() [32]byte {
	h := sha256.New()
	h.Write(w.sender.Marshal())
	for _, n := range w.sorted() {
		h.Write(w.receivers[n].Marshal())
	}
	return [32]byte(h.Sum(nil))
}

// restart loses what a process loses.
func (w *world) restart(name string) {
	if name == "sender" {
		s, err := share.UnmarshalSender(w.sender.Marshal())
		if err != nil {
			w.t.Fatal(err)
		}
		w.sender = s
		w.stepSender(share.Woken{})
		return
	}
	r, err := share.UnmarshalReceiver(w.receivers[name].Marshal())
	if err != nil {
		w.t.Fatal(err)
	}
	w.receivers[name] = &r
	w.step(name, share.Woken{})
}

// over shows the proof of the share's end to a receiver, as a mailbox does,
// if the sender has let it out.
func (w *world) over(name string) {
	if d := w.sender.Decision(); d.Over != nil {
		w.step(name, share.Over{Proof: *d.Over})
	} else {
		w.log("no proof is out\n")
	}
}

// granted counts to how many receivers a credential went.
func (w *world) holders() (n int) {
	for _, times := range w.wallet {
		if times > 1 {
			w.t.Errorf("a receiver provisioned %d times", times)
		}
		n += min(times, 1)
	}
	return n
}
