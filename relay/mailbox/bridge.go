package mailbox

import (
	"context"
	"encoding/binary"
	"errors"
	"math/rand/v2"

	"github.com/sparekey/sparekey/noise/frame"
	"github.com/sparekey/sparekey/relay/wire"
)

// A lane's log has no gaps, and a share's may here: what went by a direct path and
// was acknowledged is sent no more. In the place of such frames go bridges: data that
// opens for nobody. Who reads them has read what they stand for.

// follows reports whether a frame follows what this path has written: then a gap
// isn't one of ours, for the lane was opened anew and has lost what wasn't read.
func (p *path) follows(f frame.Frame) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	next, wrote := p.next[f.Candidate()]
	return wrote && next == f.Seq()
}

// wrote notes what the relay has taken.
func (p *path) wrote(group []frame.Frame) {
	last := group[len(group)-1]
	p.mu.Lock()
	defer p.mu.Unlock()
	p.next[last.Candidate()] = last.Seq() + 1
}

// bridge fills a lane's log up to a frame, which is then the next one. It fills
// nothing that stands: where there is no gap, the relay's conflict stays.
func (p *path) bridge(ctx context.Context, to frame.Frame) error {
	have, err := p.written(ctx, to)
	if err != nil {
		return err
	}
	for have < to.Seq() {
		var fill []frame.Frame
		for ; have < to.Seq() && len(fill) < wire.MaxFrames; have++ {
			fill = append(fill, plank(to.Candidate(), have))
		}
		if err := p.put(ctx, fill); err != nil {
			return err
		}
	}
	return nil
}

// written returns how many frames this side's log of a lane has.
func (p *path) written(ctx context.Context, f frame.Frame) (n uint64, err error) {
	begin := uint64(0)
	c := p.entry(wire.Log, f)
	c.method, c.query = "GET", wire.Query{From: &begin}
	s, err := p.t.stream(ctx, c)
	if err != nil {
		return 0, err
	}
	defer s.close()
	for {
		switch _, err := s.read(); {
		case err == nil:
			n++
		case errors.Is(err, frame.ErrHeartbeat), errors.Is(err, errEnd):
			return n, nil
		default:
			return 0, err
		}
	}
}

// plankSize is the sealed part of the smallest frame there is (noise/PROTOCOL.md): a
// bridge looks like any short word.
const plankSize = frame.SealSize + 256

// plank returns a frame that opens for nobody.
func plank(c frame.Candidate, seq uint64) frame.Frame {
	var sealed [plankSize]byte
	for i := 0; i < plankSize; i += 8 {
		binary.LittleEndian.PutUint64(sealed[i:], rand.Uint64())
	}
	return frame.New(frame.Data, c, seq, sealed[:])
}
