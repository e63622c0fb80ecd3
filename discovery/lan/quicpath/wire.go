package quicpath

import (
	"errors"
	"fmt"
	"io"

	"github.com/sparekey/sparekey/noise/frame"
)

// errBroken is wrapped by errors about a peer that doesn't keep to the format.
var errBroken = errors.New("the other end doesn't keep to the protocol")

// An answer tells whether a piece was taken.
const (
	answerNo  = 0
	answerYes = 1
)

// appendPiece appends a piece as its stream holds it.
func appendPiece(b []byte, frames ...frame.Frame) []byte {
	return append(frame.Append(b, frames...), frame.Heartbeat()...)
}

// readPiece reads a piece up to its end, and not a byte further. Errors of r are
// returned as they are, but for an end within the piece.
func readPiece(r io.Reader) (frames []frame.Frame, err error) {
	in := frame.NewReader(r)
	for {
		f, err := in.Read()
		switch {
		case errors.Is(err, frame.ErrHeartbeat):
			return frames, nil
		case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
			return nil, fmt.Errorf("%w: a piece stops in its middle", errBroken)
		case errors.Is(err, frame.ErrMalformed):
			return nil, fmt.Errorf("%w: %w", errBroken, err)
		case err != nil:
			return nil, err
		case len(frames) == maxFrames:
			return nil, fmt.Errorf("%w: more than %d frames in a piece", errBroken, maxFrames)
		}
		frames = append(frames, f)
	}
}

// readAnswer reads the answer to a piece.
func readAnswer(r io.Reader) (taken bool, err error) {
	var b [1]byte
	if _, err := io.ReadFull(r, b[:]); err != nil {
		return false, err
	}
	if b[0] != answerNo && b[0] != answerYes {
		return false, fmt.Errorf("%w: an answer of %d", errBroken, b[0])
	}
	return b[0] == answerYes, nil
}

// fitting returns the frames from the front that fit a first flight.
func fitting(frames []frame.Frame) []frame.Frame {
	size := 0
	for i, f := range frames {
		if size += 4 + len(f); size > maxFirst || i == maxFrames {
			return frames[:i]
		}
	}
	return frames
}
