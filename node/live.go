package node

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sparekey/sparekey/discovery"
	"github.com/sparekey/sparekey/fallback"
	"github.com/sparekey/sparekey/fault"
	"github.com/sparekey/sparekey/node/share"
	"github.com/sparekey/sparekey/noise/frame"
)

// A Live is a share that is being driven. One goroutine owns its state.
type Live struct {
	device *Device
	id     string
	tell   func(Update)

	record  Record
	machine machine
	saved   bool   // the vault has a record of it
	via     string // the path by which something authentic came last

	carrier *fallback.Carrier
	version uint64 // of the load that is carried
	events  chan request
	results chan result
	reports chan discovery.Report
	gossip  gossip
	left    time.Duration // what a mailbox said last
	timer   *time.Timer   // for the machine's next Woken; every step sets it
	job     *job          // the task that is being done; nil: none
	held    bool          // the task failed; the person has to do something
	waiting []request     // they can't be taken before the job is done
	first   atomic.Pointer[[]frame.Frame]
	chosen  atomic.Bool
	want    want

	done chan struct{}
	err  error
}

// An Update is what has happened to a live share. State is where it now stands.
type Update struct {
	State   share.State
	Reason  string            // why it ended so, if anybody said
	Label   string            // what the other device calls itself
	Notice  *share.Notice     // nil: the update is of another kind
	Path    string            // the path that brought it, if one did
	Report  *discovery.Report // what a path has to say, where that is news: hearsay
	Err     error             // a task failed; Held says whether it will be tried again by itself
	Held    bool
	Preview *share.Preview // a receiver: what there is to accept
	Left    time.Duration  // with Preview: how long it can be; 0: by a mailbox's word, and it may lie, the time is up
	Others  int            // a sender: devices that came and were not chosen
	Stored  bool           // a mailbox has all that there was to send
	Known   bool           // the share has ended, and the other side or a mailbox knows
	Answers bool           // a receiver's has ended, and the sender may wait to hear that this device knows
}

type request struct {
	event  share.Event
	change func([]byte) ([]byte, error) // of a Redirect: makes its state
	done   chan error
}

// ErrStopped is returned by Do where nobody drives the share.
var ErrStopped = errors.New("the share is not being driven any more")

// ErrFactor is returned by Accept and Do where the sender asks for a proof besides
// the link, and this version knows none. Nothing was sent.
var ErrFactor = errors.New("the sender asks for a proof that this version doesn't know")

// ErrUntold is wrapped by the errors of Do and Retarget where the format can't tell
// whether the credential is in its place.
var ErrUntold = errors.New("whether the credential is in its place can't be told")

// Start drives the share of a record until ctx ends or it is settled: ended,
// with the other side or a mailbox knowing. tell is called from the share's own
// goroutine and must not block or call the Live. The first events are taken before
// any path is listened to: who cancels a share that lies still must not lose to a
// claim that waits for it.
func (d *Device) Start(ctx context.Context, id string, r Record, tell func(Update), first ...share.Event) (*Live, error) {
	m, err := r.machine()
	if err != nil {
		return nil, err
	}
	if v, ok := m.(receiverMachine); ok {
		v.Encapsulate = d.Encapsulate
		m = v
	}
	l := &Live{
		device: d, id: id, tell: tell, record: r, machine: m, gossip: gossip{},
		carrier: fallback.New(fallback.Config{NoMailbox: r.Relay == ""}),
		events:  make(chan request), results: make(chan result), reports: make(chan discovery.Report, 16),
		done: make(chan struct{}),
	}
	state, _, _ := m.state()
	l.saved = state != share.Opened
	go l.run(ctx, first)
	return l, nil
}

// Do brings an event to the share, and returns once its effects are saved and
// on their way. A Decline that comes while the format looks or provisions waits
// for that, so that both sides hear the truth; where the format can't tell, Do
// returns its error. If ctx ends first, it may still come to pass. A Redirect is
// for Retarget.
func (l *Live) Do(ctx context.Context, e share.Event) error {
	return l.bring(ctx, request{event: e, done: make(chan error, 1)})
}

func (l *Live) bring(ctx context.Context, q request) error {
	select {
	case l.events <- q:
	case <-l.done:
		return ErrStopped
	case <-ctx.Done():
		return ctx.Err()
	}
	select {
	case err := <-q.done:
		return err
	case <-l.done:
		select {
		case err := <-q.done: // by this very event it came to its end
			return err
		default:
			return ErrStopped
		}
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Accept accepts the preview for a receiver: what the receiver's format is to
// start from, and what to call this device over there. A preview that asks for a
// factor can't be accepted: ErrFactor.
func (l *Live) Accept(ctx context.Context, opening []byte, label string) error {
	return l.Do(ctx, share.Accept{State: opening, Label: label})
}

// Done is closed when the share is no longer driven.
func (l *Live) Done() <-chan struct{} { return l.done }

// Wait waits for Done and returns why the share stopped being driven: nil if it
// is settled.
func (l *Live) Wait() error {
	<-l.done
	return l.err
}

// Record returns the share's record as it was last saved; call it after Done.
func (l *Live) Record() Record { return l.record }

func (l *Live) run(ctx context.Context, first []share.Event) {
	ctx, cancel := context.WithCancel(ctx)
	var workers sync.WaitGroup
	meeting := l.meeting(ctx)
	l.err = l.begin(ctx, &workers, first)
	if l.err == nil {
		l.connect(ctx, &workers, meeting)
		l.err = l.loop(ctx, &workers)
	}
	l.timer.Stop()
	cancel()
	workers.Wait()
	close(l.done)
}

// begin takes what is to come before anything that a path brings.
func (l *Live) begin(ctx context.Context, workers *sync.WaitGroup, first []share.Event) error {
	l.timer = time.NewTimer(tick)
	err := l.step(share.Woken{}, nil)
	for _, e := range first {
		if err == nil {
			err = l.work(ctx, workers) // a format may have to tell whether it is too late
		}
		if err == nil {
			err = l.asked(request{event: e, done: make(chan error, 1)})
		}
	}
	return err
}

// connect looks for the other side on every path.
func (l *Live) connect(ctx context.Context, workers *sync.WaitGroup, meeting discovery.Meeting) {
	workers.Go(func() { l.carrier.Run(ctx) })
	for _, f := range l.device.Finders {
		workers.Go(func() {
			if err := f.Find(ctx, meeting, l.carrier.Add); err != nil && ctx.Err() == nil {
				l.report(ctx, discovery.Report{State: discovery.Failing, Err: err})
			}
		})
	}
}

// report hands a path's word to the loop; a full queue drops it, unless it is the proof of the end.
func (l *Live) report(ctx context.Context, r discovery.Report) {
	if r.State == discovery.Ended {
		select {
		case l.reports <- r:
		case <-ctx.Done():
		}
		return
	}
	select {
	case l.reports <- r:
	default:
	}
}

func (l *Live) meeting(ctx context.Context) discovery.Meeting {
	r := l.record
	view, topic, key := r.ways()
	m := discovery.Meeting{
		ID: r.ID, Role: r.Role, Topic: topic, Key: key, Relay: r.Relay, View: view, Token: r.Token,
		First: func() []frame.Frame {
			if f := l.first.Load(); f != nil {
				return *f
			}
			return nil
		},
		Chosen: l.chosen.Load, Waits: l.want.waited,
		Report: func(rep discovery.Report) { l.report(ctx, rep) },
	}
	if r.Role == discovery.Sender {
		life := time.Duration(r.Preview.Life+r.Preview.Grace) * time.Second
		m.Create = &discovery.Create{Preimage: r.Preimage, TTL: life, Lanes: lanes}
	}
	return m
}

// lanes is how many receivers a mailbox lets try at once (design: 4).
const lanes = 4

// loop is the share: it steps until the share is settled or ctx ends.
func (l *Live) loop(ctx context.Context, workers *sync.WaitGroup) error {
	for {
		err := l.work(ctx, workers)
		if err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-l.timer.C:
			err = l.step(share.Woken{}, nil)
		case q := <-l.events:
			err = l.asked(q)
		case a := <-l.carrier.Arrivals():
			err = l.arrived(a)
		case r := <-l.reports:
			err = l.reported(r)
		case r := <-l.results:
			err = l.worked(r)
		case v := <-l.carrier.Settled():
			if ended, settledErr := l.settle(v); ended {
				return settledErr
			}
		}
		if err != nil {
			return err
		}
	}
}

// tick is how long a share that waits for its time goes without looking at the
// clock: Go's timers stand still while the device sleeps, the share's time doesn't.
const tick = time.Minute

// asked takes an event from outside, or lets it wait for the job.
func (l *Live) asked(q request) error {
	switch q.event.(type) {
	case share.Decline:
		if l.untold() || l.job != nil && l.job.do != share.Ask {
			l.wait(q)
			return nil
		}
	case share.Redirect:
		if q.change != nil && (l.untold() || l.job != nil) {
			l.wait(q)
			return nil
		}
	case share.Accept:
		if p, err := l.preview(); err == nil && p.Factor != "" {
			q.done <- fmt.Errorf("%w: %q", ErrFactor, p.Factor)
			return nil
		}
	}
	return l.take(q)
}

// untold reports whether the format has yet to tell if the credential is in its place.
func (l *Live) untold() bool {
	t, ok := l.machine.task()
	return ok && t.Do == share.Look
}

// wait lets a request wait for the job. A job that was held, for the format couldn't
// tell, is tried once more for it.
func (l *Live) wait(q request) {
	l.held = false
	l.waiting = append(l.waiting, q)
}

// take takes an event from outside that nothing has to be waited for.
func (l *Live) take(q request) error {
	e, err := l.complete(q)
	if err != nil {
		q.done <- err
		return nil
	}
	err = l.step(e, nil)
	q.done <- err
	return err
}

// preview returns what a receiver may accept.
func (l *Live) preview() (share.Preview, error) {
	if m, ok := l.machine.(receiverMachine); ok {
		return m.Preview()
	}
	return share.Preview{}, share.ErrPreview
}

// complete adds to an event what only the record and the machine know.
func (l *Live) complete(q request) (share.Event, error) {
	switch v := q.event.(type) {
	case share.Accept:
		v.Claim = l.record.Claim()
		return v, nil
	case share.Redirect:
		return l.redirect(q.change)
	}
	return q.event, nil
}

// step is the order that everything rests on: step, save, send, tell.
func (l *Live) step(e share.Event, from discovery.Path) error {
	next, eff := l.machine.step(l.device.Now(), l.device.Rand, e)
	came := steps(eff, from) // what the format answers to it goes by no path yet
	next, eff = l.answer(next, eff)
	if eff.Save {
		fault.Point("node.step", "unsaved")
		if err := l.save(next, from, came); err != nil {
			return err
		}
		fault.Point("node.step", "saved")
	}
	before := l.machine.outbox()
	l.machine = next
	l.timer.Stop()
	if eff.Wake > 0 {
		l.timer.Reset(min(eff.Wake, tick))
	}
	l.carry()
	if from != nil {
		l.carrier.Reply(from, telling(eff.Reply, before, next.outbox())...)
		l.carrier.Judge(from, fallback.Verdict{OK: !eff.Bad, New: eff.New})
	}
	for _, n := range eff.Tell {
		l.update(Update{Notice: &n}, from)
	}
	l.moved(from, eff)
	return nil
}

// moved tells, once, that the share goes on by another path than before.
func (l *Live) moved(from discovery.Path, eff share.Effects) {
	if from == nil || eff.Bad || from.String() == l.via {
		return
	}
	l.via = from.String()
	if len(eff.Tell) == 0 {
		l.update(Update{}, from)
	}
}

// save writes the record with the machine's next value. A receiver that only
// looks is not saved: viewing leaves no trace.
func (l *Live) save(next machine, from discovery.Path, came []Step) error {
	state, _, _ := next.state()
	if v, ok := next.(receiverMachine); ok && v.Offer != nil {
		if p, err := v.Preview(); err == nil {
			l.record.Preview = p
		}
	}
	r := l.record
	r.Machine = next.marshal()
	if from != nil {
		r.carried(from.String(), came)
	}
	if state.Ended() {
		_, direct := from.(discovery.Direct)
		r.Answers = r.Answers || direct && next.answers()
		r.erase(time.Now(), len(next.outbox()) > 0 || !l.sends() && r.owes(next))
	}
	l.record = r
	if !l.saved && (state == share.Opened || state == share.Viewed || state.Ended()) {
		return nil // nobody has heard of us
	}
	l.saved = true
	return save(l.device.Vault, l.id, r)
}

// carry hands the carrier what is wanted now.
func (l *Live) carry() {
	out := l.machine.outbox()
	d := l.machine.decision()
	load := fallback.Load{Frames: out, Decision: discovery.Decision{Pinned: d.Pinned, Epoch: d.Epoch, Claim: d.Claim, Closed: d.Closed, Over: d.Over}}
	if state, _, _ := l.machine.state(); state.Ended() {
		load.Everywhere, load.Stay = out, !l.sends() // the sender's is the last word of all
		load.Answers = l.record.answers(l.machine)
		load.Told = l.machine.told() || load.Answers
	}
	l.first.Store(&out)
	l.chosen.Store(d.Pinned != frame.Candidate{})
	l.want.renew(l.machine.wants(), time.Now())
	l.version = l.carrier.Carry(load)
}

func (l *Live) update(u Update, from discovery.Path) {
	u.State, u.Reason, u.Label = l.machine.state()
	u.Known, u.Answers = l.record.Settled, l.record.answers(l.machine)
	if from != nil {
		u.Path = from.String()
	}
	switch m := l.machine.(type) {
	case senderMachine:
		u.Others = m.Others
	case receiverMachine:
		if p, err := m.Preview(); err == nil {
			u.Preview, u.Left = &p, m.Left(l.device.Now())
		}
	}
	if l.tell != nil {
		l.tell(u)
	}
}

// heard takes a path's report. Only the proof of the end, and less time than
// was known, are the machine's business; the rest is for people, where it is news.
func (l *Live) heard(r discovery.Report) error {
	var err error
	switch {
	case r.State == discovery.Ended && r.Over != nil:
		err = l.step(share.Over{Proof: *r.Over}, nil)
	case r.State == discovery.Living && r.Left > 0 && (l.left == 0 || r.Left < l.left-time.Second):
		l.left = r.Left
		err = l.step(share.Remaining{Left: r.Left}, nil)
	}
	if l.gossip.news(r, time.Now()) {
		l.update(Update{Report: &r}, nil)
	}
	return err
}

// arrived takes frames, and before them the reports that are here: how long a mailbox
// keeps a share is said before its offer, and the preview that is told of it counts on
// that. A proof of the end comes behind them, for they may say more of it.
func (l *Live) arrived(a fallback.Arrival) error {
	var over []discovery.Report
	for range len(l.reports) {
		r := <-l.reports // nobody else reads them
		if r.State == discovery.Ended {
			over = append(over, r)
		} else if err := l.heard(r); err != nil {
			return err
		}
	}
	if err := l.step(share.Arrived{Frames: a.Frames}, a.From); err != nil {
		return err
	}
	for _, r := range over {
		if err := l.heard(r); err != nil {
			return err
		}
	}
	return nil
}

// reported takes a report, and before a proof of the end the frames that are here.
func (l *Live) reported(r discovery.Report) error {
	if r.State == discovery.Ended {
		select {
		case a := <-l.carrier.Arrivals():
			if err := l.arrived(a); err != nil {
				return err
			}
		default:
		}
	}
	return l.heard(r)
}

// settle ends the loop once the share has ended and whoever can be told has all of it.
func (l *Live) settle(version uint64) (bool, error) {
	if version != l.version {
		return false, nil
	}
	if state, _, _ := l.machine.state(); !state.Ended() {
		l.update(Update{Stored: true}, nil)
		return false, nil
	}
	l.record.settle(l.machine)
	fault.Point("node.settled", "unsaved")
	if l.saved {
		if err := save(l.device.Vault, l.id, l.record); err != nil {
			return true, err
		}
	}
	l.update(Update{}, nil)
	return true, nil
}
