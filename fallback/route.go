package fallback

import (
	"maps"
	"time"
)

// routes remembers, by their description, ways on which direct paths came and went.
type routes map[string]route

type route struct {
	shun  time.Duration // after the last flap
	until time.Time     // shunned so long
}

// ended notes that a path has ended by itself.
func (rs routes) ended(name string, age time.Duration, now time.Time) {
	if age >= steady {
		delete(rs, name)
		return
	}
	way, known := rs[name]
	if !known && len(rs) == maxRoutes {
		maps.DeleteFunc(rs, func(_ string, other route) bool { return !now.Before(other.until) })
		if len(rs) == maxRoutes {
			clear(rs)
		}
	}
	if known { // once is no flapping: of two connections made at once, one is closed
		way.shun = min(max(2*way.shun, firstShun), lastShun)
		way.until = now.Add(way.shun)
	}
	rs[name] = way
}

// shunned reports until when a way is shunned.
func (rs routes) shunned(name string) time.Time { return rs[name].until }
