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
	"time"

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
	arg := func(i int) string {
		if i < len(f) {
			return f[i]
		}
		return ""
	}
	name := arg(1)
	switch f[0] {
	case "turns":
		fmt.Sscan(name, &w.turns)
		w.grants = arg(2)
	case "share":
		life := 24 * time.Hour
		if name != "" {
			life = w.duration(name)
		}
		w.share(life)
	case "link":
		w.open(name)
	case "open":
		w.open(name)
		w.toReceiver(name, w.forReceiver(name))
	case "accept":
		w.step(name, share.Accept{Claim: w.bytes32(), Label: name, State: nil})
	case "deliver": // to a receiver what is for it, or from it to the sender
		if name == Sender {
			w.toSender(arg(2), w.receivers[arg(2)].Outbox())
		} else {
			w.toReceiver(name, w.forReceiver(name))
		}
	case "hello":
		w.toSender(name, w.receivers[name].Outbox()[:1])
	case "boast":
		w.toSender(name, w.boast(name, arg(2) != ""))
	case "keep": // frames of a receiver (or of the sender for it) for later
		if name == Sender {
			w.old[Sender] = w.sender.Outbox()
		} else {
			w.old[name] = w.receivers[name].Outbox()
		}
	case "replay":
		if name == Sender {
			w.toReceiver(arg(2), w.old[Sender])
		} else {
			w.toSender(name, w.old[name])
		}
	case "work":
		if !w.work(name) {
			w.log("%s: nothing to do\n", name)
		}
	case "run":
		w.run()
	case "advance":
		d := w.duration(name)
		w.now.Up += d
		w.now.Wall += d
		w.wake()
	case "wall": // only the wall clock jumps
		w.now.Wall += w.duration(name)
		w.wake()
	case "reboot":
		w.now.Boot[0]++
		w.now.Up = 0
		w.wake()
	case "restart":
		w.restart(name, w.saved(name))
	case "backup":
		w.backups[name] = w.saved(name)
	case "restore":
		w.restart(name, w.backups[name])
	case "hold":
		w.held[name] = nil
	case "release":
		late := w.held[name]
		delete(w.held, name)
		for _, f := range late {
			w.answerTo(name, f)
		}
	case "cancel":
		w.stepSender(share.Cancel{Reason: strings.Join(f[1:], " ")})
	case "decline":
		w.step(name, share.Decline{Reason: strings.Join(f[2:], " ")})
	case "relinquish":
		w.step(name, share.Relinquish{})
	case "redirect":
		w.step(name, share.Redirect{State: []byte("elsewhere")})
	case "forge":
		w.event(name, share.Over{Proof: frame.Proof{H: [32]byte{1}}})
	case "over":
		w.over(name)
	case "copied":
		w.event(name, share.Copied{})
	case "fails":
		w.fails(name)
	case "remaining":
		w.step(name, share.Remaining{Left: w.duration(arg(2))})
	case "holders":
		w.log("holders: %d\n", w.holders())
	case "owed":
		w.owed(name)
	default:
		w.t.Fatalf("no such command: %v", f)
	}
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

func (w *world) duration(s string) time.Duration {
	d, err := time.ParseDuration(s)
	if err != nil {
		w.t.Fatal(err)
	}
	return d
}

func (w *world) wake() {
	if w.sender.State != "" {
		w.stepSender(share.Woken{})
	}
	for _, n := range w.sorted() {
		w.step(n, share.Woken{})
	}
}

// fails lets the outstanding task of a side fail for good.
func (w *world) fails(name string) {
	if name == Sender {
		t, _ := w.sender.Task()
		w.stepSender(share.Answered{Key: t.Key, Failed: "the issuer refuses"})
		return
	}
	switch t, _ := w.receivers[name].Task(); t.Do {
	case share.Ask:
		w.step(name, share.Answered{Key: t.Key, Failed: "no such lock"})
	case share.Look:
		w.step(name, share.Looked{Key: t.Key})
		w.fails(name)
	case share.Provision:
		w.step(name, share.Placed{Key: t.Key, Failed: "the wallet is full"})
	}
}
