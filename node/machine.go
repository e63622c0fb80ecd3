package node

import (
	"io"
	"time"

	"github.com/sparekey/sparekey/noise/frame"

	"github.com/sparekey/sparekey/node/share"
)

// A machine is either side's state machine, as the loop drives it.
type machine interface {
	step(now share.Time, rnd io.Reader, e share.Event) (machine, share.Effects)
	state() (s share.State, reason, label string)
	left(now share.Time) time.Duration
	outbox() []frame.Frame
	wants() wanted
	decision() share.Decision
	told() bool    // the share has ended, and the other side has shown since that it needs nothing more
	answers() bool // it has ended, and the other side may wait for the answer to what it says
	task() (share.Task, bool)
	forget() machine
	marshal() []byte
}

type senderMachine struct{ share.Sender }

func (m senderMachine) step(now share.Time, rnd io.Reader, e share.Event) (machine, share.Effects) {
	next, eff := m.Sender.Step(now, rnd, e)
	return senderMachine{next}, eff
}
func (m senderMachine) state() (share.State, string, string) {
	return m.State, m.Reason, m.Label()
}
func (m senderMachine) left(now share.Time) time.Duration { return m.Left(now) }
func (m senderMachine) outbox() []frame.Frame             { return m.Outbox() }
func (m senderMachine) wants() wanted                     { return unacknowledged(m.Outbox()) }
func (m senderMachine) decision() share.Decision          { return m.Decision() }
func (m senderMachine) told() bool                        { return m.Told() }
func (m senderMachine) answers() bool                     { return false }
func (m senderMachine) task() (share.Task, bool)          { return m.Task() }
func (m senderMachine) forget() machine                   { return senderMachine{m.Forget()} }
func (m senderMachine) marshal() []byte                   { return m.Marshal() }

type receiverMachine struct{ share.Receiver }

func (m receiverMachine) step(now share.Time, rnd io.Reader, e share.Event) (machine, share.Effects) {
	next, eff := m.Receiver.Step(now, rnd, e)
	return receiverMachine{next}, eff
}
func (m receiverMachine) state() (share.State, string, string) {
	return m.State, m.Reason, m.Label
}
func (m receiverMachine) left(now share.Time) time.Duration { return m.Left(now) }
func (m receiverMachine) outbox() []frame.Frame             { return m.Outbox() }
func (m receiverMachine) wants() wanted {
	if m.State == share.Opened {
		return wanted{kind: frame.Offer}
	}
	return unacknowledged(m.Outbox())
}
func (m receiverMachine) decision() share.Decision { return m.Decision() }
func (m receiverMachine) told() bool               { return m.Told() }
func (m receiverMachine) answers() bool            { return m.Answers() }
func (m receiverMachine) task() (share.Task, bool) { return m.Task() }
func (m receiverMachine) forget() machine          { return receiverMachine{m.Forget()} }
func (m receiverMachine) marshal() []byte          { return m.Marshal() }
