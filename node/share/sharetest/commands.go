package sharetest

import (
	"cmp"
	"fmt"
	"strings"
	"time"

	"github.com/sparekey/sparekey/node/share"
	"github.com/sparekey/sparekey/noise/frame"
)

// Args are the words behind a command's own.
type args []string

// at returns one of them, "" where there is none.
func (a args) at(i int) string {
	if i < len(a) {
		return a[i]
	}
	return ""
}

// from returns those from one on, as they stand in the story.
func (a args) from(i int) string { return strings.Join(a[min(i, len(a)):], " ") }

// commands is what the words of a story do, in the order of the package's comment.
var commands = map[string]func(*world, args){
	"share": func(w *world, a args) { w.share(w.duration(cmp.Or(a.at(0), "24h"))) },
	"turns": func(w *world, a args) {
		fmt.Sscan(a.at(0), &w.turns)
		w.grants = a.at(1)
	},
	"link": func(w *world, a args) { w.open(a.at(0)) },
	"open": func(w *world, a args) {
		w.open(a.at(0))
		w.toReceiver(a.at(0), w.forReceiver(a.at(0)))
	},
	"accept": func(w *world, a args) { w.step(a.at(0), share.Accept{Claim: w.bytes32(), Label: a.at(0)}) },
	"deliver": func(w *world, a args) {
		if a.at(0) == Sender {
			w.toSender(a.at(1), w.receivers[a.at(1)].Outbox())
		} else {
			w.toReceiver(a.at(0), w.forReceiver(a.at(0)))
		}
	},
	"hello": func(w *world, a args) { w.toSender(a.at(0), w.receivers[a.at(0)].Outbox()[:1]) },
	"boast": func(w *world, a args) { w.toSender(a.at(0), w.boast(a.at(0), a.at(1) != "")) },
	"keep":  func(w *world, a args) { w.old[a.at(0)] = w.outbox(a.at(0)) },
	"replay": func(w *world, a args) {
		if a.at(0) == Sender {
			w.toReceiver(a.at(1), w.old[Sender])
		} else {
			w.toSender(a.at(0), w.old[a.at(0)])
		}
	},
	"work": func(w *world, a args) {
		if !w.work(a.at(0)) {
			w.log("%s: nothing to do\n", a.at(0))
		}
	},
	"fails": func(w *world, a args) { w.fails(a.at(0)) },
	"run":   func(w *world, _ args) { w.run() },
	"advance": func(w *world, a args) {
		w.now.Up += w.duration(a.at(0))
		w.now.Wall += w.duration(a.at(0))
		w.wake()
	},
	"wall": func(w *world, a args) {
		w.now.Wall += w.duration(a.at(0))
		w.wake()
	},
	"reboot": func(w *world, _ args) {
		w.now.Boot[0]++
		w.now.Up = 0
		w.wake()
	},
	"restart": func(w *world, a args) { w.restart(a.at(0), w.saved(a.at(0))) },
	"copied":  func(w *world, a args) { w.event(a.at(0), share.Copied{}) },
	"backup":  func(w *world, a args) { w.backups[a.at(0)] = w.saved(a.at(0)) },
	"restore": func(w *world, a args) { w.restart(a.at(0), w.backups[a.at(0)]) },
	"hold":    func(w *world, a args) { w.held[a.at(0)] = nil },
	"release": func(w *world, a args) {
		late := w.held[a.at(0)]
		delete(w.held, a.at(0))
		for _, f := range late {
			w.answerTo(a.at(0), f)
		}
	},
	"redirect":   func(w *world, a args) { w.step(a.at(0), share.Redirect{State: []byte("elsewhere")}) },
	"cancel":     func(w *world, a args) { w.stepSender(share.Cancel{Reason: a.from(0)}) },
	"decline":    func(w *world, a args) { w.step(a.at(0), share.Decline{Reason: a.from(1)}) },
	"relinquish": func(w *world, a args) { w.step(a.at(0), share.Relinquish{}) },
	"over":       func(w *world, a args) { w.over(a.at(0)) },
	"forge":      func(w *world, a args) { w.event(a.at(0), share.Over{Proof: frame.Proof{H: [32]byte{1}}}) },
	"remaining":  func(w *world, a args) { w.step(a.at(0), share.Remaining{Left: w.duration(a.at(1))}) },
	"holders":    func(w *world, _ args) { w.log("holders: %d\n", w.holders()) },
	"owed":       func(w *world, a args) { w.owed(a.at(0)) },
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
