package frame

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// ErrHeartbeat is returned by Reader.Read for a heartbeat.
var ErrHeartbeat = errors.New("heartbeat")

// A Reader reads the frames of a stream. It holds one frame at a time, and
// never allocates more than a frame's largest size whatever length it is told.
type Reader struct{ r io.Reader }

// NewReader returns a Reader of r.
func NewReader(r io.Reader) *Reader { return &Reader{r} }

// Read returns the next frame; ErrHeartbeat for a heartbeat; io.EOF where the
// stream ends between frames, io.ErrUnexpectedEOF where it ends within one;
// an ErrMalformed error for what is no frame, after which the stream is useless.
func (r *Reader) Read() (Frame, error) {
	var size [4]byte
	if _, err := io.ReadFull(r.r, size[:]); err != nil {
		return nil, err
	}
	n := binary.BigEndian.Uint32(size[:])
	if n == 0 {
		return nil, ErrHeartbeat
	}
	if n > MaxSize {
		return nil, fmt.Errorf("%w: a length of %d bytes", ErrMalformed, n)
	}
	b := make([]byte, n)
	if _, err := io.ReadFull(r.r, b); err != nil {
		if errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF
		}
		return nil, err
	}
	return Parse(b)
}

// ReadAll returns the frames of a stream that ends, at most limit of them.
// Heartbeats are passed over.
func (r *Reader) ReadAll(limit int) ([]Frame, error) {
	var frames []Frame
	for {
		f, err := r.Read()
		switch {
		case errors.Is(err, ErrHeartbeat):
			continue
		case errors.Is(err, io.EOF):
			return frames, nil
		case err != nil:
			return nil, err
		case len(frames) == limit:
			return nil, fmt.Errorf("%w: more than %d frames in one piece", ErrMalformed, limit)
		}
		frames = append(frames, f)
	}
}

// Append appends the frames as a stream holds them to b.
func Append(b []byte, frames ...Frame) []byte {
	for _, f := range frames {
		b = binary.BigEndian.AppendUint32(b, uint32(len(f)))
		b = append(b, f...)
	}
	return b
}

// Heartbeat is the heartbeat as a stream holds it.
func Heartbeat() []byte { return make([]byte, 4) }
