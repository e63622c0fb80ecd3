package fallback

import (
	"crypto/sha256"
	"maps"
	"reflect"
	"time"

	"github.com/sparekey/sparekey/noise/frame"
)

type sum = [32]byte

func sumOf(f frame.Frame) sum { return sha256.Sum256(f) }

// An item is a frame of the load.
type item struct {
	frame.Frame
	sum    sum
	urgent bool // it goes to every path at once
}

// given is by which path an item went out first, and when.
type given struct {
	to   *track
	at   time.Time
	more bool // another path was given it too: an acknowledgement says nothing of either
}

// renew takes a newer load. A decision that is new is tried at once. An item that
// has left the load was acknowledged, which tells the round trip.
func (r *run) renew(l Load, version uint64, now time.Time) {
	if !reflect.DeepEqual(l.Decision, r.load.Decision) {
		for _, t := range r.tracks {
			delete(t.failed, errand{decide: true})
		}
	}
	r.load, r.version, r.items = l, version, items(l)
	wanted := make(map[sum]bool, len(r.items))
	for _, it := range r.items {
		wanted[it.sum] = true
	}
	for s, g := range r.given {
		if !wanted[s] && !g.more {
			g.to.sample(now.Sub(g.at))
		}
	}
	maps.DeleteFunc(r.given, func(s sum, _ given) bool { return !wanted[s] })
	for _, t := range r.tracks {
		maps.DeleteFunc(t.has, func(s sum, _ time.Time) bool { return !wanted[s] })
	}
}

// items returns a load's frames with what the policy says of each.
func items(l Load) []item {
	urgent := map[sum]bool{}
	for _, f := range l.Everywhere {
		urgent[sumOf(f)] = true
	}
	unjudged := map[frame.Candidate]bool{} // their handshake is there, and the claim: data of seq 1
	for _, f := range l.Frames {
		switch {
		case f.Kind() == frame.Handshake:
			unjudged[f.Candidate()] = false
		case f.Kind() == frame.Data && f.Seq() == 1:
			if _, claims := unjudged[f.Candidate()]; claims {
				unjudged[f.Candidate()] = true
			}
		}
	}
	out := make([]item, len(l.Frames))
	for i, f := range l.Frames {
		s := sumOf(f)
		out[i] = item{f, s, urgent[s] || f.Kind() != frame.Data || unjudged[f.Candidate()]}
	}
	return out
}

// due returns what is to be given to a path now, by candidate and in order, so that
// a handshake and what stands behind it are one request; and how long it is until
// more is.
func (r *run) due(t *track, now time.Time) (pieces [][]item, wait time.Duration) {
	wait = time.Hour
	lacking, order := map[frame.Candidate][]item{}, []frame.Candidate{}
	for _, it := range r.items {
		if left := t.keeps(it, now); left > 0 {
			wait = min(wait, left)
			continue
		}
		c := it.Candidate()
		if len(lacking[c]) == 0 {
			order = append(order, c)
		}
		lacking[c] = append(lacking[c], it)
	}
	for _, c := range order {
		n := 0
		for i, it := range lacking[c] {
			if left := r.after(t, it, now); left <= 0 {
				n = i + 1
			} else {
				wait = min(wait, left)
			}
		}
		if n > 0 {
			pieces = append(pieces, t.piece(lacking[c][:n]))
		}
	}
	return pieces, wait
}

// keeps returns for how long a path needn't be given an item again. 0: it lacks it.
func (t *track) keeps(it item, now time.Time) time.Duration {
	at, has := t.has[it.sum]
	switch {
	case !has:
		return 0
	case t.early[it.sum] && it.Kind() != frame.Offer: // nobody ever answers for an offer either
		return minHedge - now.Sub(at)
	case t.direct == nil || it.Kind() != frame.Data: // only data is ever acknowledged
		return time.Hour
	}
	return repeatAfter - now.Sub(at)
}

// piece returns as much of the items as goes in one piece.
func (t *track) piece(items []item) []item {
	if t.box != nil {
		return items // one request, whatever its size
	}
	size := 0
	for i, it := range items {
		if size += len(it.Frame); size > maxPiece && i > 0 {
			return items[:i]
		}
	}
	return items
}

// after returns how long it is until an item that a path lacks goes there.
func (r *run) after(t *track, it item, now time.Time) time.Duration {
	c := it.Candidate()
	best := r.best(c, now)
	_, refused := t.failed[errand{candidate: c}]
	switch {
	case it.urgent || best == t:
		return 0
	case t.box == nil && !t.met[c] && !refused && !t.shunned(now):
		return 0 // it races, or it would never be known for better
	case best == nil && !(t.shunned(now) && r.boxWorks(now)):
		return 0
	}
	g, ok := r.given[it.sum]
	switch {
	case ok:
		return g.to.overdue() - now.Sub(g.at)
	case best != nil:
		return best.overdue() // it is about to be given to the best
	}
	return minHedge
}

// best returns the direct path that carries a candidate's frames; nil: none does.
func (r *run) best(c frame.Candidate, now time.Time) (best *track) {
	for _, t := range r.tracks {
		_, refused := t.failed[errand{candidate: c}]
		if t.box != nil || !t.met[c] || refused || t.silent(now) || t.shunned(now) {
			continue
		}
		if best == nil || t.rounds() < best.rounds() {
			best = t
		}
	}
	return best
}

// give notes that an item goes out by a path.
func (r *run) give(t *track, it item, now time.Time) {
	g, ok := r.given[it.sum]
	switch {
	case !ok:
		r.given[it.sum] = given{to: t, at: now}
	case g.to != t || !g.more: // by the same path again: which of the two was acknowledged?
		g.more = true
		r.given[it.sum] = g
	}
}

// sample takes how long an item took to be acknowledged that this path alone had.
func (t *track) sample(took time.Duration) {
	if t.round == 0 {
		t.round = took
	}
	t.round += (took - t.round) / 4 // a room changes fast
}

func (t *track) rounds() time.Duration {
	if t.round == 0 {
		return firstRound
	}
	return t.round
}

// overdue is how long a frame may be without an acknowledgement on a path.
func (t *track) overdue() time.Duration { return max(2*t.rounds(), minHedge) }

func (t *track) silent(now time.Time) bool { return t.sending && now.Sub(t.begun) >= t.overdue() }

func (t *track) shunned(now time.Time) bool { return now.Before(t.shunUntil) }
