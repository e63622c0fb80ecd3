package share

import (
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/sparekey/sparekey/noise"
	"github.com/sparekey/sparekey/noise/frame"
)

// A Receiver is the receiving side of one share. Its exported fields are what
// is saved; make one with NewReceiver or UnmarshalReceiver. Nothing has to be
// saved before Accept: viewing leaves no trace.
type Receiver struct {
	State      State           `cbor:"1,keyasint"`
	Reason     string          `cbor:"2,keyasint,omitempty"`
	Secrets    noise.Secrets   `cbor:"3,keyasint"`
	Life       life            `cbor:"4,keyasint"`
	Offer      *noise.Offer    `cbor:"5,keyasint"` // the newest
	Candidates []candidate     `cbor:"6,keyasint"` // one an epoch; the last is the newest
	Claim      [32]byte        `cbor:"7,keyasint"`
	Label      string          `cbor:"8,keyasint,omitempty"`
	Opening    []byte          `cbor:"9,keyasint"`  // the format's first state
	Grant      frame.Candidate `cbor:"10,keyasint"` // on which the grant came
	Proof      *frame.Proof    `cbor:"11,keyasint"` // the sender has ended the share
	Copied     bool            `cbor:"12,keyasint"`

	// Encapsulate replaces the standard library's ML-KEM encapsulation where
	// runs must repeat. It isn't saved.
	Encapsulate noise.Encapsulate `cbor:"-"`

	absent bool // the format has said in this run that it isn't in its place
}

// A candidate is one try of this receiver.
type candidate struct {
	Log   log      `cbor:"1,keyasint"`
	Turn  dialogue `cbor:"2,keyasint"`
	Taken bool     `cbor:"3,keyasint"` // the sender has refused it
}

func (c *candidate) id() frame.Candidate { return c.Log.Session.Candidate }

// maxCandidates bounds what a relay that forges offers can make a receiver keep.
const maxCandidates = 8

// NewReceiver returns a receiver that knows what the link gives.
func NewReceiver(secrets noise.Secrets) Receiver {
	return Receiver{State: Opened, Secrets: secrets}
}

func (r Receiver) clone() Receiver {
	r.Candidates = slices.Clone(r.Candidates)
	for i := range r.Candidates {
		c := &r.Candidates[i]
		c.Log, c.Turn = *c.Log.clone(), c.Turn.clone()
	}
	return r
}

// Preview returns the preview of the newest offer.
func (r Receiver) Preview() (Preview, error) {
	if r.Offer == nil {
		return Preview{}, fmt.Errorf("%w: no offer has come yet", ErrPreview)
	}
	return DecodePreview(r.Offer.Preview)
}

// Left returns how long the share goes on if nothing happens, as far as is known
// here: until the offer can't be claimed any more, and once it is, until the
// grace is up.
func (r Receiver) Left(now Time) time.Duration {
	l := r.Life.at(now)
	if r.State == Opened || r.State == Viewed {
		return l.offer()
	}
	return max(l.Left, 0)
}

// owes reports whether the sender or a mailbox may still need something of this
// share. Of one that has ended nobody does once its time is long up: where a
// mailbox was lost, this is what ends the telling.
func (r Receiver) owes() bool { return !r.Copied && !(r.State.Ended() && r.Life.forgotten()) }

// Epoch returns the epoch of the newest offer that has been seen, and whether
// there is one.
func (r Receiver) Epoch() (uint64, bool) {
	if r.Offer == nil {
		return 0, false
	}
	return r.Offer.Epoch, true
}

// Outbox returns all frames that the sender may still need; handshakes stay
// in it, so that a lane can be opened again at a mailbox that has lost it.
func (r Receiver) Outbox() []frame.Frame {
	if !r.owes() || r.Proof != nil {
		return nil
	}
	var out []frame.Frame
	for i := range r.Candidates {
		if c := &r.Candidates[i]; !c.Taken {
			out = append(out, c.Log.Out...)
		}
	}
	return out
}

// Decision returns what mailboxes are to agree with: a receiver deletes one
// only with the sender's own proof that the share has ended.
func (r Receiver) Decision() Decision {
	if !r.State.Ended() || !r.owes() {
		return Decision{}
	}
	return Decision{Over: r.Proof}
}

// Placing returns the format's state of a share that has its grant and isn't in its
// place yet: what a Redirect replaces.
func (r Receiver) Placing() (state []byte, ok bool) {
	if r.State != Provisioning {
		return nil, false
	}
	return r.find(r.Grant).Turn.State, true
}

// Task returns what the world has to do for the share now.
func (r Receiver) Task() (Task, bool) {
	if r.Copied {
		return Task{}, false
	}
	for i := range r.Candidates {
		c := &r.Candidates[i]
		switch {
		case r.State == Claimed && !c.Taken, r.State == Provisioning && r.Grant == c.id():
		default:
			continue
		}
		if in, ok := c.Turn.next(); ok {
			return Task{Do: Ask, Key: c.Turn.key(r.Secrets.ID, c.id()), State: c.Turn.State, In: in}, true
		}
		if r.State == Provisioning && c.Turn.Done {
			t := Task{Do: Look, Key: fmt.Sprintf("%x/provision", r.Secrets.ID[:]), State: c.Turn.State}
			if r.absent {
				t.Do = Provision
			}
			return t, true
		}
	}
	return Task{}, false
}

// Step returns what the receiver becomes by an event, and what that leads to.
func (r Receiver) Step(now Time, rnd io.Reader, e Event) (Receiver, Effects) {
	n := r.clone()
	c := &cause{now: now, rnd: rnd, eff: &Effects{}, event: e}
	n.tick(c)
	switch e := e.(type) {
	case Arrived:
		n.arrived(c, e.Frames)
	case Answered, Looked, Placed:
		n.worked(c, e)
	case Accept:
		n.fire(onAccept, c)
	case Decline:
		c.reason = clip(e.Reason, maxReason)
		n.fire(onDecline, c)
	case Relinquish:
		n.fire(onRelinquish, c)
	case Redirect:
		n.fire(onRedirect, c)
	case Copied:
		c.reason = "this vault is a copy or a restored backup"
		n.fire(onCopied, c)
	case Over:
		if c.proof = e.Proof; e.Proof.Proves(n.Secrets.ID) {
			n.fire(onPair, c)
		}
	case Remaining:
		n.shorten(c, e.Left)
	}
	switch {
	case n.State.Ended() && n.owes():
		c.eff.Wake = n.Life.owed()
	case n.Offer != nil:
		c.eff.Wake = max(n.Life.Left, 0)
	}
	return n, *c.eff
}

func (r *Receiver) fire(on trigger, c *cause) { fire(receiverRules, r, &r.State, on, c) }

func (r *Receiver) tick(c *cause) {
	r.Life = r.Life.at(c.now)
	if r.Offer != nil && r.Life.over() {
		r.fire(onTimeOver, c)
	}
}

func (r *Receiver) shorten(c *cause, left time.Duration) {
	if r.Offer == nil {
		r.Life = life{Left: left, Mark: c.now}
		return
	}
	r.Life = r.Life.shorten(left)
	r.tick(c)
}

func (r *Receiver) arrived(c *cause, frames []frame.Frame) {
	for _, f := range frames {
		if r.State.Ended() || r.Copied {
			break
		}
		c.frame = f
		switch f.Kind() {
		case frame.Offer:
			if r.Offer == nil || f.Seq() > r.Offer.Epoch {
				r.fire(onOffer, c)
			}
		case frame.Taken:
			r.refused(c, f)
		case frame.Data, frame.Ack:
			r.data(c, f)
		}
	}
	if r.listen(c); r.State.Ended() {
		r.late(c, frames)
	}
}

func (r *Receiver) find(id frame.Candidate) *candidate {
	i := slices.IndexFunc(r.Candidates, func(c candidate) bool { return c.id() == id })
	if i < 0 {
		return nil
	}
	return &r.Candidates[i]
}

func (r *Receiver) refused(c *cause, f frame.Frame) {
	k := r.find(f.Candidate())
	if k == nil || k.Taken || len(f.Sealed()) == 0 {
		return // a shut says nothing that could be believed
	}
	if k.Log.Session.CheckTaken(f) != nil {
		c.eff.Bad = true
		return
	}
	c.eff.New = true
	r.fire(onTaken, c)
}

func (r *Receiver) data(c *cause, f frame.Frame) {
	k := r.find(f.Candidate())
	if k == nil {
		c.eff.Bad = true
		return
	}
	switch got := k.Log.read(f); {
	case got.forged:
		c.eff.Bad = true
	case got.ahead:
		c.reason = "the sender has seen more of this share than this vault knows of: it is a restored backup"
		r.fire(onCopied, c)
	case got.progress:
		c.eff.Save, c.eff.New = true, true
	case got.again:
		r.ack(c, k)
	}
}

func (r *Receiver) ack(c *cause, k *candidate) {
	c.eff.Reply = append(c.eff.Reply, must(k.Log.ack(c.rnd)))
}

// listen takes what the sender has said to each candidate, in order; once
// there is a grant, only what it said to that one.
func (r *Receiver) listen(c *cause) {
	for i := range r.Candidates {
		k := &r.Candidates[i]
		heard := false
		for !r.State.Ended() && (r.Grant == frame.Candidate{} || r.Grant == k.id()) {
			b, ok := k.Log.take()
			if !ok {
				break
			}
			heard, c.eff.Save, c.eff.New = true, true, true
			c.body, c.log, c.reason = b, &k.Log, b.Reason
			r.hear(c, k, b)
		}
		if heard && !r.State.Ended() {
			r.ack(c, k)
		}
	}
}

func (r *Receiver) hear(c *cause, k *candidate, b body) {
	switch b.Word {
	case wordMessage:
		r.message(c, k, b)
	case wordRecall:
		r.fire(onRecall, c)
	case wordDone, wordCancelled, wordDeclined, wordExpired:
		if b.Proof == nil || !b.Proof.Proves(r.Secrets.ID) {
			return // the sender's ends carry the proof, or they are none
		}
		c.proof = *b.Proof
		r.fire(map[word]trigger{wordDone: onDone, wordCancelled: onCancelled, wordDeclined: onDeclined, wordExpired: onExpired}[b.Word], c)
	}
}

func (r *Receiver) message(c *cause, k *candidate, b body) {
	switch whole, bad := k.Turn.add(b); {
	case bad:
		c.reason = "the sender sent more than a dialogue may hold"
		r.fire(onFails, c)
	case whole && b.Grants:
		r.fire(onGrant, c)
	case whole:
		r.fire(onMessage, c)
	}
}

// worked takes the result of the outstanding task.
func (r *Receiver) worked(c *cause, e Event) {
	t, ok := r.Task()
	switch e := e.(type) {
	case Answered:
		if !ok || t.Do != Ask || t.Key != e.Key {
			return
		}
		c.reason = clip(e.Failed, maxReason)
		if e.Failed != "" {
			r.fire(onFails, c)
			return
		}
		r.fire(onAnswer, c)
	case Looked:
		if !ok || t.Do != Look || t.Key != e.Key {
			return
		}
		if r.absent = !e.There; e.There {
			r.fire(onPlaced, c)
		}
	case Placed:
		if !ok || t.Do != Provision || t.Key != e.Key {
			return
		}
		c.reason = clip(e.Failed, maxReason)
		if e.Failed != "" {
			r.fire(onMisplaced, c)
			return
		}
		r.fire(onPlaced, c)
	}
}

// receiverRules is the receiver's table. The states that have ended know but
// one thing more: that the sender has ended too, after which nothing is owed.
var receiverRules = append([]rule[Receiver]{
	{Opened, onOffer, "it opens and its preview is valid", (*Receiver).opens, Viewed, "show the preview", (*Receiver).preview},
	{Opened, onPair, "", nil, Taken, "erase", (*Receiver).pair},
	{Opened, onDecline, "", nil, Declined, "erase; nobody has heard of us", (*Receiver).end},

	{Viewed, onOffer, "it opens and its preview is valid", (*Receiver).opens, Viewed, "use the newer one", (*Receiver).preview},
	{Viewed, onAccept, "no factor is asked for", (*Receiver).unproven, Claimed, "make a candidate; seal claim", (*Receiver).accept},
	{Viewed, onPair, "", nil, Taken, "erase", (*Receiver).pair},
	{Viewed, onDecline, "", nil, Declined, "erase; nobody has heard of us", (*Receiver).end},
	{Viewed, onTimeOver, "", nil, Expired, "erase", (*Receiver).end},

	{Claimed, onOffer, "it opens, and a candidate is left", (*Receiver).opensOneMore, Claimed, "make one more candidate; keep the old ones", (*Receiver).again},
	{Claimed, onMessage, "", nil, Claimed, "keep it for the format", nil},
	{Claimed, onGrant, "", nil, Provisioning, "take the grant, on whichever candidate it came", (*Receiver).granted},
	{Claimed, onAnswer, "", nil, Claimed, "send the format's messages", (*Receiver).speak},
	{Claimed, onFails, "", nil, Failed, "seal decline on all candidates", (*Receiver).decline},
	{Claimed, onTaken, "by the newest candidate", (*Receiver).newest, Taken, "erase; nothing is owed any more", (*Receiver).taken},
	{Claimed, onTaken, "", nil, Claimed, "this candidate is over", (*Receiver).over},
	{Claimed, onCancelled, "", nil, Cancelled, "erase", (*Receiver).sealedEnd},
	{Claimed, onDeclined, "", nil, Declined, "erase", (*Receiver).sealedEnd},
	{Claimed, onExpired, "", nil, Expired, "erase", (*Receiver).sealedEnd},
	{Claimed, onPair, "", nil, Taken, "erase", (*Receiver).pair},
	{Claimed, onDecline, "", nil, Declined, "seal decline on all candidates", (*Receiver).decline},
	{Claimed, onRelinquish, "", nil, Relinquished, "seal relinquish on all candidates", (*Receiver).relinquish},
	{Claimed, onTimeOver, "", nil, Expired, "seal decline on all candidates: a late grant is never used", (*Receiver).timeUp},
	{Claimed, onCopied, "", nil, Unresolved, "halt: the original may have the grant", (*Receiver).halt},

	{Provisioning, onMessage, "", nil, Provisioning, "keep it for the format", nil},
	{Provisioning, onGrant, "", nil, Provisioning, "keep it for the format", nil},
	{Provisioning, onAnswer, "", nil, Provisioning, "send the format's messages; with its last one, this is the intent to provision", (*Receiver).speak},
	{Provisioning, onFails, "", nil, Failed, "seal decline", (*Receiver).decline},
	{Provisioning, onPlaced, "", nil, Provisioned, "seal provisioned", (*Receiver).placed},
	{Provisioning, onMisplaced, "", nil, Failed, "seal decline", (*Receiver).decline},
	{Provisioning, onRedirect, "", nil, Provisioning, "provision elsewhere", (*Receiver).redirect},
	{Provisioning, onRecall, "no intent is saved", (*Receiver).noIntent, Cancelled, "seal decline", (*Receiver).recalled},
	{Provisioning, onRecall, "", nil, Provisioning, "too late: go on", (*Receiver).tellRecall},
	{Provisioning, onDecline, "no intent is saved, or it isn't in its place", (*Receiver).canDecline, Declined, "seal decline", (*Receiver).decline},
	{Provisioning, onTimeOver, "no intent is saved", (*Receiver).noIntent, Expired, "seal decline", (*Receiver).timeUp},
	{Provisioning, onCopied, "", nil, Unresolved, "halt: the original may have provisioned", (*Receiver).halt},

	{Provisioned, onDone, "", nil, Done, "erase", (*Receiver).sealedEnd},
	{Provisioned, onPair, "", nil, Done, "erase: only done can follow provisioned", (*Receiver).pair},
}, settled(onPair, (*Receiver).pair, Taken, Failed, Relinquished, Done, Cancelled, Declined, Expired)...)

// opens opens the offer of a cause. What doesn't open is blamed on the path.
func (r *Receiver) opens(c *cause) bool {
	o, err := noise.OpenOffer(r.Secrets, c.frame)
	if err == nil {
		_, err = DecodePreview(o.Preview)
	}
	if err != nil {
		c.eff.Bad = true
		return false
	}
	r.Offer = &o
	return true
}

func (r *Receiver) opensOneMore(c *cause) bool {
	return len(r.Candidates) < maxCandidates && r.opens(c)
}

func (r *Receiver) preview(c *cause) {
	p := must(r.Preview())
	grace := time.Duration(p.Grace) * time.Second
	left := time.Duration(p.Life)*time.Second + grace
	if r.Life.Mark != (Time{}) && r.Life.Left > 0 {
		left = min(left, r.Life.Left) // a mailbox has said so, or an earlier offer
	}
	r.Life = life{Left: left, Grace: grace, Mark: c.now}
	c.tell(Notice{Kind: NoticePreview})
}

// unproven reports whether a claim alone is enough: this version can prove no factor.
func (r *Receiver) unproven(*cause) bool { return must(r.Preview()).Factor == "" }

func (r *Receiver) accept(c *cause) {
	a := c.event.(Accept)
	r.Claim, r.Label, r.Opening = a.Claim, clip(a.Label, maxLabel), a.State
	r.again(c)
}

// again makes a candidate for the newest offer. It is saved before it is sent.
func (r *Receiver) again(c *cause) {
	session, hello, err := r.Offer.Claim(r.Secrets, c.rnd, r.Encapsulate)
	if err != nil {
		panic("share: an offer that opened can't be answered: " + err.Error())
	}
	k := candidate{Turn: dialogue{State: r.Opening}, Log: log{Session: session, Next: 1, Out: []frame.Frame{hello}}}
	r.Candidates = append(r.Candidates, k)
	r.seal(c, &r.Candidates[len(r.Candidates)-1], body{Word: wordClaim, Claim: r.Claim[:], Label: r.Label})
}

func (r *Receiver) seal(c *cause, k *candidate, b body) {
	if err := k.Log.write(c.rnd, b); err != nil {
		panic("share: randomness failed: " + err.Error()) // nothing has been saved or sent
	}
}

func (r *Receiver) newest(c *cause) bool {
	return c.frame.Candidate() == r.Candidates[len(r.Candidates)-1].id()
}

func (r *Receiver) over(c *cause) { r.find(c.frame.Candidate()).Taken = true }

// taken ends the share here: nobody waits for what the candidates still had to say.
func (r *Receiver) taken(c *cause) {
	for i := range r.Candidates {
		r.Candidates[i].Taken = true
	}
	r.end(c)
}

func (r *Receiver) granted(c *cause) { r.Grant = c.log.Session.Candidate }

func (r *Receiver) speak(c *cause) {
	e := c.event.(Answered)
	for i := range r.Candidates {
		k := &r.Candidates[i]
		if k.Turn.key(r.Secrets.ID, k.id()) != e.Key {
			continue
		}
		a := e.Answer
		a.Done = a.Done && r.State == Provisioning // without a grant there is nothing to provision
		k.Turn.answered(a, false)
		for _, msg := range a.Out {
			for _, b := range pieces(msg, false) {
				r.seal(c, k, b)
			}
		}
		return
	}
}

func (r *Receiver) noIntent(*cause) bool { return !r.find(r.Grant).Turn.Done }

// canDecline also allows a decline where the format has just said that the
// credential isn't in its place, and the person gives up on putting it there.
func (r *Receiver) canDecline(c *cause) bool { return r.noIntent(c) || r.absent }

func (r *Receiver) redirect(c *cause) {
	k := r.find(r.Grant)
	k.Turn.State, r.absent = c.event.(Redirect).State, false
}

func (r *Receiver) placed(c *cause) {
	k := r.find(r.Grant)
	r.seal(c, k, body{Word: wordProvisioned})
	k.Turn = dialogue{Done: true} // the credential is where it belongs, and no longer here
}

func (r *Receiver) recalled(c *cause) {
	r.tellRecall(c)
	r.decline(c)
}

func (r *Receiver) tellRecall(c *cause) { c.tell(Notice{Kind: NoticeRecalled, Reason: c.reason}) }

func (r *Receiver) decline(c *cause) { r.say(c, body{Word: wordDecline, Reason: c.reason}) }

func (r *Receiver) relinquish(c *cause) { r.say(c, body{Word: wordRelinquish}) }

func (r *Receiver) timeUp(c *cause) {
	c.reason = "the time was up"
	r.decline(c)
}

// say seals a last word on all candidates, for the sender may take any of them.
func (r *Receiver) say(c *cause, b body) {
	for i := range r.Candidates {
		if k := &r.Candidates[i]; !k.Taken {
			r.seal(c, k, b)
		}
	}
	r.end(c)
}

func (r *Receiver) sealedEnd(c *cause) { r.pair(c) }

func (r *Receiver) pair(c *cause) {
	p := c.proof
	r.Proof = &p
	r.end(c)
}

// end erases all that an ended share must not keep.
func (r *Receiver) end(c *cause) {
	if r.Reason == "" {
		r.Reason = c.reason
	}
	r.Secrets.PSK, r.Secrets.OfferKey = [32]byte{}, [32]byte{}
	r.Opening, r.Offer = nil, nil
	for i := range r.Candidates {
		k := &r.Candidates[i]
		k.Turn = dialogue{}
		k.Log.end(k.Log.Session.Taken())
		if r.Proof != nil {
			k.Log.Out = nil
		}
	}
}

// Forget returns an ended share without what was still to be sent, for when all
// of it has been handed over.
func (r Receiver) Forget() Receiver {
	n := r.clone()
	if n.State.Ended() {
		for i := range n.Candidates {
			l := &n.Candidates[i].Log
			l.Out, l.Last, l.Awaited = nil, nil, nil
		}
	}
	return n
}

func (r *Receiver) halt(c *cause) { r.Copied, r.Reason = true, c.reason }
