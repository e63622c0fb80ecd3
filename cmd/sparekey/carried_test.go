package main

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"

	"github.com/sparekey/sparekey/discovery"
	"github.com/sparekey/sparekey/node"
	"github.com/sparekey/sparekey/node/share"
)

const (
	inTheRoom = "lan quic 192.168.1.7:4311"
	byRelay   = "relay r.example"
)

func TestShowTellsWhichPathCarriedWhat(t *testing.T) {
	for want, r := range map[string]node.Record{
		"claimed over lan quic 192.168.1.7:4311, confirmed over relay r.example": {Role: discovery.Sender,
			Steps: []node.Step{{State: share.Pinned, Path: inTheRoom}, {State: share.Done, Path: byRelay}}, Paths: []string{inTheRoom, byRelay}},
		"seen over relay r.example, granted over lan quic 192.168.1.7:4311, confirmed over relay r.example, more over cable": {Role: discovery.Receiver,
			Steps: []node.Step{{State: share.Viewed, Path: byRelay}, {State: share.Provisioning, Path: inTheRoom}, {State: share.Done, Path: byRelay}},
			Paths: []string{byRelay, inTheRoom, "cable"}},
		"claimed over relay r.example, declined over relay r.example": {Role: discovery.Sender,
			Steps: []node.Step{{State: share.Pinned, Path: byRelay}, {State: share.Declined, Path: byRelay}}, Paths: []string{byRelay}},
		"more over relay r.example": {Role: discovery.Sender, Paths: []string{byRelay}},
		"":                          {Role: discovery.Sender},
	} {
		if got := carried(r); got != want {
			t.Errorf("said %q, want %q", got, want)
		}
		e, _ := json.Marshal(event{Path: lastPath(r), Steps: stepsOf(r)})
		if n := strings.Count(string(e), `"state":`); n != len(r.Steps) {
			t.Errorf("%d steps in %s", n, e)
		}
	}
}

// moves are the updates of a share that goes to and fro between two paths.
var moves = []node.Update{
	{State: share.Pinned, Path: byRelay},
	{State: share.Pinned, Path: inTheRoom}, // told
	{State: share.Pinned},                  // of no path
	{State: share.Pinned, Path: byRelay},   // the same state
	{State: share.Granted, Path: byRelay},  // the same path
	{State: share.Granted, Path: inTheRoom},
}

func TestGoingOnByAnotherPathIsToldOnceAState(t *testing.T) {
	for name, c := range map[string]struct {
		json, quiet bool
		want        string
	}{
		"in words": {want: "  It goes on over lan quic 192.168.1.7:4311.\n  It goes on over lan quic 192.168.1.7:4311.\n"},
		"quietly":  {quiet: true},
		"in JSON":  {json: true, want: `"type":"share.moved" "type":"share.moved"`},
	} {
		var out, prose bytes.Buffer
		d := &drive{a: assemble(nil, &out, &prose)}
		d.a.json, d.a.quiet = c.json, c.quiet
		for _, u := range moves {
			d.goesOn(u)
		}
		got := prose.String()
		if c.json {
			for line := range strings.Lines(out.String()) {
				if _, rest, moved := strings.Cut(line, `"type":"share.moved"`); moved && strings.Contains(rest, inTheRoom) {
					got += `"type":"share.moved" `
				}
			}
			got = strings.TrimSuffix(got, " ")
		}
		if got != c.want {
			t.Errorf("%s: told %q, want %q", name, got, c.want)
		}
	}
}
