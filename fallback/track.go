package fallback

import (
	"errors"
	"reflect"
	"slices"
	"time"

	"github.com/sparekey/sparekey/discovery"
	"github.com/sparekey/sparekey/noise/frame"
)

// A track is one path and what it has.
type track struct {
	path   discovery.Path
	box    discovery.Mailbox // the path, if it stores
	direct discovery.Direct  // the path, if it says what the other device has taken
	since  time.Time

	has     map[sum]time.Time  // items it has taken, and when
	early   map[sum]bool       // of these, what it carried before it was found, and nobody has answered for
	failed  map[errand]backoff // what failed last time, and when to try again
	sending bool               // frames are under way
	begun   time.Time          // since when

	agrees   *discovery.Decision
	stale    bool // what it agreed to has to be asked of it once more
	settling bool // the decision is under way
	asked    time.Time

	unjudged [][]frame.Candidate // whom the pieces were of that it brought and nobody has judged yet; guarded by Carrier.mu
	met      map[frame.Candidate]bool
	heard    time.Time // when something that it brought was judged last, or it answered
	blame    int
	round    time.Duration // from giving a frame to its answer or acknowledgement; 0: unknown

	replies   []frame.Frame
	replying  bool
	owed      time.Time // since when there are replies that aren't taken
	shunUntil time.Time
}

// An errand is what fails and is tried again by itself: the frames of one
// candidate, or the decision. A lane that is closed or busy must not hold up
// the others.
type errand struct {
	decide    bool
	candidate frame.Candidate
}

// A result is what became of a piece of work on a track.
type result struct {
	track   *track
	errand  errand
	sent    []item
	decided *discovery.Decision
	replied bool
	last    bool // among the replies was the last ack
	broken  bool // its receiving end has failed
	err     error
}

func (r *run) find(p discovery.Path) *track {
	for _, t := range r.tracks {
		if t.path == p {
			return t
		}
	}
	return nil
}

func (r *run) add(p discovery.Path) {
	now := time.Now()
	t := &track{path: p, since: now, has: map[sum]time.Time{}, early: map[sum]bool{}, failed: map[errand]backoff{}, met: map[frame.Candidate]bool{}}
	t.box, _ = p.(discovery.Mailbox)
	t.direct, _ = p.(discovery.Direct)
	if t.box == nil {
		t.shunUntil = r.routes.shunned(p.String())
	} else {
		r.mailbox = true
	}
	if early, ok := p.(discovery.Early); ok {
		for _, f := range early.Early() {
			t.has[sumOf(f)], t.early[sumOf(f)] = now, true
		}
	}
	r.tracks = append(r.tracks, t)
	r.running.Go(func() { r.receive(t) })
}

// close closes a path, which may take a while: what was answered last still goes out.
func (r *run) close(t *track) { r.running.Go(func() { t.path.Close() }) }

func (r *run) drop(t *track) {
	r.close(t)
	r.tracks = slices.DeleteFunc(r.tracks, func(o *track) bool { return o == t })
	if now := time.Now(); t.box == nil {
		r.routes.ended(t.path.String(), now.Sub(t.since), now)
	}
}

// receive hands on what comes by a path, no faster than handshakes may come.
func (r *run) receive(t *track) {
	pace := newPace(handshakesPerSecond)
	for {
		frames, err := t.path.Receive(r.ctx)
		if err != nil {
			r.bring(result{track: t, broken: true, err: err})
			return
		}
		for _, f := range frames {
			if f.Kind() == frame.Handshake && !pace.wait(r.ctx) {
				return
			}
		}
		r.c.mu.Lock()
		t.unjudged = append(t.unjudged, candidates(frames))
		r.c.mu.Unlock()
		select {
		case r.c.arrivals <- Arrival{frames, t.path}:
		case <-r.ctx.Done():
			return
		}
	}
}

// candidates returns whose frames these are, without the zero candidate.
func candidates(frames []frame.Frame) (cs []frame.Candidate) {
	for _, f := range frames {
		if c := f.Candidate(); c != (frame.Candidate{}) && !slices.Contains(cs, c) {
			cs = append(cs, c)
		}
	}
	return cs
}

// judge takes what was said of what came by a path. Strangers may write to a
// mailbox, so it isn't to blame for what doesn't open: it is asked once more, and
// made to agree once more, for a lane that had been closed may have been filled again.
func (r *run) judge(t *track, v Verdict) {
	var of []frame.Candidate
	r.c.mu.Lock()
	if len(t.unjudged) > 0 {
		of, t.unjudged = t.unjudged[0], t.unjudged[1:]
	}
	r.c.mu.Unlock()
	t.heard = time.Now()
	if t.direct != nil {
		t.direct.Taken(v.OK)
	}
	if w, ok := t.path.(discovery.Weighed); ok && v.New {
		w.Bore()
	}
	switch {
	case v.OK:
		t.blame = 0
		r.meet(t, of)
	case t.box != nil:
		t.box.Again()
		t.stale = true
	default:
		if t.blame++; t.blame >= maxBlame {
			r.drop(t)
		}
	}
}

// meet notes that a path has brought something genuine of these candidates.
func (r *run) meet(t *track, of []frame.Candidate) {
	if len(t.met)+len(of) > maxMet {
		clear(t.met)
	}
	for _, c := range of {
		t.met[c] = true
	}
}

// reply queues replies for a path; of each kind and candidate the last one.
// What doesn't fit is asked for again.
func (t *track) reply(frames []frame.Frame) {
	if t.box != nil {
		return // a mailbox is told by Settle
	}
	if !t.replying && len(t.replies) == 0 {
		t.owed = time.Now()
	}
	for _, f := range frames {
		same := func(o frame.Frame) bool { return o.Kind() == f.Kind() && o.Candidate() == f.Candidate() }
		t.replies = slices.DeleteFunc(t.replies, same)
		if len(t.replies) < maxReplies {
			t.replies = append(t.replies, f)
		}
	}
}

// respond sends the replies that wait; lost ones are asked for again.
func (r *run) respond(t *track) {
	if t.replying || len(t.replies) == 0 {
		return
	}
	frames := t.replies
	t.replies, t.replying = nil, true
	last := slices.ContainsFunc(frames, func(f frame.Frame) bool { return f.Kind() == frame.Ack && f.Seq() == frame.LastAck })
	r.running.Go(func() { r.bring(result{track: t, replied: true, last: last, err: t.path.Send(r.ctx, frames...)}) })
}

func (r *run) bring(res result) {
	select {
	case r.results <- res:
	case <-r.ctx.Done():
	}
}

// take notes what became of a piece of work.
func (r *run) take(res result) {
	t := res.track
	if res.last && res.err == nil && t.direct != nil {
		r.answered = true // who has it may have gone with the path
	}
	switch {
	case !slices.Contains(r.tracks, t):
		return
	case res.broken || errors.Is(res.err, discovery.ErrRetired):
		r.drop(t)
		return
	case res.replied:
		t.replying, t.owed = false, time.Now()
		return
	case res.errand.decide:
		t.settling = false
	default:
		t.sending = false
	}
	if res.err != nil && res.decided != nil && !reflect.DeepEqual(*res.decided, r.load.Decision) {
		return // another one is wanted by now, and is asked for at once
	}
	if res.err != nil {
		t.failed[res.errand] = t.failed[res.errand].again(time.Now(), r.c.config.Jitter())
		return
	}
	delete(t.failed, res.errand)
	if t.direct != nil { // its answer comes when an acknowledgement does, and leaves no doubt which path it was
		t.sample(time.Since(t.begun))
		t.heard = time.Now()
	}
	for _, it := range res.sent {
		t.has[it.sum] = time.Now()
		delete(t.early, it.sum)
	}
	if res.decided != nil {
		t.agrees = res.decided
		clear(t.failed) // frames may have failed for the lack of it
	}
}

// agreed reports whether a mailbox has been made to agree with d.
func (t *track) agreed(d discovery.Decision) bool {
	if t.agrees == nil || t.stale {
		return reflect.DeepEqual(d, discovery.Decision{})
	}
	return reflect.DeepEqual(*t.agrees, d)
}
