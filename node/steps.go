package node

import (
	"slices"

	"github.com/sparekey/sparekey/discovery"
	"github.com/sparekey/sparekey/node/share"
)

// A Step is a change of a share's state that something caused which came by a path:
// at a sender the claim (pinned) and the receiver's last word (done), at a receiver
// the offer (viewed), the grant (provisioning) and the sender's last word (done).
// By which path what this device sends arrives, only the other one knows.
type Step struct {
	State share.State `cbor:"1,keyasint"`
	Path  string      `cbor:"2,keyasint"` // as the path describes itself
}

// steps are the changes of state that came by a path; none where there is no path.
func steps(eff share.Effects, from discovery.Path) (came []Step) {
	for _, n := range eff.Tell {
		if n.Kind == share.NoticeChanged && from != nil {
			came = append(came, Step{n.State, from.String()})
		}
	}
	return came
}

// carried notes a path and what came by it. Of a state that the share has come to
// twice, the last time counts: so there are never more steps than states.
func (r *Record) carried(path string, came []Step) {
	for _, s := range came {
		kept := slices.DeleteFunc(slices.Clone(r.Steps), func(old Step) bool { return old.State == s.State })
		r.Steps = append(kept, s)
	}
	if !slices.Contains(r.Paths, path) && len(r.Paths) < maxPaths {
		r.Paths = append(slices.Clone(r.Paths), path)
	}
}

// maxPaths is how many names of paths a record keeps.
const maxPaths = 8
