package main

import (
	"fmt"
	"slices"
	"strings"

	"github.com/sparekey/sparekey/discovery"
	"github.com/sparekey/sparekey/node"
	"github.com/sparekey/sparekey/node/credential"
	"github.com/sparekey/sparekey/node/share"
)

// A step is one of a share's steps in --json: what came, and by which path.
type step struct {
	State share.State `json:"state"`
	Path  string      `json:"path"`
}

func stepsOf(r node.Record) (all []step) {
	for _, s := range r.Steps {
		all = append(all, step(s))
	}
	return all
}

// Words for what came with a state.
var (
	senderSteps   = map[share.State]string{share.Pinned: "claimed", share.Offered: "handed back", share.Done: "confirmed"}
	receiverSteps = map[share.State]string{share.Viewed: "seen", share.Provisioning: "granted", share.Done: "confirmed"}
)

// carried tells people what came by which path.
func carried(r node.Record) string {
	words := senderSteps
	if r.Role == discovery.Receiver {
		words = receiverSteps
	}
	var parts []string
	rest := slices.Clone(r.Paths)
	for _, s := range r.Steps {
		word := words[s.State]
		if word == "" {
			word = string(s.State)
		}
		parts = append(parts, word+" over "+credential.Display(s.Path, 80))
		rest = slices.DeleteFunc(rest, func(p string) bool { return p == s.Path })
	}
	for _, p := range rest {
		parts = append(parts, "more over "+credential.Display(p, 80))
	}
	return strings.Join(parts, ", ")
}

// lastPath is the path of a share's last step.
func lastPath(r node.Record) string {
	switch {
	case len(r.Steps) > 0:
		return r.Steps[len(r.Steps)-1].Path
	case len(r.Paths) > 0:
		return r.Paths[len(r.Paths)-1]
	}
	return ""
}

// goesOn tells that a share goes on by another path than before: on a terminal in one
// line that is written over, elsewhere once for each state of the share.
func (d *drive) goesOn(u node.Update) {
	if u.Path == "" || u.Path == d.via {
		return
	}
	first := d.via == ""
	d.via = u.Path
	if first {
		return
	}
	fresh := u.State != d.moved
	d.moved = u.State
	d.a.progress(fmt.Sprintf("  It goes on over %s.", credential.Display(u.Path, 80)), fresh)
	if fresh {
		d.a.emit(event{Type: "share.moved", ID: d.id, State: string(u.State), Path: u.Path})
	}
}
