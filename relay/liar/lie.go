package liar

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net/http"
	"strconv"
	"strings"

	"github.com/sparekey/sparekey/noise/frame"
	"github.com/sparekey/sparekey/relay/wire"
)

// answer answers a call without the relay.
func (p *Proxy) answer(ctx context.Context, w http.ResponseWriter, r Rule) {
	switch r.Do {
	case Refuse:
		if r.Type == "" {
			w.WriteHeader(r.Status)
			return
		}
		problem := wire.NewProblem(r.Type, "")
		problem.Over = r.Over
		w.Header().Set("Content-Type", wire.TypeProblem)
		w.WriteHeader(problem.Status)
		w.Write(problem.Body())
	case Redirect:
		w.Header().Set("Location", r.To)
		w.WriteHeader(http.StatusTemporaryRedirect)
	case Silence:
		<-ctx.Done()
	case Header:
		w.Header().Set("X-Long", strings.Repeat("x", int(r.Size)))
		w.WriteHeader(http.StatusOK)
	case Flood:
		p.flood(ctx, w, r)
	}
}

func (p *Proxy) flood(ctx context.Context, w http.ResponseWriter, r Rule) {
	if r.Size > 0 {
		w.Header().Set("Content-Length", strconv.FormatInt(r.Size, 10))
	}
	w.WriteHeader(r.Status)
	piece := bytes.Repeat(r.Fill, 1+(1<<16)/len(r.Fill))
	for sent := int64(0); ctx.Err() == nil && (r.Size == 0 || sent < r.Size); {
		b := piece
		if r.Size > 0 {
			b = b[:min(int64(len(b)), r.Size-sent)]
		}
		n, err := w.Write(b)
		if err != nil {
			return
		}
		sent += int64(n)
	}
}

// lieUp returns the body of a request with lies about its frames.
func (p *Proxy) lieUp(ctx context.Context, c Call, place wire.Place) ([]byte, error) {
	frames := c.Frames()
	if len(frames) == 0 {
		return c.Body, nil
	}
	var out bytes.Buffer
	m := &mouth{p: p, way: Up, method: c.Method, place: place, w: &out}
	for _, f := range frames {
		if err := m.frame(ctx, f); err != nil {
			return nil, err
		}
	}
	return out.Bytes(), m.flush()
}

// lieDown gives an answer's stream of frames, with lies about them.
func (p *Proxy) lieDown(ctx context.Context, w io.Writer, flush func() error, body io.Reader, c Call, place wire.Place) {
	m := &mouth{p: p, way: Down, method: c.Method, place: place, w: w}
	in := frame.NewReader(body)
	for {
		f, err := in.Read()
		switch {
		case errors.Is(err, frame.ErrHeartbeat):
			err = m.heartbeat()
		case err == nil:
			err = m.frame(ctx, f)
		}
		if err != nil {
			m.flush()
			return
		}
		if flush() != nil {
			return
		}
	}
}

// A mouth is one stream of frames on its way.
type mouth struct {
	p      *Proxy
	way    Way
	method string
	place  wire.Place
	w      io.Writer
	later  [][]byte // reordered: to be given after the next one

	gather     int // so many candidates are waited for
	candidates map[frame.Candidate]bool
	kept       [][]byte
}

func (m *mouth) frame(ctx context.Context, f frame.Frame) error {
	rule, lies := m.p.pick(func(r Rule) bool {
		return r.Do.ofFrames() && r.Way == m.way && r.fits(m.method, m.place) && r.fitsFrame(f)
	})
	if !lies {
		return m.give(f)
	}
	return m.tell(ctx, rule, f)
}

// tell tells a lie about a frame.
func (m *mouth) tell(ctx context.Context, rule Rule, f frame.Frame) error {
	switch rule.Do {
	case Hold:
		if !m.p.wait(ctx, rule.Gate) {
			return context.Canceled
		}
	case Gather:
		return m.collect(rule.Count, f)
	case Drop:
		return nil
	case Repeat:
		for range rule.Count - 1 {
			if err := m.give(f); err != nil {
				return err
			}
		}
	case Swap:
		return m.give(m.p.swapped(f, frame.HeaderSize, len(f)))
	case SwapHead:
		return m.give(m.p.swapped(f, 0, frame.HeaderSize))
	case Truncate:
		return m.give(f[:max(0, len(f)-int(rule.Size))])
	case Pad:
		return m.give(append(bytes.Clone(f), make([]byte, rule.Size)...))
	case Reorder:
		m.later = append(m.later, f)
		return nil
	case Split:
		return errors.Join(m.give(f), m.heartbeat())
	case Insert:
		for _, other := range rule.Frames {
			if err := m.give(other); err != nil {
				return err
			}
		}
	case Replace:
		return m.give(frame.New(f.Kind(), f.Candidate(), f.Seq(), rule.Frames[0].Sealed()))
	}
	return m.give(f)
}

// collect keeps a frame until enough candidates have come.
func (m *mouth) collect(count int, f frame.Frame) error {
	if m.candidates == nil {
		m.candidates = map[frame.Candidate]bool{}
	}
	m.candidates[f.Candidate()] = true
	m.kept = append(m.kept, f)
	m.gather = count
	return nil
}

// gathering reports whether the stream still waits for candidates.
func (m *mouth) gathering() bool { return len(m.candidates) < m.gather }

// give gives a frame, and those that were to come after it.
func (m *mouth) give(b []byte) error {
	all := append([][]byte{b}, m.later...)
	m.later = nil
	if m.gathering() {
		m.kept = append(m.kept, all...)
		return nil
	}
	for _, b := range all {
		if _, err := m.w.Write(append(binary.BigEndian.AppendUint32(nil, uint32(len(b))), b...)); err != nil {
			return err
		}
	}
	return nil
}

// flush gives what is left; what is gathered is given once it is complete, at
// the end of its piece.
func (m *mouth) flush() error {
	if m.gathering() {
		return nil
	}
	all := append(m.kept, m.later...)
	m.kept, m.later = nil, nil
	for _, b := range all {
		if err := m.give(b); err != nil {
			return err
		}
	}
	return nil
}

func (m *mouth) heartbeat() error {
	if err := m.flush(); err != nil || m.gathering() {
		return err
	}
	_, err := m.w.Write(frame.Heartbeat())
	return err
}

// swapped returns the bytes with one of them, from from to before to, changed.
func (p *Proxy) swapped(b []byte, from, to int) []byte {
	p.mu.Lock()
	defer p.mu.Unlock()
	b = bytes.Clone(b)
	b[from+p.rnd.IntN(to-from)] ^= 1 << p.rnd.IntN(8)
	return b
}
