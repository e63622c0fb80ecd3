package share_test

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sparekey/sparekey/node/share"
)

var update = flag.Bool("update", false, "write what the stories print into testdata")

// TestStories runs the transcripts in testdata: lines of commands up to a line
// of dashes, then what they lead to, as one story after the other.
func TestStories(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatal("there are no stories in testdata", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			b, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			got := play(t, string(b))
			if *update {
				if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			} else if got != string(b) {
				t.Errorf("%s goes another way now; -update writes it:\n%s", file, got)
			}
		})
	}
}

// play runs a story and returns it with what it led to.
func play(t *testing.T, story string) string {
	w := newWorld(t, 1)
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
	case "share":
		life := 24 * time.Hour
		if name != "" {
			life = w.duration(name)
		}
		w.share(life)
	case "open":
		w.open(name)
		w.toReceiver(name, w.forReceiver(name))
	case "accept":
		w.step(name, share.Accept{Claim: w.bytes32(), Label: name, State: nil})
	case "deliver": // to a receiver what is for it, or from it to the sender
		if name == "sender" {
			w.toSender(w.receivers[arg(2)].Outbox())
		} else {
			w.toReceiver(name, w.forReceiver(name))
		}
	case "keep": // frames of a receiver (or of the sender for it) for later
		if name == "sender" {
			w.old["sender"] = w.sender.Outbox()
		} else {
			w.old[name] = w.receivers[name].Outbox()
		}
	case "replay":
		if name == "sender" {
			w.toReceiver(arg(2), w.old["sender"])
		} else {
			w.toSender(w.old[name])
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
		w.restart(name)
	case "cancel":
		w.stepSender(share.Cancel{Reason: strings.Join(f[1:], " ")})
	case "decline":
		w.step(name, share.Decline{Reason: strings.Join(f[2:], " ")})
	case "relinquish":
		w.step(name, share.Relinquish{})
	case "over":
		w.over(name)
	case "copied":
		if name == "sender" {
			w.stepSender(share.Copied{})
		} else {
			w.step(name, share.Copied{})
		}
	case "fails":
		w.fails(name)
	case "remaining":
		w.step(name, share.Remaining{Left: w.duration(arg(2))})
	case "holders":
		w.log("holders: %d\n", w.holders())
	default:
		w.t.Fatalf("no such command: %v", f)
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
	if name == "sender" {
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
