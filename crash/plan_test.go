package main

import (
	"fmt"
	"math/rand/v2"
	"testing"
)

func TestEachFirstPartOfASampleLiesEvenlyOverAllPoints(t *testing.T) {
	var all []strike
	for i := range 1000 {
		all = append(all, strike{point: fmt.Sprint(i)})
	}
	draw, seen := spread(all, 123), map[string]bool{}
	parts := make([]int, 10)
	for n := range all {
		s, ok := draw()
		if !ok || seen[s.point] {
			t.Fatalf("draw %d is %v, %v", n, s.point, ok)
		}
		seen[s.point] = true
		var i int
		fmt.Sscan(s.point, &i)
		parts[i/100]++
		for _, k := range parts {
			if n+1 >= 50 && (k < (n+1)/10-4 || k > (n+1)/10+4) {
				t.Fatalf("of the first %d the tenths have %v", n+1, parts)
			}
		}
	}
	if _, ok := draw(); ok {
		t.Error("more is drawn than there is")
	}
}

func TestPointThatIsNotPassedIsReplacedByAnother(t *testing.T) {
	sc := &scenario{name: "one"}
	all := []seen{{sc, "sender.0", []string{"a", "b", "c", "d"}, 1}, {sc, "receiver.0", []string{"a"}, 1}, {sc, "relay.0", []string{"a"}, 1}}
	p := newPlan(all, 2, 0, rand.New(rand.NewPCG(1, 1)))
	missed := false
	for s, ok := p.next(t.Context()); ok; s, ok = p.next(t.Context()) {
		o := outcome{struck: true, what: "once"}
		if s.kind() == "sender" && !missed {
			o.struck, missed = false, true
		}
		p.done(s, o)
	}
	if got := *p.rows[cell{"sender", "one"}]; got != (tally{struck: 2, missed: 1, once: 2}) || p.verdict() != nil {
		t.Errorf("the sender's kills are %+v, %v", got, p.verdict())
	}
}

func TestOneFailureOrTooFewKillsFailTheWhole(t *testing.T) {
	sc := &scenario{name: "one"}
	run := func(o outcome) error {
		p := newPlan([]seen{{sc, "sender.0", []string{"a"}, 1}}, 1, 0, rand.New(rand.NewPCG(1, 1)))
		for s, ok := p.next(t.Context()); ok; s, ok = p.next(t.Context()) {
			p.done(s, o)
		}
		return p.verdict()
	}
	if run(outcome{struck: true, err: fmt.Errorf("twice")}) == nil || run(outcome{}) == nil || run(outcome{struck: true, what: "once"}) != nil {
		t.Error("the verdict is wrong")
	}
}
