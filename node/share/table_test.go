package share

import (
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
)

var updateDoc = flag.Bool("update-protocol", false, "write the tables' diagrams into PROTOCOL.md")

// ignored says why nothing happens where a state has no rule for a trigger.
// Together with the rules it covers every pair.
var ignoredBySender = map[trigger]map[State]string{
	onClaim:       {Pinned: chosen, Granted: chosen, Unresolved: chosen},
	onMessage:     {Offered: nobody, Unresolved: "the format's turn is over: the grant has left and time is up"},
	onAnswer:      {Offered: noTask, Unresolved: noTask},
	onGives:       {Offered: noTask, Unresolved: noTask},
	onFails:       {Offered: noTask, Unresolved: noTask},
	onProvisioned: {Offered: nobody, Pinned: "no grant has left: it can't be true"},
	onDecline:     {Offered: nobody},
	onRelinquish:  {Offered: nobody},
	onCancel:      {Unresolved: "the credential may be in: only the receiver's answer or a revocation helps"},
	onOfferOver:   {Pinned: "a claimed share has the grace", Granted: "a claimed share has the grace", Unresolved: "it is over already"},
	onTimeOver:    {Offered: "the offer was over before", Unresolved: "it is over already"},
	onPair:        {Unresolved: "it is a halt already"},
}

var ignoredByReceiver = map[trigger]map[State]string{
	onOffer:     {Provisioning: hasGrant, Provisioned: hasGrant, Unresolved: halted},
	onAccept:    {Opened: "there is nothing to accept yet", Claimed: "once is enough", Provisioning: "once is enough", Provisioned: "once is enough", Unresolved: halted},
	onMessage:   {Opened: nobody, Viewed: nobody, Provisioned: "the dialogue is over", Unresolved: halted},
	onGrant:     {Opened: nobody, Viewed: nobody, Provisioned: "it is in its place", Unresolved: halted},
	onAnswer:    {Opened: noTask, Viewed: noTask, Provisioned: noTask, Unresolved: halted},
	onFails:     {Opened: noTask, Viewed: noTask, Provisioned: noTask, Unresolved: halted},
	onPlaced:    {Opened: noTask, Viewed: noTask, Claimed: noTask, Provisioned: noTask, Unresolved: halted},
	onMisplaced: {Opened: noTask, Viewed: noTask, Claimed: noTask, Provisioned: noTask, Unresolved: halted},
	onRedirect:  {Opened: noTask, Viewed: noTask, Claimed: noTask, Provisioned: "it is in its place", Unresolved: halted},
	onTaken:     {Opened: nobody, Viewed: nobody, Provisioning: hasGrant, Provisioned: hasGrant, Unresolved: halted},
	onDone:      {Opened: nobody, Viewed: nobody, Claimed: "nothing was received: it can't be true", Provisioning: "not before provisioned is said", Unresolved: halted},
	onCancelled: {Opened: nobody, Viewed: nobody, Provisioning: "not after a grant", Provisioned: "not after a grant", Unresolved: halted},
	onDeclined:  {Opened: nobody, Viewed: nobody, Provisioning: "no decline was said", Provisioned: "no decline was said", Unresolved: halted},
	onExpired:   {Opened: nobody, Viewed: nobody, Provisioning: "not after a grant", Provisioned: "not after a grant", Unresolved: halted},
	onPair:      {Provisioning: "the sender may have ended by this grant: provision first", Unresolved: halted},
	onDecline:   {Provisioned: "it is in its place", Unresolved: halted},
	onRelinquish: {Opened: "there is no claim", Viewed: "there is no claim", Provisioning: "after the grant it would be a decline: say so",
		Provisioned: "it is in its place", Unresolved: halted},
	onRecall:   {Opened: nobody, Viewed: nobody, Claimed: "a recall follows a grant", Provisioned: "provisioned has been said", Unresolved: halted},
	onTimeOver: {Opened: "the offer's life isn't known", Provisioned: "the sender is told for as long as anybody listens", Unresolved: halted},
	onCopied:   {Opened: "nothing is saved", Viewed: "nothing is saved", Provisioned: "it is in; what is sent again are the same bytes", Unresolved: "it is a halt already"},
}

const (
	chosen   = "a candidate is pinned: another one is refused before it comes to this"
	nobody   = "nobody speaks to us yet"
	noTask   = "no task is outstanding"
	hasGrant = "the grant is here"
	halted   = "it is a halt: the original goes on"
)

// TestEveryPairOfStateAndTriggerIsDecided asks for each pair: a rule or a reason, never both.
func TestEveryPairOfStateAndTriggerIsDecided(t *testing.T) {
	decided(t, "sender", senderRules, ignoredBySender,
		[]State{Offered, Pinned, Granted, Unresolved},
		[]trigger{onClaim, onOther, onMessage, onAnswer, onGives, onFails, onProvisioned, onDecline, onRelinquish, onCancel, onOfferOver, onTimeOver, onCopied, onPair})
	decided(t, "receiver", receiverRules, ignoredByReceiver,
		[]State{Opened, Viewed, Claimed, Provisioning, Provisioned, Unresolved},
		[]trigger{onOffer, onAccept, onMessage, onGrant, onAnswer, onFails, onPlaced, onMisplaced, onRedirect, onTaken, onDone, onCancelled, onDeclined, onExpired,
			onPair, onDecline, onRelinquish, onRecall, onTimeOver, onCopied})
}

func decided[M any](t *testing.T, side string, rules []rule[M], ignored map[trigger]map[State]string, states []State, triggers []trigger) {
	for _, s := range states {
		for _, on := range triggers {
			i := slices.IndexFunc(rules, func(r rule[M]) bool { return r.from == s && r.on == on })
			why := ignored[on][s]
			switch {
			case i < 0 && why == "":
				t.Errorf("%s: nobody has decided what %q does in state %s", side, on, s)
			case i >= 0 && why != "":
				t.Errorf("%s: %q in state %s has a rule and a reason to be ignored", side, on, s)
			}
		}
	}
	for _, r := range rules {
		if !slices.Contains(triggers, r.on) || !slices.Contains(states, r.from) && !r.from.Ended() {
			t.Errorf("%s: the rule for %q in state %s is not asked for", side, r.on, r.from)
		}
		if (r.when == "") != (r.ok == nil) {
			t.Errorf("%s: the guard of %q in state %s has no words, or words and no guard", side, r.on, r.from)
		}
	}
}

// TestEndsAreFinal: no rule leads out of an end.
func TestEndsAreFinal(t *testing.T) {
	for _, r := range senderRules {
		if r.from.Ended() && r.to != r.from {
			t.Errorf("a sender that is %s becomes %s by %q", r.from, r.to, r.on)
		}
	}
	for _, r := range receiverRules {
		if r.from.Ended() && r.to != r.from {
			t.Errorf("a receiver that is %s becomes %s by %q", r.from, r.to, r.on)
		}
	}
}

// TestProtocolShowsTheTables holds PROTOCOL.md against the tables.
func TestProtocolShowsTheTables(t *testing.T) {
	b, err := os.ReadFile("PROTOCOL.md")
	if err != nil {
		t.Fatal(err)
	}
	doc := string(b)
	doc = between(t, doc, "sender", drawing(senderRules)+tableOf(senderRules))
	doc = between(t, doc, "receiver", drawing(receiverRules)+tableOf(receiverRules))
	if *updateDoc {
		if err := os.WriteFile("PROTOCOL.md", []byte(doc), 0o644); err != nil {
			t.Fatal(err)
		}
	} else if doc != string(b) {
		t.Error("PROTOCOL.md doesn't show the tables as they are; go test ./node/share -update-protocol writes them")
	}
}

// between puts text between the marks of a part of the document.
func between(t *testing.T, doc, part, text string) string {
	start, end := fmt.Sprintf("<!-- %s: made from table.go -->\n", part), fmt.Sprintf("<!-- %s: end -->", part)
	before, rest, ok := strings.Cut(doc, start)
	_, after, ok2 := strings.Cut(rest, end)
	if !ok || !ok2 {
		t.Fatalf("PROTOCOL.md has no place for the table of the %s", part)
	}
	return before + start + text + end + after
}

// drawing is the table as a Mermaid state diagram: the transitions that change the state.
func drawing[M any](rules []rule[M]) string {
	var b strings.Builder
	b.WriteString("```mermaid\nstateDiagram-v2\n    [*] --> " + string(rules[0].from) + "\n")
	for _, r := range rules {
		if r.from == r.to {
			continue
		}
		label := string(r.on)
		if r.when != "" {
			label += " [" + r.when + "]"
		}
		fmt.Fprintf(&b, "    %s --> %s: %s\n", r.from, r.to, label)
	}
	b.WriteString("```\n\n")
	return b.String()
}

func tableOf[M any](rules []rule[M]) string {
	var b strings.Builder
	b.WriteString("| state | when | if | becomes | and |\n|---|---|---|---|---|\n")
	for _, r := range rules {
		fmt.Fprintf(&b, "| %s | %s | %s | %s | %s |\n", r.from, r.on, r.when, r.to, r.does)
	}
	return b.String()
}
