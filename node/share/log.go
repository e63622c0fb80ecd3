package share

import (
	"io"
	"maps"
	"slices"

	"github.com/sparekey/sparekey/noise"
	"github.com/sparekey/sparekey/noise/frame"
)

// A log is the two logs of one candidate as this device knows them: what it
// wrote and the other hasn't acknowledged, and how far it has read.
type log struct {
	Session noise.Session `cbor:"1,keyasint"`
	Next    uint64        `cbor:"2,keyasint"` // seq of the next frame I write
	Acked   uint64        `cbor:"3,keyasint"` // the other has all of mine below this
	Out     []frame.Frame `cbor:"4,keyasint"` // mine from Acked on
	Got     uint64        `cbor:"5,keyasint"` // I have read all of the other's below this

	// Once the share has ended, in the place of the keys: see last.go.
	Last    frame.Frame `cbor:"6,keyasint,omitempty"` // what this side says to whatever still comes
	Awaited [][32]byte  `cbor:"7,keyasint,omitempty"` // SHA-256 of each frame by which the other side needs no more
	Told    bool        `cbor:"8,keyasint,omitempty"` // one of them has come

	// early holds bodies that came before their turn. It isn't saved: what has
	// not been acknowledged comes again.
	early map[uint64][]byte

	// What a sender knows of a candidate that hasn't claimed. It isn't saved
	// either: a candidate is read anew after a restart.
	since Time // when its handshake came
	freed bool // it has been waited for in vain since
	ahead bool // it counts frames that were never written
}

const maxEarly = 64

func (l *log) clone() *log {
	if l == nil {
		return nil
	}
	c := *l
	c.Out, c.early = slices.Clone(l.Out), maps.Clone(l.early)
	return &c
}

// write seals a body as my next frame.
func (l *log) write(rnd io.Reader, b body) error {
	f, err := l.Session.Seal(rnd, frame.Data, l.Next, l.Got, encode(b))
	if err != nil {
		return err
	}
	l.Out = append(l.Out, f)
	l.Next++
	return nil
}

// ack is a frame that tells how far I have read.
func (l *log) ack(rnd io.Reader) (frame.Frame, error) {
	return l.Session.Seal(rnd, frame.Ack, l.Got, l.Got, nil)
}

// A reading is what became of a frame of the other's log.
type reading struct {
	forged   bool // it didn't authenticate
	ahead    bool // it acknowledges what I never wrote: I am a restored backup
	progress bool // something changed that has to be saved
	again    bool // I had it already: the other may want to know
}

// read takes a data or ack frame of the other side. What has come in turn is
// then handed out by take.
func (l *log) read(f frame.Frame) reading {
	acked, plain, err := l.Session.Open(f)
	if err != nil && f.Kind() == frame.Data && f.Seq() < l.Got {
		return reading{} // a mailbox's bridge: what it stands for was read
	}
	if err != nil || f.Kind() != frame.Data && f.Kind() != frame.Ack {
		return reading{forged: true}
	}
	if f.Kind() == frame.Ack && acked != f.Seq() {
		return reading{forged: true}
	}
	if f.Kind() == frame.Ack && f.Seq() == frame.LastAck {
		return reading{} // it has ended, and why comes as data
	}
	if acked > l.Next {
		return reading{ahead: true}
	}
	r := reading{progress: l.retire(acked)}
	if f.Kind() == frame.Ack {
		return r
	}
	switch seq := f.Seq(); {
	case seq < l.Got:
		r.again = true
	case seq-l.Got < maxEarly:
		if l.early == nil {
			l.early = map[uint64][]byte{}
		}
		l.early[seq] = plain
	}
	return r
}

// retire forgets what the other has acknowledged.
func (l *log) retire(acked uint64) bool {
	if acked <= l.Acked {
		return false
	}
	l.Out = slices.DeleteFunc(l.Out, func(f frame.Frame) bool { return f.Seq() < acked && f.Kind() == frame.Data })
	l.Acked = acked
	return true
}

// peek returns the bodies that can be taken now, without taking them.
func (l *log) peek() []body {
	var out []body
	for seq := l.Got; ; seq++ {
		plain, ok := l.early[seq]
		if !ok {
			return out
		}
		b, _ := decodeBody(plain) // the zero body is a word unknown
		out = append(out, b)
	}
}

// take returns the next body in turn.
func (l *log) take() (body, bool) {
	plain, ok := l.early[l.Got]
	if !ok {
		return body{}, false
	}
	delete(l.early, l.Got)
	l.Got++
	b, _ := decodeBody(plain)
	return b, true
}
