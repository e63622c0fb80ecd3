package share

import (
	"bytes"
	"crypto/mlkem"
	"crypto/mlkem/mlkemtest"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/sparekey/sparekey/noise"
	"github.com/sparekey/sparekey/noise/frame"
)

// A walk is one sender and two receivers, a mailbox and a direct path between the
// sender and the first receiver, and a world in which anything happens at any
// moment: frames are lost, repeated, reordered and late; devices die between any
// two steps; people change their minds; a relay that has the link lies. After every
// step it holds what a share promises; at its end the world turns honest, and what
// has begun must come to an end that both sides know.
//
// The machines are the real ones. The mailbox is what a carrier makes of it: it has
// what both sides have to send, until one of them shows it the proof.
type walk struct {
	pick func(n int) int // which of n; all chance of the walk but keys comes from it
	bend bend
	rnd  io.Reader
	now  Time
	seed [32]byte
	link noise.Secrets

	turns     int  // messages of the sender's format
	mood      int  // how often people change their minds
	hasty     bool // time may run out in the middle
	sender    *device[Sender]
	receivers [2]*device[Receiver]
	installed [2]int

	owner              map[frame.Candidate]int
	granted            map[int]bool      // receivers for whose candidate a grant was made
	sealed             map[string][]byte // what was sealed under a candidate, a side and a seq
	toAll              []frame.Frame     // what the sender ever let out
	toOne              [2][]frame.Frame  // what each receiver ever let out
	direct             bool              // the first receiver is in the room
	gone               bool              // the mailbox was deleted
	proof              *frame.Proof      // with which it was
	copied, aged, lied bool              // what the honest end must allow for
}

// A device is a machine and what is saved of it.
type device[M any] struct {
	is    M
	saved []byte
	sends []frame.Frame // the outbox of what is saved
	task  Task          // its task
}

// A broken promise ends a walk.
type broken string

func (w *walk) must(ok bool, promise string, args ...any) {
	if !ok {
		panic(broken(fmt.Sprintf(promise, args...)))
	}
}

// stroll walks so many steps and to the end, and returns the promise that broke.
func stroll(pick func(n int) int, b bend, steps int) (promise string) {
	defer func() {
		switch p := recover().(type) {
		case nil:
		case broken:
			promise = string(p)
		default:
			panic(p)
		}
	}()
	w := newWalk(pick, b)
	for range steps {
		w.anything()
	}
	w.end()
	return ""
}

func newWalk(pick func(n int) int, b bend) *walk {
	w := &walk{
		pick: pick, bend: b, now: Time{Boot: [16]byte{1}, Up: time.Hour, Wall: 400000 * time.Hour},
		owner: map[frame.Candidate]int{}, granted: map[int]bool{}, sealed: map[string][]byte{}, direct: pick(2) == 0, turns: 1 + pick(3), mood: pick(4), hasty: pick(4) == 0,
	}
	w.rnd = rand.NewChaCha8([32]byte{byte(pick(256)), byte(pick(256))})
	w.seed = w.bytes32()
	p := encode(Preview{Format: "test", Title: "t", Life: 3600, Grace: 3600})
	c, _ := noise.NewKeys(w.seed).Commit(p)
	w.link = noise.Secrets{ID: frame.ID(c), PSK: w.bytes32(), OfferKey: w.bytes32()}
	s := must(NewSender(w.now, w.link, w.seed, p, []byte("secret")))
	w.sender = &device[Sender]{is: s, saved: s.Marshal(), sends: s.Outbox()}
	for i := range w.receivers {
		r := NewReceiver(w.link)
		w.receivers[i] = &device[Receiver]{is: r, saved: r.Marshal()}
	}
	return w
}

func (w *walk) bytes32() (b [32]byte) {
	must(io.ReadFull(w.rnd, b[:]))
	return b
}

// encapsulate draws from the walk's own randomness, so that a walk repeats.
func (w *walk) encapsulate(ek *mlkem.EncapsulationKey768) (shared, ct []byte) {
	b := w.bytes32()
	shared, ct, err := mlkemtest.Encapsulate768(ek, b[:])
	if err != nil {
		panic(err)
	}
	return shared, ct
}

// stepSender steps the sender and holds what each step of it promises.
func (w *walk) stepSender(e Event) {
	d := w.sender
	was := d.is.State
	next, eff := d.is.Step(w.now, w.rnd, e)
	d.is = next
	if eff.Save && !(w.bend.forget != nil && w.bend.forget(was, next.State)) {
		d.saved, d.sends = next.Marshal(), next.Outbox()
		d.task, _ = next.Task()
		if w.pick(8) == 0 {
			again, err := UnmarshalSender(d.saved)
			w.must(err == nil, "what a sender saves can be read: %v", err)
			w.must(bytes.Equal(again.Marshal(), d.saved), "what a sender saves reads back as it was")
		}
	}
	task, _ := next.Task()
	w.must(next.State == was || eff.Save, "a change of state is saved: %s → %s", was, next.State)
	w.must(sameTask(task, d.task), "nothing is asked of a format that isn't saved")
	w.send(&w.toAll, d.sends, next.Outbox(), 's')
	w.reply(&w.toAll, eff.Reply)
	if next.State == Granted && was != Granted {
		w.granted[w.owner[next.Candidate()]] = true
	}
	w.must(len(w.granted) < 2, "a credential is granted to one receiver")
	w.must(next.State != Done || w.holders() == 1, "done means that a receiver has it")
	w.must(!next.State.Ended() || next.State == Done || w.holders() == 0, "a share that is %s left nothing with anybody", next.State)
	w.must(next.Decision().Over == nil || next.State.Ended(), "the proof is out only once the share has ended")
	w.must(next.Pin == nil || next.State == Offered || len(w.granted) == 0 || w.granted[w.owner[next.Candidate()]], "who was granted stays pinned")
}

// step steps a receiver and holds what each step of it promises.
func (w *walk) step(i int, e Event) {
	d := w.receivers[i]
	was := d.is.State
	d.is.Encapsulate = w.encapsulate
	next, eff := d.is.Step(w.now, w.rnd, e)
	d.is = next
	for _, c := range next.Candidates {
		w.owner[c.id()] = i
	}
	if eff.Save {
		d.saved, d.sends = next.Marshal(), next.Outbox()
		d.task, _ = next.Task()
		if w.pick(8) == 0 {
			again, err := UnmarshalReceiver(d.saved)
			w.must(err == nil, "what a receiver saves can be read: %v", err)
			w.must(bytes.Equal(again.Marshal(), d.saved), "what a receiver saves reads back as it was")
		}
	}
	task, _ := next.Task()
	w.must(next.State == was || eff.Save, "a change of state is saved: %s → %s", was, next.State)
	w.must(sameTask(task, d.task), "nothing is asked of a format that isn't saved")
	w.send(&w.toOne[i], d.sends, next.Outbox(), 'r')
	w.reply(&w.toOne[i], eff.Reply)
	w.must(next.State != Taken || !w.granted[i], "taken means that it was not granted")
	w.must(next.State != Done || w.installed[i] == 1 && w.sender.is.State == Done, "done means that both know it")
	w.must(!next.State.Ended() || next.State == Done || w.installed[i] == 0, "a receiver that is %s has nothing", next.State)
	w.must(next.Decision().Over == nil || next.Decision().Over.Proves(w.link.ID), "a mailbox is deleted with the proof alone")
}

// sameTask compares tasks. Whether a look has been done in this run isn't saved.
func sameTask(a, b Task) bool {
	if a.Do == Provision {
		a.Do = Look
	}
	if b.Do == Provision {
		b.Do = Look
	}
	return a.Do == b.Do && a.Key == b.Key && bytes.Equal(a.State, b.State) && bytes.Equal(a.In, b.In)
}

// send lets frames out, all of which must have been saved before, and none of which
// was ever sealed with other bytes.
func (w *walk) send(pool *[]frame.Frame, saved, out []frame.Frame, side byte) {
	for _, f := range out {
		same := func(g frame.Frame) bool { return bytes.Equal(f, g) }
		w.must(slices.ContainsFunc(saved, same), "nothing is sent that isn't saved: %v %d", f.Kind(), f.Seq())
		slot := fmt.Sprint(side, f.Kind(), f.Candidate(), f.Seq())
		if was, ok := w.sealed[slot]; ok {
			w.must(bytes.Equal(was, f), "a frame is sealed once: %v %d", f.Kind(), f.Seq())
			continue
		}
		w.sealed[slot] = f
		*pool = append(*pool, f)
	}
}

// reply lets acks and refusals out, which nothing rests on.
func (w *walk) reply(pool *[]frame.Frame, frames []frame.Frame) {
	for _, f := range frames {
		if !slices.ContainsFunc(*pool, func(g frame.Frame) bool { return bytes.Equal(f[:17], g[:17]) }) {
			*pool = append(*pool, f)
		}
	}
}

func (w *walk) holders() int { return min(w.installed[0], 1) + min(w.installed[1], 1) }

// anything lets something happen.
func (w *walk) anything() {
	i := w.pick(2)
	switch w.pick(24) {
	case 0, 1:
		w.look(i)
	case 2, 3, 4:
		w.stepSender(Arrived{w.some(w.toOne[i])})
	case 5, 6, 7:
		w.step(i, Arrived{w.some(w.toAll)})
	case 8, 9:
		w.stepSender(Arrived{w.receivers[i].is.Outbox()})
	case 10, 11:
		w.step(i, Arrived{w.forReceiver(i)})
	case 12, 13:
		w.answer(w.pick(6) < w.mood && w.pick(4) == 0)
	case 14, 15, 16:
		w.work(i, w.pick(6) < w.mood && w.pick(4) == 0)
	case 17:
		w.restartSender()
	case 18:
		w.restart(i)
	case 19:
		if w.pick(6) < w.mood {
			w.will(i)
		}
	case 20:
		w.settle()
		w.showProof(i)
	case 21:
		w.lie(i)
	case 22:
		w.pass()
	case 23:
		w.direct = w.direct && w.pick(4) != 0
	}
}

// look brings a receiver to its claim: the offer that is out, then the gesture.
func (w *walk) look(i int) {
	if r := &w.receivers[i].is; r.State == Opened {
		w.step(i, Arrived{w.forReceiver(i)})
	} else if r.State == Viewed {
		w.step(i, Accept{Claim: w.bytes32()})
	}
}

// some are frames from a pool: a few, in any order, some twice.
func (w *walk) some(pool []frame.Frame) (out []frame.Frame) {
	if len(pool) == 0 {
		return nil
	}
	for range 1 + w.pick(5) {
		out = append(out, pool[w.pick(len(pool))])
	}
	return out
}

// forReceiver is what the sender has for a receiver now, and the closing frames of
// its lanes.
func (w *walk) forReceiver(i int) (out []frame.Frame) {
	for _, f := range slices.Concat(w.sender.is.Outbox(), w.sender.is.Decision().Closed) {
		if f.Kind() == frame.Offer && f.Seq() == w.sender.is.Epoch() || f.Kind() != frame.Offer && w.owner[f.Candidate()] == i {
			out = append(out, f)
		}
	}
	return out
}

// answer lets the sender's format answer, or fail for good.
func (w *walk) answer(fails bool) {
	t, ok := w.sender.is.Task()
	if !ok {
		return
	}
	if fails {
		w.stepSender(Answered{Key: t.Key, Failed: "it fails"})
		return
	}
	n := bytes.Count(t.State, []byte("+")) + 1
	a := Answer{State: append(slices.Clone(t.State), '+'), Out: [][]byte{fmt.Appendf(nil, "message %d", n)}, Grants: n == w.turns}
	if a.Grants {
		a.Out = [][]byte{[]byte("last: the credential")}
	}
	w.stepSender(Answered{Key: t.Key, Answer: a})
}

// work lets a receiver's format do its task, or fail for good. It may put the
// credential in its place, and the device die before it knows.
func (w *walk) work(i int, fails bool) {
	t, ok := w.receivers[i].is.Task()
	if !ok {
		return
	}
	switch {
	case t.Do == Look:
		w.step(i, Looked{Key: t.Key, There: w.installed[i] > 0})
	case fails && t.Do == Ask:
		w.step(i, Answered{Key: t.Key, Failed: "it fails"})
	case fails:
		w.step(i, Placed{Key: t.Key, Failed: "it can't be placed"})
	case t.Do == Provision:
		w.installed[i]++
		w.must(w.installed[i] == 1, "a receiver provisions once")
		w.must(w.holders() == 1, "one receiver has it")
		if w.pick(3) == 0 {
			w.restart(i)
			return
		}
		w.step(i, Placed{Key: t.Key})
	default:
		a := Answer{State: append(slices.Clone(t.State), t.In...), Done: bytes.HasPrefix(t.In, []byte("last"))}
		if !a.Done {
			a.Out = [][]byte{[]byte("more, please")}
		}
		w.step(i, Answered{Key: t.Key, Answer: a})
	}
}

func (w *walk) restartSender() {
	w.sender.is = must(UnmarshalSender(w.sender.saved))
	w.stepSender(Woken{})
}

func (w *walk) restart(i int) {
	w.receivers[i].is = must(UnmarshalReceiver(w.receivers[i].saved))
	w.receivers[i].is.absent = w.bend.presume
	w.step(i, Woken{})
}

// will is what people may want at any moment.
func (w *walk) will(i int) {
	switch w.pick(8) {
	case 0:
		w.stepSender(Cancel{Reason: "changed my mind"})
	case 1:
		w.step(i, Decline{Reason: "not mine"})
	case 2:
		w.step(i, Redirect{State: []byte("elsewhere")})
	case 3:
		if w.pick(4) == 0 {
			w.copied = true
			w.stepSender(Copied{})
		}
	default:
		w.step(i, Relinquish{})
	}
}

// settle makes the mailbox agree: it goes with the proof.
func (w *walk) settle() {
	ds := []Decision{w.senderDecision(), w.receivers[0].is.Decision(), w.receivers[1].is.Decision()}
	for _, d := range ds {
		if d.Over != nil {
			w.gone, w.proof = true, d.Over
		}
	}
	for i := range w.receivers {
		if w.bend.deletes != nil && w.bend.deletes(w.receivers[i].is.State) {
			w.gone = true
		}
	}
}

func (w *walk) senderDecision() Decision {
	s := &w.sender.is
	d := s.Decision()
	if w.bend.shows != nil && w.bend.shows(s.State) {
		d.Over = &s.Proof
	}
	if w.bend.hides {
		d.Over = nil
	}
	return d
}

// showProof lets whoever asks the mailbox know that it was deleted, and by what.
func (w *walk) showProof(i int) {
	if w.proof == nil {
		return
	}
	w.step(i, Over{*w.proof})
	if w.sender.is.State.Ended() { // while it lives, its own proof would mean that it is a copy
		w.stepSender(Over{*w.proof})
	}
}

// lie is what a relay can do that has the link: a proof that proves nothing, an
// offer that isn't the sender's, time that runs.
func (w *walk) lie(i int) {
	switch w.pick(3) {
	case 0:
		forged := frame.Proof{H: w.bytes32(), Over: w.bytes32()}
		w.step(i, Over{forged})
		w.stepSender(Over{forged})
	case 1:
		r := &w.receivers[i].is
		if epoch, ok := r.Epoch(); ok && !r.State.Ended() && epoch < 6 {
			w.lied = true
			f := must(noise.NewKeys(w.seed).Offer(w.link, epoch+1, r.Offer.Preview, nil))
			w.step(i, Arrived{[]frame.Frame{f}})
		}
	case 2:
		w.step(i, Remaining{Left: time.Duration(1+w.pick(200)) * time.Hour})
	}
}

// pass lets time pass for everybody: a little, or to the end of something. A reboot
// or a wrong wall clock may come with it.
func (w *walk) pass() {
	d := time.Minute
	if w.hasty && w.pick(4) == 0 {
		d = time.Duration(1+w.pick(2)) * time.Hour
		w.aged = true
	}
	w.now.Up += d
	w.now.Wall += d
	if w.pick(4) == 0 {
		w.now.Boot[1]++
		w.now.Up = 0
	}
	w.wake()
}

func (w *walk) wake() {
	w.stepSender(Woken{})
	for i := range w.receivers {
		w.step(i, Woken{})
	}
}

// end lets the world turn honest, then all time pass, and holds what must have
// become of the share.
func (w *walk) end() {
	w.rest()
	s := &w.sender.is
	if !w.copied && !w.aged {
		w.must(s.State != Pinned && s.State != Granted, "an accepted claim comes to its end while there is time: the sender is %s", s.State)
		shown := s.State.Ended() && !w.unread()
		for _, d := range w.receivers {
			w.must(!shown || d.is.State.Ended() || d.is.State == Opened, "once a share has ended nobody waits: a receiver is %s", d.is.State)
		}
	}
	w.now.Up += 4 * time.Hour
	w.now.Wall += 4 * time.Hour
	w.wake()
	w.rest()
	if w.copied {
		return
	}
	w.must(s.State.Ended(), "every share ends; the sender is %s", s.State)
	for i, d := range w.receivers {
		w.must(d.is.State.Ended() || d.is.State == Opened, "every receiver ends; one is %s", d.is.State)
		w.must((w.installed[i] == 1) == (d.is.State == Done), "who has it knows that it is done; one is %s", d.is.State)
	}
}

// unread reports whether the mailbox is kept for a receiver that was pinned and
// could not read how the share ended, for it has ended by its own word meanwhile.
func (w *walk) unread() bool {
	s := &w.sender.is
	return s.Pin != nil && !s.Pin.Answered && w.receivers[w.owner[s.Candidate()]].is.Proof == nil
}

// rest delivers and works until nothing happens any more. The mailbox carries until
// it is deleted; then the room does, if the first receiver is still in it.
func (w *walk) rest() {
	for range 60 {
		before := w.fingerprint()
		for i := range w.receivers {
			for range 8 {
				w.work(i, false)
				w.answer(false)
			}
			w.settle()
			if w.gone {
				w.showProof(i)
			}
			if !w.gone || w.direct && i == 0 {
				w.step(i, Arrived{w.forReceiver(i)})
				w.stepSender(Arrived{w.receivers[i].is.Outbox()})
			}
		}
		if before == w.fingerprint() {
			return
		}
	}
	w.must(false, "the world comes to rest")
}

func (w *walk) fingerprint() string {
	return string(slices.Concat(w.sender.saved, w.receivers[0].saved, w.receivers[1].saved))
}
