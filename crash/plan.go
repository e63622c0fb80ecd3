package main

import (
	"context"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"sync"
	"text/tabwriter"
	"time"
)

var kinds = []string{"sender", "receiver", "relay"}

// A plan says which kills are to be made, and counts what came of them. A point
// may not be passed in a run that times itself otherwise than the dry one did;
// then another one takes its place.
type plan struct {
	mu     sync.Mutex
	wake   *sync.Cond
	groups []*group
	known  map[cell]int
	rows   map[cell]*tally
	failed []outcomeOf
	slow   outcomeOf // the run that took longest
}

// A group is kills of one sort: of points of one kind of process, or random ones.
type group struct {
	name    string
	want    int
	draw    func() (strike, bool) // the next one, false when there are no more
	dry     bool
	running int
	struck  int
}

// A cell is a line of the report.
type cell struct {
	group    string
	scenario string
}

type tally struct{ struck, missed, once, ended, unresolved, failed int }

type outcomeOf struct {
	strike  strike
	outcome outcome
}

func newPlan(all []seen, points, kills int, rnd *rand.Rand) *plan {
	p := &plan{known: map[cell]int{}, rows: map[cell]*tally{}}
	p.wake = sync.NewCond(&p.mu)
	for _, kind := range kinds {
		var known []strike
		for _, s := range all {
			for _, point := range s.points {
				if kindOf(s.process) == kind {
					known = append(known, strike{scenario: s.scenario, process: s.process, point: point})
					p.known[cell{kind, s.scenario.name}]++
				}
			}
		}
		p.groups = append(p.groups, &group{name: kind, want: min(points, len(known)), draw: spread(known, rnd.IntN(max(1, len(known))))})
	}
	p.groups = append(p.groups, &group{name: random, want: kills, draw: randomly(all, rnd, 4*kills)})
	return p
}

const random = "random"

// spread draws from a list so that each first part of the draws lies evenly over it.
func spread(all []strike, offset int) func() (strike, bool) {
	drawn := make([]bool, len(all))
	n := 0
	return func() (strike, bool) {
		if n == len(all) {
			return strike{}, false
		}
		_, part := math.Modf(float64(n) * math.Phi)
		n++
		i := (int(part*float64(len(all))) + offset) % len(all)
		for drawn[i] {
			i = (i + 1) % len(all)
		}
		drawn[i] = true
		return all[i], true
	}
}

// randomly draws processes, and moments of their lives.
func randomly(all []seen, rnd *rand.Rand, most int) func() (strike, bool) {
	return func() (strike, bool) {
		if most--; most < 0 || len(all) == 0 {
			return strike{}, false
		}
		s := all[rnd.IntN(len(all))]
		return strike{scenario: s.scenario, process: s.process, after: time.Duration(rnd.Int64N(int64(s.lived)) + 1)}, true
	}
}

// next returns the next kill to make; false when there is none left.
func (p *plan) next(ctx context.Context) (strike, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for ctx.Err() == nil {
		var next *group
		running := false
		for _, g := range p.groups {
			running = running || g.running > 0
			if g.dry || g.struck+g.running >= g.want {
				continue
			}
			if next == nil || g.left() > next.left() {
				next = g
			}
		}
		switch {
		case next == nil && !running:
			p.wake.Broadcast()
			return strike{}, false
		case next == nil:
			p.wake.Wait()
		default:
			s, ok := next.draw()
			if !ok {
				next.dry = true
				continue
			}
			s.group = next.name
			next.running++
			return s, true
		}
	}
	return strike{}, false
}

// left is the part of a group that is still to be made.
func (g *group) left() float64 { return 1 - float64(g.struck+g.running)/float64(g.want) }

// done notes what came of a kill.
func (p *plan) done(s strike, o outcome) {
	p.mu.Lock()
	defer p.mu.Unlock()
	defer p.wake.Broadcast()
	for _, g := range p.groups {
		if g.name == s.group {
			g.running--
			if o.struck {
				g.struck++
			}
		}
	}
	c := cell{s.group, s.scenario.name}
	t := p.rows[c]
	if t == nil {
		t = &tally{}
		p.rows[c] = t
	}
	t.add(o)
	if o.took > p.slow.outcome.took {
		p.slow = outcomeOf{s, o}
	}
	if o.err != nil {
		p.failed = append(p.failed, outcomeOf{s, o})
	}
}

func (t *tally) add(o outcome) {
	if o.struck {
		t.struck++
	} else {
		t.missed++
	}
	switch {
	case o.err != nil:
		t.failed++
	case !o.struck:
	case o.what == "once":
		t.once++
	case o.what == "unresolved":
		t.unresolved++
	default:
		t.ended++
	}
}

// print prints the table, then each failure with what runs it again.
func (p *plan) print(out io.Writer) {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "killed\tscenario\tpoints known\tkilled\tprovisioned once\tended, with nobody\tunresolved\tfailed\tnot passed")
	total := tally{}
	for _, g := range p.groups {
		sum, known := tally{}, 0
		for _, sc := range scenarios {
			c := cell{g.name, sc.name}
			t := p.rows[c]
			if t == nil {
				continue
			}
			fmt.Fprintf(w, "%s\t%s\t%d\t%s\n", g.name, sc.name, p.known[c], t)
			sum.sum(t)
		}
		for c, n := range p.known {
			if c.group == g.name {
				known += n
			}
		}
		fmt.Fprintf(w, "%s\tall\t%d\t%s\n\t\t\t\t\t\t\t\t\n", g.name, known, sum)
		total.sum(&sum)
	}
	fmt.Fprintf(w, "all\tall\t\t%s\n", total)
	w.Flush()
	fmt.Fprintf(out, "the longest run took %v: %v\n", p.slow.outcome.took.Round(time.Millisecond), p.slow.strike)
	for _, f := range p.failed {
		fmt.Fprintf(out, "FAILED %v\n  %v\n  logs: %s\n  again: make crash ONLY='%v'\n", f.strike, f.outcome.err, f.outcome.log, f.strike)
	}
}

func (t tally) String() string {
	return fmt.Sprintf("%d\t%d\t%d\t%d\t%d\t%d", t.struck, t.once, t.ended, t.unresolved, t.failed, t.missed)
}

func (t *tally) sum(o *tally) {
	t.struck += o.struck
	t.missed += o.missed
	t.once += o.once
	t.ended += o.ended
	t.unresolved += o.unresolved
	t.failed += o.failed
}

// verdict is an error if a run has failed or a group was not struck as often as wanted.
func (p *plan) verdict() error {
	if len(p.failed) > 0 {
		return fmt.Errorf("%d runs failed", len(p.failed))
	}
	for _, g := range p.groups {
		if g.struck < g.want {
			return fmt.Errorf("only %d of %d kills of the group %s struck", g.struck, g.want, g.name)
		}
	}
	return nil
}
