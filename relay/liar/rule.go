package liar

import (
	"github.com/sparekey/sparekey/noise/frame"
	"github.com/sparekey/sparekey/relay/wire"
)

// A Rule is one lie: of which calls or frames it is told, and how often. The
// first rule that matches is the one that is followed, but for those whose turn
// hasn't come (Skip) or is over (Times).
type Rule struct {
	Method string     // of the calls; empty: any
	Place  wire.Place // of the calls; Nowhere: any
	Way    Way        // for lies about frames: those of the request, or those of the answer
	Kind   frame.Kind // for lies about frames: 0 is any

	Lane frame.Candidate // for lies about frames: whose; zero: anybody's

	Skip  int // so many matches are let through first
	Times int // so many are lied about then; 0: all

	Do Act

	Status int       // with Refuse and Flood: of the answer
	Type   wire.Type // with Refuse: of its problem; empty: an answer that is no problem of ours
	Over   *wire.Proof
	To     string        // with Redirect
	Size   int64         // with Flood, Header: bytes; 0: without end. With Truncate, Pad: bytes cut off, added
	Fill   []byte        // with Flood: what the body repeats
	Count  int           // with Repeat, Gather
	Gate   string        // with Hold, Wait, Late: which Open lets go
	Frames []frame.Frame // with Insert; with Replace the first
}

// A Way says in which direction a frame goes.
type Way byte

// The two ways.
const (
	Down Way = iota // from the relay to a device, in an answer
	Up              // from a device to the relay, in a request
)

// An Act is what a lie consists of.
type Act byte

// Lies about whole calls: the relay isn't asked.
const (
	Refuse   Act = iota + 1 // answer with Status and Type
	Redirect                // send the device elsewhere, to To
	Silence                 // take the call and never answer
	Flood                   // answer with a body of Size bytes, of Fill again and again
	Header                  // answer with a header of Size bytes
	Wait                    // hold the call back until Gate is opened, then pass it on
	Late                    // pass it on, and hold the answer back until Gate is opened
)

// Lies about single frames.
const (
	Hold     Act = iota + 16 // keep it, and what follows, until Gate is opened
	Gather                   // keep it, and what follows, until Count candidates have come: then all in one piece
	Drop                     // pass it over
	Repeat                   // give it Count times
	Swap                     // change one byte behind the header
	SwapHead                 // change one byte of the header
	Truncate                 // cut Size bytes off its end
	Pad                      // add Size bytes to its end
	Reorder                  // give it after the next one of the same piece
	Split                    // end the piece behind it
	Insert                   // give Frames before it
	Replace                  // give what is sealed in Frames[0] under its header
)

// ofFrames reports whether a lie is one about single frames.
func (a Act) ofFrames() bool { return a >= Hold }

func (r Rule) fits(method string, place wire.Place) bool {
	return (r.Method == "" || r.Method == method) && (r.Place == wire.Nowhere || r.Place == place)
}

func (r Rule) fitsFrame(f frame.Frame) bool {
	return (r.Kind == 0 || r.Kind == f.Kind()) && (r.Lane == frame.Candidate{} || r.Lane == f.Candidate())
}

// A told rule counts how often it has matched.
type told struct {
	Rule
	matched int
}

// turn counts a match, and reports whether it is one to lie about.
func (t *told) turn() bool {
	t.matched++
	n := t.matched - t.Skip
	return n > 0 && (t.Times == 0 || n <= t.Times)
}
