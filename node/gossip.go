package node

import (
	"fmt"
	"time"

	"github.com/sparekey/sparekey/discovery"
)

// gossip is what people were told of each path. A path that comes and goes, or that
// is tried again for hours, has something to report each time; people hear of changes,
// and of one that changes all the time no more than a few times a minute.
type gossip map[string]told

type told struct {
	last    string
	changes int       // since it was quiet
	at      time.Time // of the last change
}

const (
	maxChanges = 6               // of one path that are told one after the other
	calm       = time.Minute     // after so many, how long until the next is told
	quiet      = 5 * time.Minute // without a change, all is as at first
	maxGossip  = 64              // paths that are remembered
)

// news reports whether people should hear of a report, and remembers that they have.
func (g gossip) news(r discovery.Report, now time.Time) bool {
	was, known := g[r.Path]
	is := fmt.Sprint(r.State, r.Err)
	since := now.Sub(was.at)
	switch {
	case known && was.last == is, was.changes >= maxChanges && since < calm:
		return false
	case since >= quiet:
		was.changes = 0
	}
	if !known && len(g) >= maxGossip {
		clear(g)
	}
	g[r.Path] = told{is, was.changes + 1, now}
	return true
}
