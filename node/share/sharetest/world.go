package sharetest

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
	carry     Carry
	now       share.Time
	rnd       io.Reader
	link      noise.Secrets
	sender    share.Sender
	receivers map[string]*share.Receiver
	turns     int            // messages that the sender's format sends
	grants    string         // which of them grant: a number from 1, "all", or "" for the last
	wallet    map[string]int // how often each receiver has provisioned
	log       func(format string, args ...any)
	names     map[frame.Candidate]string
	told      map[frame.Candidate]bool // who has been told taken, for the story
	old       map[string][]frame.Frame // frames kept by a story
	held      map[string][]frame.Frame // the sender's answers that are held up on their way
	backups   map[string][]byte
	proof     *frame.Proof // once it is out
}

func newWorld(t testing.TB, carry Carry, seed uint64) *world {
	var s [32]byte
	s[0], s[1] = byte(seed), byte(seed>>8)
	return &world{
		t: t, carry: carry, rnd: rand.NewChaCha8(s), turns: 1, now: share.Time{Boot: [16]byte{1}, Up: time.Hour, Wall: 400000 * time.Hour},
		receivers: map[string]*share.Receiver{}, wallet: map[string]int{}, names: map[frame.Candidate]string{}, told: map[frame.Candidate]bool{},
		old: map[string][]frame.Frame{}, held: map[string][]frame.Frame{}, backups: map[string][]byte{}, log: func(string, ...any) {},
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
	w.proof, w.receivers = nil, map[string]*share.Receiver{}
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
	w.report(Sender, was.State, next.State, next.Reason, eff)
	if d := next.Decision(); d.Over != nil {
		w.proof = d.Over
	}
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
	if d := next.Decision(); d.Over != nil {
		w.proof = d.Over
	}
	return eff
}

func (w *world) outbox(name string) []frame.Frame {
	if name == Sender {
		return w.sender.Outbox()
	}
	return w.receivers[name].Outbox()
}

// owed says what a side still has for the other one, and for mailboxes.
func (w *world) owed(name string) {
	d := w.sender.Decision()
	if name != Sender {
		d = w.receivers[name].Decision()
	}
	var things []string
	for _, f := range w.outbox(name) {
		things = append(things, fmt.Sprintf("%v %d", f.Kind(), f.Seq()))
	}
	if d.Pinned != (frame.Candidate{}) {
		things = append(things, "a lane to be confirmed")
	}
	if d.Over != nil {
		things = append(things, "the proof")
	}
	if len(things) == 0 {
		things = []string{"nothing"}
	}
	w.log("%s owes: %s\n", name, strings.Join(things, ", "))
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
}

// toSender brings a receiver's frames to the sender, and its replies back.
func (w *world) toSender(from string, frames []frame.Frame) {
	for _, piece := range w.bring(from, Sender, frames) {
		eff := w.stepSender(share.Arrived{Frames: piece})
		for _, f := range eff.Reply {
			if name := w.names[f.Candidate()]; name != "" {
				w.answerTo(name, f)
			}
		}
	}
}

func (w *world) answerTo(name string, f frame.Frame) {
	if f.Kind() == frame.Taken && !w.told[f.Candidate()] {
		w.told[f.Candidate()] = true
		w.log("sender → %s: taken\n", name)
	}
	if held, ok := w.held[name]; ok {
		w.held[name] = append(held, f)
		return
	}
	for _, piece := range w.bring(Sender, name, []frame.Frame{f}) {
		w.step(name, share.Arrived{Frames: piece})
	}
}

// boast is what a receiver sends that counts frames which the sender never wrote:
// in its claim, or in a frame behind it.
func (w *world) boast(name string, late bool) []frame.Frame {
	out := w.receivers[name].Outbox()[:2]
	seq := uint64(1)
	if late {
		seq = 2
	}
	log := w.receivers[name].Candidates[0].Log
	f, err := log.Session.Seal(w.rnd, frame.Data, seq, 7, []byte{0xa1, 1, 1})
	if err != nil {
		w.t.Fatal(err)
	}
	return append(slices.Clone(out[:seq]), f)
}

// bring carries frames, if there are any.
func (w *world) bring(from, to string, frames []frame.Frame) [][]frame.Frame {
	if len(frames) == 0 {
		return nil
	}
	return w.carry(w.t, from, to, frames)
}

func (w *world) toReceiver(name string, frames []frame.Frame) {
	for _, piece := range w.bring(Sender, name, frames) {
		eff := w.step(name, share.Arrived{Frames: piece})
		for _, reply := range w.bring(name, Sender, eff.Reply) {
			w.stepSender(share.Arrived{Frames: reply})
		}
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
	if name == Sender {
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

// answer is the sender's format.
func (w *world) answer(t share.Task) share.Event {
	n := strings.Count(string(t.State), "+") + 1
	last := n == w.turns
	a := share.Answer{State: append(slices.Clone(t.State), '+'), Out: [][]byte{fmt.Appendf(nil, "message %d", n)}}
	if last {
		a.Out = [][]byte{[]byte("last: the credential")}
	}
	a.Grants = w.grants == "all" || w.grants == fmt.Sprint(n) || w.grants == "" && last
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
			w.toSender(name, w.receivers[name].Outbox())
			for w.work(Sender) {
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

// event steps a side.
func (w *world) event(name string, e share.Event) {
	if name == Sender {
		w.stepSender(e)
	} else {
		w.step(name, e)
	}
}

func (w *world) saved(name string) []byte {
	if name == Sender {
		return w.sender.Marshal()
	}
	return w.receivers[name].Marshal()
}

// restart starts a side from what was saved, which is all that it then knows.
func (w *world) restart(name string, saved []byte) {
	var err error
	if name == Sender {
		w.sender, err = share.UnmarshalSender(saved)
	} else {
		var r share.Receiver
		r, err = share.UnmarshalReceiver(saved)
		w.receivers[name] = &r
	}
	if err != nil {
		w.t.Fatal(err)
	}
	w.event(name, share.Woken{})
}

// over shows the proof of the share's end to a side, as a mailbox does, if the
// sender has let it out.
func (w *world) over(name string) {
	if w.proof != nil {
		w.event(name, share.Over{Proof: *w.proof})
	} else {
		w.log("no proof is out\n")
	}
}

// holders counts the receivers that have the credential.
func (w *world) holders() (n int) {
	for _, times := range w.wallet {
		if times > 1 {
			w.t.Errorf("a receiver provisioned %d times", times)
		}
		n += min(times, 1)
	}
	return n
}
