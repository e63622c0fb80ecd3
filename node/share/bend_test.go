package share

import (
	"flag"
	"math/rand/v2"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// TestAnyWalkKeepsWhatAShareIsFor walks anywhere, and shows the shortest way to a
// promise that breaks. These are the same walks each time; -rapid.seed and
// -rapid.checks go others, and more of them.
func TestAnyWalkKeepsWhatAShareIsFor(t *testing.T) {
	if seed := flag.Lookup("rapid.seed"); seed.Value.String() == "0" {
		seed.Value.Set("1")
		defer seed.Value.Set("0")
	}
	rapid.Check(t, func(t *rapid.T) {
		pick := func(n int) int { return rapid.IntRange(0, n-1).Draw(t, "pick") }
		if promise := stroll(pick, bend{}, rapid.IntRange(0, 150).Draw(t, "steps")); promise != "" {
			t.Fatal("broken: ", promise)
		}
	})
}

// A bend is one rule of the machines broken. Those that are bent in their tables
// are put right again by the test.
type bend struct {
	rules   func()                    // changes the tables
	forget  func(was, is State) bool  // a sender's step is not saved
	presume bool                      // a receiver that starts again takes it that nothing is in its place
	shows   func(sender State) bool   // the proof is shown in this state already
	hides   bool                      // the proof is never shown
	deletes func(receiver State) bool // a receiver deletes the mailbox
}

// bends are the mutants of the model that this protocol was checked with, as far as
// they are of the two machines, by the same names; those left out bend the relay.
var bends = map[string]bend{
	"SENDFIRST: the grant leaves before it is saved": {forget: func(was, is State) bool { return was == Pinned && is == Granted }},
	"SAMEM1: a claim is taken back without a new epoch": {rules: func() {
		*senderRule(Pinned, onRelinquish).do = func(s *Sender, _ *cause) { s.Pin, s.Turn = nil, dialogue{State: s.Opening} }
	}},
	"RELAXUNPIN: a claim is taken back after the grant": {rules: func() {
		*senderRule(Granted, onRelinquish).to, *senderRule(Granted, onRelinquish).do = Offered, (*Sender).reoffer
	}},
	"NOOVER: the proof is never shown":                {hides: true},
	"OVERUNRES: the proof is shown when unresolved":   {shows: func(s State) bool { return s == Unresolved }},
	"OVEREARLY: the proof is shown with the grant":    {shows: func(s State) bool { return s == Granted }},
	"EARLYDEL: a receiver deletes before done":        {deletes: func(s State) bool { return s == Provisioned }},
	"DELANY: a receiver deletes what it has claimed":  {deletes: func(s State) bool { return s == Claimed }},
	"NOINTENT: what is in its place is not asked for": {presume: true},
	"OLDTAKEN: an older candidate's taken ends it": {rules: func() {
		*receiverRule(Claimed, onTaken).ok = nil
	}},
	"ONECAND: a newer offer drops the older candidates": {rules: func() {
		*receiverRule(Claimed, onOffer).do = func(r *Receiver, c *cause) { r.Candidates = nil; r.again(c) }
	}},
	"IGNORE: who has provisioned ignores the proof too": {rules: func() {
		*receiverRule(Provisioned, onPair).from = "nowhere"
	}},
	"NODECL: whose time is up says nothing": {rules: func() {
		*receiverRule(Claimed, onTimeOver).do = (*Receiver).end
	}},
	"NOLATE: unresolved is final": {rules: func() {
		for _, on := range []trigger{onProvisioned, onDecline, onRelinquish} {
			*senderRule(Unresolved, on).from = "nowhere"
		}
	}},
}

// A row points into a table, so that it can be bent.
type row[M any] struct {
	from, to *State
	ok       *func(*M, *cause) bool
	do       *func(*M, *cause)
}

func ruleOf[M any](rules []rule[M], from State, on trigger) row[M] {
	i := slices.IndexFunc(rules, func(r rule[M]) bool { return r.from == from && r.on == on })
	r := &rules[i]
	return row[M]{&r.from, &r.to, &r.ok, &r.do}
}

func senderRule(from State, on trigger) row[Sender]     { return ruleOf(senderRules, from, on) }
func receiverRule(from State, on trigger) row[Receiver] { return ruleOf(receiverRules, from, on) }

// TestEachBentRuleIsFound shows that the walks can tell: with any one of the rules
// bent, some walk breaks a promise, and with none bent the same walk breaks none.
func TestEachBentRuleIsFound(t *testing.T) {
	const most = 4000
	for name, b := range bends {
		t.Run(name, func(t *testing.T) {
			seed, promise := bent(b, most)
			if promise == "" {
				t.Fatalf("%d walks don't find it", most)
			}
			t.Logf("walk %d: %s", seed, promise)
			if promise := walkBy(seed, bend{}); promise != "" {
				t.Errorf("walk %d with no rule bent: %s", seed, promise)
			}
		})
	}
}

// bent returns the first of so many walks that breaks a promise with a rule bent.
func bent(b bend, most uint64) (seed uint64, promise string) {
	sender, receiver := slices.Clone(senderRules), slices.Clone(receiverRules)
	defer func() { copy(senderRules, sender); copy(receiverRules, receiver) }()
	if b.rules != nil {
		b.rules()
	}
	for seed := range most {
		if promise := walkBy(seed, b); promise != "" {
			return seed, promise
		}
	}
	return most, ""
}

// walkBy is the walk by a seed.
func walkBy(seed uint64, b bend) (promise string) {
	return stroll(rand.New(rand.NewPCG(seed, 0)).IntN, b, 150)
}
