package frame_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"testing"
	"testing/iotest"

	"pgregory.net/rapid"

	"github.com/sparekey/sparekey/noise/frame"
)

func data(seq uint64) frame.Frame {
	return frame.New(frame.Data, someone, seq, make([]byte, frame.SealSize))
}

func TestWhatIsWrittenIsReadHoweverItIsCut(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		frames := rapid.SliceOfN(rapid.Custom(aFrame), 0, 8).Draw(r, "frames")
		var stream []byte
		beats := 0
		for _, f := range frames {
			if rapid.Bool().Draw(r, "heartbeat") {
				stream = append(stream, frame.Heartbeat()...)
				beats++
			}
			stream = frame.Append(stream, f)
		}
		var source io.Reader = bytes.NewReader(stream)
		if rapid.Bool().Draw(r, "byte by byte") {
			source = iotest.OneByteReader(source)
		}
		reader := frame.NewReader(source)
		for len(frames) > 0 || beats > 0 {
			f, err := reader.Read()
			switch {
			case errors.Is(err, frame.ErrHeartbeat):
				beats--
			case err != nil:
				r.Fatalf("a whole stream is read: %v", err)
			case !bytes.Equal(f, frames[0]):
				r.Fatal("frames come in order, as they were")
			default:
				frames = frames[1:]
			}
		}
		if _, err := reader.Read(); err != io.EOF {
			r.Fatalf("a stream that ends between frames has ended well: %v", err)
		}
	})
}

func TestAStreamThatEndsWithinAFrameIsCut(t *testing.T) {
	stream := frame.Append(nil, data(1))
	for n := 1; n < len(stream); n++ {
		if _, err := frame.NewReader(bytes.NewReader(stream[:n])).Read(); err != io.ErrUnexpectedEOF {
			t.Errorf("cut after %d bytes: %v", n, err)
		}
	}
	broken := errors.New("broken")
	source := io.MultiReader(bytes.NewReader(stream[:10]), iotest.ErrReader(broken))
	if _, err := frame.NewReader(source).Read(); !errors.Is(err, broken) {
		t.Errorf("a carrier's own error is told: %v", err)
	}
}

func TestAppendedFramesAreOneStream(t *testing.T) {
	one := frame.Append(frame.Append([]byte("before"), data(1)), data(2))
	both := frame.Append([]byte("before"), data(1), data(2))
	if !bytes.Equal(one, both) || !bytes.HasPrefix(one, []byte("before")) {
		t.Error("Append appends")
	}
	if got := binary.BigEndian.Uint32(both[6:]); got != uint32(len(data(1))) {
		t.Errorf("a length of 4 bytes, big endian, stands before each frame: %d", got)
	}
	if !bytes.Equal(frame.Heartbeat(), []byte{0, 0, 0, 0}) {
		t.Error("a heartbeat is a length of 0")
	}
}

func TestALengthBeyondAnyFrameIsRefusedUnread(t *testing.T) {
	for _, n := range []uint32{frame.MaxSize + 1, 1 << 20, 1<<32 - 1} {
		source := io.MultiReader(bytes.NewReader(binary.BigEndian.AppendUint32(nil, n)), iotest.ErrReader(errors.New("read on")))
		if _, err := frame.NewReader(source).Read(); !errors.Is(err, frame.ErrMalformed) {
			t.Errorf("a length of %d is refused before anything behind it is read: %v", n, err)
		}
	}
	largest := frame.New(frame.Data, someone, 0, make([]byte, frame.MaxSize-frame.HeaderSize))
	if f, err := frame.NewReader(bytes.NewReader(frame.Append(nil, largest))).Read(); err != nil || len(f) != frame.MaxSize {
		t.Errorf("the largest frame is read: %v", err)
	}
}

func TestWhatIsNoFrameIsRefused(t *testing.T) {
	for _, f := range []frame.Frame{{1}, frame.New(0, someone, 0, nil), frame.New(frame.Data, nobody, 0, make([]byte, 40))} {
		if _, err := frame.NewReader(bytes.NewReader(frame.Append(nil, f))).Read(); !errors.Is(err, frame.ErrMalformed) {
			t.Errorf("%x in a stream: %v", []byte(f), err)
		}
	}
}

func TestReadAllTakesAWholeBodyUpToItsLimit(t *testing.T) {
	body := frame.Append(frame.Heartbeat(), data(1))
	body = append(body, frame.Heartbeat()...)
	body = frame.Append(body, data(2))
	for limit, good := range []bool{false, false, true, true} {
		frames, err := frame.NewReader(bytes.NewReader(body)).ReadAll(limit)
		if good && (err != nil || len(frames) != 2 || frames[1].Seq() != 2) {
			t.Errorf("two frames within a limit of %d: %v", limit, err)
		}
		if !good && (!errors.Is(err, frame.ErrMalformed) || frames != nil) {
			t.Errorf("two frames beyond a limit of %d: %v", limit, err)
		}
	}
	if frames, err := frame.NewReader(bytes.NewReader(nil)).ReadAll(3); err != nil || frames != nil {
		t.Errorf("an empty body holds no frame: %v", err)
	}
	if _, err := frame.NewReader(bytes.NewReader(body[:len(body)-1])).ReadAll(3); err != io.ErrUnexpectedEOF {
		t.Errorf("a cut body is not taken for a whole one: %v", err)
	}
	if _, err := frame.NewReader(bytes.NewReader(append(body, 0, 0, 0, 1, 9))).ReadAll(3); !errors.Is(err, frame.ErrMalformed) {
		t.Errorf("a body that ends in no frame: %v", err)
	}
}

// FuzzStream reads any bytes as a stream: no panic, and what was read is what
// writing it again gives.
func FuzzStream(f *testing.F) {
	f.Add([]byte(nil))
	f.Add(frame.Append(frame.Heartbeat(), data(1), frame.Shut(someone)))
	f.Add([]byte{0xff, 0xff, 0xff, 0xff})
	f.Add([]byte{0, 0, 0, 17, 5})
	f.Fuzz(func(t *testing.T, b []byte) {
		reader := frame.NewReader(bytes.NewReader(b))
		var again []byte
		for {
			f, err := reader.Read()
			if errors.Is(err, frame.ErrHeartbeat) {
				again = append(again, frame.Heartbeat()...)
				continue
			}
			if err != nil {
				if err == io.EOF && len(again) != len(b) {
					t.Fatal("a stream that ended well was read to its end")
				}
				break
			}
			again = frame.Append(again, f)
		}
		if !bytes.HasPrefix(b, again) {
			t.Fatal("a stream has one reading")
		}
	})
}
