package share

import (
	"io"
	"slices"
	"time"

	"github.com/sparekey/sparekey/noise"
	"github.com/sparekey/sparekey/noise/frame"
)

// A Sender is the sending side of one share. Its exported fields are what is
// saved; make one with NewSender or UnmarshalSender.
type Sender struct {
	State   State             `cbor:"1,keyasint"`
	Reason  string            `cbor:"2,keyasint,omitempty"` // why it ended so, if anybody said
	Secrets noise.Secrets     `cbor:"3,keyasint"`
	Seed    [32]byte          `cbor:"4,keyasint"`
	Proof   frame.Proof       `cbor:"5,keyasint"`
	Preview []byte            `cbor:"6,keyasint"`
	Life    life              `cbor:"7,keyasint"`
	Offers  []frame.Frame     `cbor:"8,keyasint"` // one an epoch; the last is the current one
	Pin     *pin              `cbor:"9,keyasint"`
	Turn    dialogue          `cbor:"10,keyasint"`
	Opening []byte            `cbor:"11,keyasint"` // the format's first state, for a new epoch
	Refused []frame.Candidate `cbor:"12,keyasint"`
	Others  int               `cbor:"13,keyasint"` // devices that came and were not chosen
	Copied  bool              `cbor:"14,keyasint"`
	Free    bool              `cbor:"15,keyasint"`           // ended, and nobody is owed anything
	Parted  []frame.Frame     `cbor:"16,keyasint,omitempty"` // last acks for candidates that have handed their claims back

	open   []*log        // candidates whose handshake opened and who have not claimed yet
	stray  []frame.Frame // data of candidates whose handshake hasn't come
	closed []frame.Frame // closing frames for mailboxes
}

// A pin is the one candidate a share is for.
type pin struct {
	Log      log      `cbor:"1,keyasint"`
	Claim    [32]byte `cbor:"2,keyasint"`
	Label    string   `cbor:"3,keyasint,omitempty"`
	Recalled bool     `cbor:"4,keyasint"` // it has been asked not to provision
	Answered bool     `cbor:"5,keyasint"` // it has said its last word
	Epoch    uint64   `cbor:"6,keyasint"` // of the offer that it claimed; an ended share keeps no offers
}

// Bounds of what a sender keeps for candidates it has not pinned.
const (
	maxOpen    = 4
	maxStray   = 16
	maxClosed  = 16
	maxRefused = 64
	maxEpochs  = 16
)

// NewSender returns a sender that offers a share: what the link gives, the
// seed, the preview (its bytes, and the times that stand in it), and the
// format's first state.
func NewSender(now Time, secrets noise.Secrets, seed [32]byte, preview, opening []byte) (Sender, error) {
	p, err := DecodePreview(preview)
	if err != nil {
		return Sender{}, err
	}
	keys := noise.NewKeys(seed)
	_, proof := keys.Commit(preview)
	offer, err := keys.Offer(secrets, 0, preview, nil)
	if err != nil {
		return Sender{}, err
	}
	grace := time.Duration(p.Grace) * time.Second
	return Sender{
		State: Offered, Secrets: secrets, Seed: seed, Proof: proof, Preview: preview,
		Life:   life{Left: time.Duration(p.Life)*time.Second + grace, Grace: grace, Mark: now},
		Offers: []frame.Frame{offer}, Turn: dialogue{State: opening}, Opening: opening,
	}, nil
}

func (s Sender) clone() Sender {
	s.Offers, s.Refused, s.Parted = slices.Clone(s.Offers), slices.Clone(s.Refused), slices.Clone(s.Parted)
	s.stray, s.closed = slices.Clone(s.stray), slices.Clone(s.closed)
	s.Turn = s.Turn.clone()
	if s.Pin != nil {
		p := *s.Pin
		p.Log = *p.Log.clone()
		s.Pin = &p
	}
	s.open = slices.Clone(s.open)
	for i, l := range s.open {
		s.open[i] = l.clone()
	}
	return s
}

// Epoch returns the number of the current offer.
func (s Sender) Epoch() uint64 { return uint64(max(len(s.Offers), 1) - 1) }

// Candidate returns the pinned candidate, zero if there is none.
func (s Sender) Candidate() frame.Candidate {
	if s.Pin == nil {
		return frame.Candidate{}
	}
	return s.Pin.Log.Session.Candidate
}

// Label returns what the pinned receiver calls itself.
func (s Sender) Label() string {
	if s.Pin == nil {
		return ""
	}
	return s.Pin.Label
}

// Left returns how long the share goes on if nothing happens: until the offer
// can't be claimed any more, and once it is, until the grace is up.
func (s Sender) Left(now Time) time.Duration {
	l := s.Life.at(now)
	if s.State == Offered {
		return l.offer()
	}
	return max(l.Left, 0)
}

// owes reports whether anybody may still need something of this share. Of one that
// has ended nobody does once its time is long up: no mailbox keeps it, no receiver
// waits, and where a mailbox was lost, this is what ends the telling.
func (s Sender) owes() bool {
	return !s.Copied && !s.Free && !(s.State.Ended() && s.Life.forgotten())
}

// Outbox returns all frames that the receiver may still need. It is empty for
// a copy: what the original has sent since isn't known.
func (s Sender) Outbox() []frame.Frame {
	if !s.owes() {
		return nil
	}
	out := slices.Clone(s.Offers)
	if s.Pin != nil {
		out = append(out, s.Pin.Log.Out...)
	}
	return out
}

// Decision returns what mailboxes are to agree with. A mailbox goes with the
// end of its share; only a receiver that was pinned and got nothing is left
// time to read the sealed end, and deletes the mailbox itself.
func (s Sender) Decision() Decision {
	if !s.owes() {
		return Decision{}
	}
	d := Decision{Closed: slices.Clone(s.closed)}
	if s.Pin != nil {
		d.Pinned, d.Epoch, d.Claim = s.Candidate(), s.Pin.Epoch, s.Pin.Claim
	}
	if s.State.Ended() && (s.Pin == nil || s.Pin.Answered || s.Pin.Log.Told) {
		d.Over = &s.Proof
	}
	return d
}

// Task returns what the world has to do for the share now.
func (s Sender) Task() (Task, bool) {
	if s.State != Pinned && s.State != Granted || s.Copied {
		return Task{}, false
	}
	t := Task{Do: Ask, Key: s.Turn.key(s.Secrets.ID, s.Candidate()), State: s.Turn.State}
	if s.Turn.Turns == 0 {
		return t, true
	}
	in, ok := s.Turn.next()
	t.In = in
	return t, ok
}

// Step returns what the sender becomes by an event, and what that leads to.
// Time comes first: a claim that was held back until the offer was over isn't pinned.
func (s Sender) Step(now Time, rnd io.Reader, e Event) (Sender, Effects) {
	n := s.clone()
	c := &cause{now: now, rnd: rnd, eff: &Effects{}, event: e}
	n.Life = n.Life.at(now)
	n.clock(c)
	n.giveUp(now)
	switch e := e.(type) {
	case Arrived:
		n.arrived(c, e.Frames)
	case Answered:
		n.answered(c, e)
	case Cancel:
		c.reason = clip(e.Reason, maxReason)
		n.fire(onCancel, c)
	case Copied:
		c.reason = "this vault is a copy or a restored backup"
		n.fire(onCopied, c)
	case Over:
		if c.proof = e.Proof; e.Proof.Proves(n.Secrets.ID) {
			c.reason = "the share was ended by another copy of this device's vault"
			n.fire(onPair, c)
		}
	case Remaining:
		n.Life = n.Life.shorten(e.Left)
		n.clock(c)
	}
	switch {
	case n.State.Ended() && n.owes():
		c.eff.Wake = n.Life.owed()
	case !n.State.Ended() && n.State != Unresolved:
		c.eff.Wake = n.Life.wake()
	}
	if d, waits := n.claimDue(now); waits && (c.eff.Wake == 0 || d < c.eff.Wake) {
		c.eff.Wake = d
	}
	return n, *c.eff
}

func (s *Sender) fire(on trigger, c *cause) { fire(senderRules, s, &s.State, on, c) }

func (s *Sender) clock(c *cause) {
	if s.Life.offerOver() {
		s.fire(onOfferOver, c)
	}
	if s.Life.over() {
		s.fire(onTimeOver, c)
	}
}

func (s *Sender) answered(c *cause, e Answered) {
	if t, ok := s.Task(); !ok || t.Key != e.Key {
		return
	}
	switch {
	case e.Failed != "":
		c.reason = clip(e.Failed, maxReason)
		s.fire(onFails, c)
	case e.Answer.Grants:
		s.fire(onGives, c)
	default:
		s.fire(onAnswer, c)
	}
}

// arrived takes frames that came in one piece: first each to its log, then
// what the logs now say, so that a claim taken back in the same piece is seen.
func (s *Sender) arrived(c *cause, frames []frame.Frame) {
	switch {
	case s.State.Ended():
		s.late(c, frames)
		return
	case s.Copied:
		return
	}
	for _, f := range frames {
		switch f.Kind() {
		case frame.Handshake:
			s.handshake(c, f)
		case frame.Data, frame.Ack:
			s.data(c, f)
		}
	}
	for _, l := range slices.Clone(s.open) {
		s.judge(c, l)
	}
	if s.listen(c); s.State.Ended() {
		s.late(c, frames) // who has said a last word waits for the answer
	}
}

// handshake opens a candidate, or answers one that comes too late.
func (s *Sender) handshake(c *cause, f frame.Frame) {
	id := f.Candidate()
	if id == s.Candidate() {
		s.reply(c, &s.Pin.Log)
		return
	}
	if i := slices.IndexFunc(s.open, func(l *log) bool { return l.Session.Candidate == id }); i >= 0 {
		s.again(c.now, s.open[i])
		return
	}
	session, err := noise.NewKeys(s.Seed).Accept(s.Secrets, s.Epoch(), f)
	if err != nil {
		c.eff.Bad = true
		s.shut(frame.Shut(id))
		s.parted(c, id)
		return
	}
	s.spare(id)
	l := &log{Session: session, Got: 1, since: c.now}
	if s.State != Offered || slices.Contains(s.Refused, id) {
		s.refuse(c, l)
		return
	}
	if len(s.open) == maxOpen { // the oldest gives way
		s.shut(frame.Shut(s.open[0].Session.Candidate))
		s.open = slices.Delete(s.open, 0, 1)
	}
	s.open = append(s.open, l)
	for _, early := range s.stray {
		if early.Candidate() == id {
			l.ahead = l.read(early).ahead || l.ahead
		}
	}
}

// data takes a frame of a candidate's log.
func (s *Sender) data(c *cause, f frame.Frame) {
	if f.Candidate() == s.Candidate() {
		s.note(c, s.Pin.Log.read(f))
		return
	}
	for _, l := range s.open {
		if l.Session.Candidate == f.Candidate() {
			r := l.read(f)
			if r.forged {
				c.eff.Bad = true
				s.shut(frame.Shut(f.Candidate())) // junk frees its lane; who meant it opens the lane again
			}
			l.ahead = l.ahead || r.ahead
			return
		}
	}
	if s.State == Offered && f.Kind() == frame.Data {
		if len(s.stray) == maxStray {
			s.stray = slices.Delete(s.stray, 0, 1)
		}
		s.stray = append(s.stray, f)
	}
}

// note acts on what became of a frame of the pinned candidate.
func (s *Sender) note(c *cause, r reading) {
	switch {
	case r.forged:
		c.eff.Bad = true
	case r.ahead:
		c.reason = "the receiver has seen more of this share than this vault knows of: it is a restored backup"
		s.fire(onCopied, c)
	case r.progress:
		c.eff.Save, c.eff.New = true, true
	case r.again:
		s.reply(c, &s.Pin.Log)
	}
}

func (s *Sender) reply(c *cause, l *log) {
	if l.Got > 0 {
		c.eff.Reply = append(c.eff.Reply, must(l.ack(c.rnd)))
	}
}

// judge decides about a candidate once its claim is here, in the order that
// PROTOCOL.md gives: the handshake has opened; then what its own log says since;
// then the pin. (A factor's proof is judged right before the pin.) Who counts
// frames that were never written says nothing true: of a candidate that isn't
// pinned that must not halt a sender, or whoever has the link could.
func (s *Sender) judge(c *cause, l *log) {
	bodies := l.peek()
	if len(bodies) == 0 && !l.ahead {
		return
	}
	i := slices.Index(s.open, l)
	if i < 0 {
		return // another candidate of the same piece was pinned, and this one refused
	}
	s.open = slices.Delete(s.open, i, i+1)
	takenBack := slices.ContainsFunc(bodies, func(b body) bool { return b.Word == wordDecline || b.Word == wordRelinquish })
	if s.State != Offered || l.ahead || takenBack || bodies[0].Word != wordClaim {
		s.refuse(c, l)
		return
	}
	c.log, c.body = l, bodies[0]
	s.fire(onClaim, c)
}

// refuse answers a candidate that isn't chosen, and remembers it.
func (s *Sender) refuse(c *cause, l *log) {
	taken := l.Session.Taken()
	c.eff.Reply = append(c.eff.Reply, taken)
	s.shut(taken)
	if slices.Contains(s.Refused, l.Session.Candidate) {
		return
	}
	if len(s.Refused) == maxRefused {
		s.Refused = slices.Delete(s.Refused, 0, 1)
	}
	s.Refused = append(s.Refused, l.Session.Candidate)
	c.log = l
	s.fire(onOther, c)
}

// listen takes what the pinned receiver has said, in order.
func (s *Sender) listen(c *cause) {
	heard := false
	for s.Pin != nil && !s.State.Ended() {
		l := &s.Pin.Log
		b, ok := l.take()
		if !ok {
			if heard {
				s.reply(c, l)
			}
			return
		}
		heard, c.eff.Save, c.eff.New = true, true, true
		c.body, c.log, c.reason = b, l, b.Reason
		switch b.Word {
		case wordMessage:
			s.message(c)
		case wordProvisioned:
			s.fire(onProvisioned, c)
		case wordDecline:
			s.fire(onDecline, c)
		case wordRelinquish:
			s.fire(onRelinquish, c)
		}
	}
}

func (s *Sender) message(c *cause) {
	switch whole, bad := s.Turn.add(c.body); {
	case bad:
		c.reason = "the receiver sent more than a dialogue may hold"
		s.fire(onFails, c)
	case whole:
		s.fire(onMessage, c)
	}
}

// senderRules is the sender's table. The states that have ended know but one thing
// more: that a mailbox shows the proof, so that whoever comes hears of the end.
var senderRules = append([]rule[Sender]{
	{Offered, onClaim, "", nil, Pinned, "pin this candidate for good; ask the format", (*Sender).pin},
	{Offered, onOther, "", nil, Offered, "refuse it, and remember that", (*Sender).another},
	{Offered, onCancel, "", nil, Cancelled, "erase; show the proof", (*Sender).end},
	{Offered, onOfferOver, "", nil, Expired, "erase; show the proof", (*Sender).end},
	{Offered, onCopied, "", nil, Unresolved, "halt: the original may have pinned", (*Sender).halt},
	{Offered, onPair, "", nil, Unresolved, "halt: I am a restored backup", (*Sender).halt},

	{Pinned, onAnswer, "", nil, Pinned, "send the format's messages", (*Sender).speak},
	{Pinned, onGives, "", nil, Granted, "send the grant", (*Sender).speak},
	{Pinned, onFails, "", nil, Cancelled, "seal cancelled", (*Sender).sealCancelled},
	{Pinned, onMessage, "", nil, Pinned, "keep it for the format", nil},
	{Pinned, onOther, "", nil, Pinned, "answer taken", (*Sender).another},
	{Pinned, onRelinquish, "an epoch and time are left", (*Sender).canReoffer, Offered, "unpin; open the next epoch", (*Sender).reoffer},
	{Pinned, onRelinquish, "", nil, Declined, "seal declined", (*Sender).sealDeclined},
	{Pinned, onDecline, "", nil, Declined, "seal declined", (*Sender).sealDeclined},
	{Pinned, onCancel, "", nil, Cancelled, "seal cancelled", (*Sender).sealCancelled},
	{Pinned, onTimeOver, "", nil, Expired, "seal expired", (*Sender).sealExpired},
	{Pinned, onCopied, "", nil, Unresolved, "halt: the original may have granted", (*Sender).halt},
	{Pinned, onPair, "", nil, Unresolved, "halt: I am a restored backup", (*Sender).halt},

	{Granted, onAnswer, "", nil, Granted, "send the format's messages", (*Sender).speak},
	{Granted, onGives, "", nil, Granted, "send the format's messages", (*Sender).speak},
	{Granted, onFails, "", nil, Granted, "seal recall: only the receiver knows how far it is; ask the format no more", (*Sender).recall},
	{Granted, onMessage, "", nil, Granted, "keep it for the format", nil},
	{Granted, onOther, "", nil, Granted, "answer taken", (*Sender).another},
	{Granted, onProvisioned, "", nil, Done, "seal done; erase; show the proof", (*Sender).sealDone},
	{Granted, onDecline, "it was recalled", (*Sender).recalled, Cancelled, "seal declined; erase; show the proof", (*Sender).sealDeclined},
	{Granted, onDecline, "", nil, Declined, "seal declined; erase; show the proof", (*Sender).sealDeclined},
	{Granted, onRelinquish, "", nil, Declined, "seal declined: after the grant it is one", (*Sender).sealDeclined},
	{Granted, onCancel, "", nil, Granted, "seal recall: the credential may be in already; ask the format no more", (*Sender).recall},
	{Granted, onTimeOver, "", nil, Unresolved, "halt: a late answer still counts", (*Sender).silence},
	{Granted, onCopied, "", nil, Unresolved, "halt", (*Sender).halt},
	{Granted, onPair, "", nil, Unresolved, "halt: I am a restored backup", (*Sender).halt},

	{Unresolved, onOther, "", nil, Unresolved, "answer taken", (*Sender).another},
	{Unresolved, onProvisioned, "", nil, Done, "seal done; erase; show the proof", (*Sender).sealDone},
	{Unresolved, onDecline, "", nil, Declined, "seal declined; erase; show the proof", (*Sender).sealDeclined},
	{Unresolved, onRelinquish, "", nil, Declined, "seal declined; erase; show the proof", (*Sender).sealDeclined},
	{Unresolved, onCopied, "", nil, Unresolved, "fall silent", (*Sender).halt},
}, settled(onPair, (*Sender).free, Done, Cancelled, Declined, Expired)...)

func (s *Sender) pin(c *cause) {
	s.Pin = &pin{Log: *c.log, Claim: [32]byte(c.body.Claim), Label: c.body.Label, Epoch: s.Epoch()}
	s.stray = nil
	s.spare(s.Candidate())
	c.tell(Notice{Kind: NoticeClaimed, Label: c.body.Label})
}

func (s *Sender) another(c *cause) {
	s.Others++
	c.tell(Notice{Kind: NoticeAnother})
}

func (s *Sender) speak(c *cause) {
	a := c.event.(Answered).Answer
	s.Turn.answered(a, s.Turn.Turns == 0)
	for _, msg := range a.Out {
		for _, b := range pieces(msg, a.Grants) {
			s.seal(c, b)
		}
	}
}

func (s *Sender) seal(c *cause, b body) {
	if err := s.Pin.Log.write(c.rnd, b); err != nil {
		panic("share: randomness failed: " + err.Error()) // nothing has been saved or sent
	}
}

func (s *Sender) canReoffer(*cause) bool {
	return len(s.Offers) < maxEpochs && !s.Life.offerOver()
}

// reoffer takes the pin back. The new offer is saved before anybody sees it;
// the old one's claims open no more.
func (s *Sender) reoffer(c *cause) {
	offer, err := noise.NewKeys(s.Seed).Offer(s.Secrets, s.Epoch()+1, s.Preview, nil)
	if err != nil {
		panic("share: an offer that could be made once can't be made again: " + err.Error())
	}
	s.Offers = append(s.Offers, offer)
	s.part(c)
	s.Pin, s.Turn = nil, dialogue{State: s.Opening}
	s.open, s.stray, s.closed = nil, nil, nil
	c.tell(Notice{Kind: NoticeReleased})
}

// recall asks the receiver not to provision. What the format would still say
// could reach it only after that, and helps nobody: it is not asked again, and a
// format that fails for good doesn't fail over and over.
func (s *Sender) recall(c *cause) {
	s.Turn.Done = true
	if s.Pin.Recalled {
		return
	}
	s.Pin.Recalled = true
	s.seal(c, body{Word: wordRecall, Reason: c.reason})
}

func (s *Sender) recalled(*cause) bool { return s.Pin.Recalled }

func (s *Sender) sealDone(c *cause)      { s.Pin.Answered = true; s.sealEnd(c, wordDone) }
func (s *Sender) sealCancelled(c *cause) { s.sealEnd(c, wordCancelled) }
func (s *Sender) sealDeclined(c *cause)  { s.Pin.Answered = true; s.sealEnd(c, wordDeclined) }
func (s *Sender) sealExpired(c *cause)   { s.sealEnd(c, wordExpired) }

func (s *Sender) sealEnd(c *cause, w word) {
	if !s.Copied {
		s.seal(c, body{Word: w, Reason: c.reason, Proof: &s.Proof})
	}
	s.end(c)
}

// end erases all that an ended share must not keep: secret, seed, keys and the
// credential. What stays is the id, the end, and sealed frames to send.
func (s *Sender) end(c *cause) {
	s.Reason = c.reason
	s.Seed, s.Secrets.PSK, s.Secrets.OfferKey = [32]byte{}, [32]byte{}, [32]byte{}
	s.Offers, s.Preview, s.Opening, s.Turn = nil, nil, nil, dialogue{}
	s.open, s.stray = nil, nil
	if s.Pin != nil {
		s.Pin.Log.end(nil)
	}
}

func (s *Sender) free(*cause) { s.Free = true }

// Forget returns an ended share without what was still to be sent, for when all
// of it has been handed over.
func (s Sender) Forget() Sender {
	n := s.clone()
	if n.State.Ended() {
		n.Free, n.Parted = true, nil
		if n.Pin != nil {
			n.Pin.Log.Out, n.Pin.Log.Last, n.Pin.Log.Awaited = nil, nil, nil
		}
	}
	return n
}

func (s *Sender) silence(*cause) {
	s.Reason = "the receiver has not answered since the credential left"
}

func (s *Sender) halt(c *cause) { s.Copied, s.Reason = true, c.reason }
