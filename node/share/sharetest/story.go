// Package sharetest tells stories of shares and runs them: one sender and any
// number of receivers, real machines, with nothing between them but what a story
// delivers. It reads a transcript as node/share/testdata holds them, lines of
// commands up to a line of dashes, then what they lead to, and returns it with
// what they lead to now. How frames get from one device to the other is a
// parameter: the same stories run in memory and over any path.
//
//	share [LIFE]                the sender makes the share (24h)
//	turns N [WHICH]             its format sends N messages; message WHICH grants, or all (the last)
//	link R                      R has the link, and no mailbox has the offer yet
//	open R; accept R            receiver R looks; its person accepts
//	deliver R                   to R, what the sender has for it
//	deliver sender R            to the sender, what R has for it
//	hello R                     to the sender, R's handshake alone
//	boast R [LATE]              the same, and a claim that counts what the sender never wrote, or a frame behind the claim
//	keep R; replay R            R's frames of now, and once more later
//	keep sender; replay sender R
//	work SIDE; fails SIDE       the outstanding task of its format; for good
//	run                         deliver and work until nothing happens
//	advance D; wall D; reboot   time; the wall clock alone; a new boot
//	restart SIDE; copied SIDE   from what was saved; the vault was a copy
//	backup SIDE; restore SIDE   what is saved now, and its return
//	hold R; release R           the sender's answers to R are late
//	redirect R                  R's person wants it elsewhere
//	cancel [WHY]; decline R [WHY]; relinquish R
//	over SIDE                   a mailbox shows the proof, if it is out
//	forge SIDE                  a mailbox shows a proof that proves nothing
//	remaining R D               a mailbox says how long it will keep the share
//	holders                     how many have the credential
//	owed SIDE                   what it has for the other side, or for mailboxes
package sharetest

import (
	"fmt"
	"strings"
	"testing"

	"github.com/sparekey/sparekey/node/share"
	"github.com/sparekey/sparekey/noise/frame"
)

// Sender is what the sender is called in stories.
const Sender = "sender"

// A Carry brings frames from one device to the other and returns the pieces in
// which they come there. What comes must be what was sent: at least once each.
type Carry func(t testing.TB, from, to string, frames []frame.Frame) [][]frame.Frame

// InMemory is a Carry that hands frames over as they are.
func InMemory(_ testing.TB, _, _ string, frames []frame.Frame) [][]frame.Frame {
	return [][]frame.Frame{frames}
}

// A Way is how a story is run.
type Way struct {
	Carry Carry  // nil: InMemory
	Crash bool   // each side is killed and started again after every command
	Seed  uint64 // what is random is made of it, so another seed is another share; 0: 1
}

// Play runs a story and returns it with what it led to.
func Play(t testing.TB, story string, way Way) string {
	if way.Carry == nil {
		way.Carry = InMemory
	}
	w := newWorld(t, way.Carry, max(way.Seed, 1))
	var out strings.Builder
	var said strings.Builder
	w.log = func(format string, args ...any) { fmt.Fprintf(&said, format, args...) }
	flush := func() {
		if said.Len() == 0 {
			said.WriteString("nothing happens\n")
		}
		fmt.Fprintf(&out, "----\n%s\n", said.String())
		said.Reset()
	}
	pending := false
	skip := false
	for line := range strings.Lines(story) {
		line = strings.TrimRight(line, "\n")
		switch {
		case line == "----":
			skip = true
		case line == "":
			skip = false
			if pending {
				flush()
				pending = false
			}
		case skip:
		case strings.HasPrefix(line, "#"):
			out.WriteString(line + "\n")
		default:
			out.WriteString(line + "\n")
			for cmd := range strings.SplitSeq(line, ";") {
				w.command(strings.Fields(cmd))
				if way.Crash {
					w.crash()
				}
			}
			pending = true
		}
	}
	if pending {
		flush()
	}
	return out.String()
}

// command does one command of a story.
func (w *world) command(f []string) {
	do, ok := commands[f[0]]
	if !ok {
		w.t.Fatalf("no such command: %v", f)
	}
	do(w, f[1:])
}

// crash starts every side again from what it has saved. Not one whose format has
// just said that the credential isn't in its place: it would only be asked again.
func (w *world) crash() {
	if w.sender.State != "" {
		w.restart(Sender, w.saved(Sender))
	}
	for _, name := range w.sorted() {
		r := w.receivers[name]
		if t, _ := r.Task(); t.Do != share.Provision && r.State != share.Opened && r.State != share.Viewed { // nothing is saved before
			w.restart(name, w.saved(name))
		}
	}
}
