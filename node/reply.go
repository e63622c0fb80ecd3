package node

import (
	"slices"

	"github.com/sparekey/sparekey/noise/frame"
)

// telling returns the replies to an arrival that tell something. An acknowledgement
// doesn't where the same step has sealed data for its candidate: that counts as much,
// and goes at the same time. Each that comes costs the other side a save. The last
// acknowledgement says what no data does.
func telling(replies, before, after []frame.Frame) []frame.Frame {
	had, has := written(before), written(after)
	return slices.DeleteFunc(replies, func(f frame.Frame) bool {
		return f.Kind() == frame.Ack && f.Seq() != frame.LastAck && has[f.Candidate()] > had[f.Candidate()]
	})
}

// written returns behind which seq each candidate's data ends.
func written(out []frame.Frame) map[frame.Candidate]uint64 {
	ends := map[frame.Candidate]uint64{}
	for _, f := range out {
		if f.Kind() == frame.Data {
			ends[f.Candidate()] = max(ends[f.Candidate()], f.Seq()+1)
		}
	}
	return ends
}
