package node

import (
	"errors"
	"fmt"
	"time"

	"github.com/fxamacker/cbor/v2"

	"github.com/sparekey/sparekey/discovery"
	"github.com/sparekey/sparekey/node/link"
	"github.com/sparekey/sparekey/node/share"
)

// A Record is all that a device keeps of one share: what the vault seals. Ended
// shares keep no secret: neither the link's nor the format's.
type Record struct {
	Version  int            `cbor:"1,keyasint"`
	Role     discovery.Role `cbor:"2,keyasint"`
	Created  time.Time      `cbor:"3,keyasint"` // by the wall clock; for people
	Relay    string         `cbor:"4,keyasint"`
	ID       [16]byte       `cbor:"5,keyasint"`
	Secret   [16]byte       `cbor:"6,keyasint"` // zero once ended
	Token    [32]byte       `cbor:"7,keyasint"` // sender's capability or device claim
	Preview  share.Preview  `cbor:"8,keyasint"`
	Machine  []byte         `cbor:"9,keyasint"`            // share.Sender or share.Receiver
	Settled  bool           `cbor:"10,keyasint"`           // ended, and the other side or a mailbox knows
	Paths    []string       `cbor:"11,keyasint,omitempty"` // which carried frames that opened
	App      bool           `cbor:"12,keyasint,omitempty"` // the link is of the app's scheme
	Preimage [32]byte       `cbor:"13,keyasint"`           // a sender's c, to create the mailbox with
	Ended    time.Time      `cbor:"14,keyasint"`           // by the wall clock; zero while it lives
	View     [32]byte       `cbor:"15,keyasint"`           // of a share that has ended and is not settled: the link's capability
	Ways     []string       `cbor:"16,keyasint,omitempty"` // the kinds of path it may go by, as the person chose; whoever picks the Finders reads it
	Steps    []Step         `cbor:"17,keyasint,omitempty"` // which step came by which path
	Topic    [32]byte       `cbor:"18,keyasint"`           // likewise: what the other device is found under on direct paths,
	Path     [32]byte       `cbor:"19,keyasint"`           // and what these are proved with
	Answers  bool           `cbor:"20,keyasint,omitempty"` // a receiver's: it has heard the end on a direct path, where the sender may wait for its answer
}

const recordVersion = 1

// ErrRecord is wrapped by errors about records that can't be read.
var ErrRecord = errors.New("the share's record can't be read")

var encMode = func() cbor.EncMode {
	o := cbor.CoreDetEncOptions()
	o.Time = cbor.TimeUnix
	m, err := o.EncMode()
	if err != nil {
		panic(err) // constant options
	}
	return m
}()

// Encode returns the record's bytes: CBOR, to be sealed by the vault.
func (r Record) Encode() ([]byte, error) { return encMode.Marshal(r) }

// DecodeRecord reads what Encode wrote.
func DecodeRecord(b []byte) (Record, error) {
	var r Record
	if err := cbor.Unmarshal(b, &r); err != nil {
		return Record{}, fmt.Errorf("%w: %w", ErrRecord, err)
	}
	if r.Version != recordVersion {
		return Record{}, fmt.Errorf("%w: it is of version %d, this program knows %d", ErrRecord, r.Version, recordVersion)
	}
	return r, nil
}

// Link returns the share's link while it lives.
func (r Record) Link() link.Link {
	return link.Link{Relay: r.Relay, ID: r.ID, Secret: r.Secret, App: r.App}
}

// State returns where the share stands, with the reason if anybody gave one,
// and what the other device calls itself.
func (r Record) State() (s share.State, reason, label string, err error) {
	m, err := r.machine()
	if err != nil {
		return "", "", "", err
	}
	s, reason, label = m.state()
	return s, reason, label, nil
}

// Left returns how long the share goes on if nothing happens: until it can't be
// claimed any more, and once it is, until its grace is up. 0: that time is over, and
// whoever takes the share up will see to what that leads to.
func (r Record) Left(now share.Time) time.Duration {
	m, err := r.machine()
	if err != nil {
		return 0
	}
	return m.left(now)
}

func (r Record) machine() (machine, error) {
	if r.Role == discovery.Sender {
		s, err := share.UnmarshalSender(r.Machine)
		return senderMachine{s}, wrapRecord(err)
	}
	v, err := share.UnmarshalReceiver(r.Machine)
	return receiverMachine{v}, wrapRecord(err)
}

func wrapRecord(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%w: %w", ErrRecord, err)
}

// erase forgets what an ended share must not keep. What is still owed must reach
// the other device or the mailbox, also after a crash: until then the keys of direct
// paths stay, and the capability that lets a receiver in. They open nothing that is
// sealed, but where a device is in a room.
func (r *Record) erase(now time.Time, owes bool) {
	switch {
	case !owes:
		r.forgetWays()
	case r.Ended.IsZero():
		k := r.Link().Keys()
		r.Topic, r.Path = k.Topic, k.Path
		if r.Role == discovery.Receiver {
			r.View = k.View
		}
	}
	if r.Ended.IsZero() {
		r.Ended = now
	}
	r.Secret = [16]byte{}
}

// settle forgets the rest: nobody is owed anything more, so neither the capabilities
// nor the frames that said it are of use.
func (r *Record) settle(m machine) {
	r.Settled, r.Answers, r.Token = true, false, [32]byte{}
	r.forgetWays()
	r.Machine = m.forget().marshal()
}

// owes reports whether an ended share still has something to say: its last word, an answer,
// or to a mailbox that it is over. The mailbox of one that is done the sender deletes.
func (r Record) owes(m machine) bool {
	state, _, _ := m.state()
	return len(m.outbox()) > 0 || r.answers(m) || m.decision().Over != nil && (r.Role == discovery.Sender || state != share.Done)
}

// answers reports whether the sender may wait for this receiver's answer.
func (r Record) answers(m machine) bool { return r.Answers && !r.Settled && m.answers() }

func (r *Record) forgetWays() { r.View, r.Topic, r.Path = [32]byte{}, [32]byte{}, [32]byte{} }

// ways is what leads to the other side: the capability with which the share's mailbox
// is asked, and the keys of direct paths.
func (r Record) ways() (view, topic, path [32]byte) {
	if !r.Ended.IsZero() {
		return r.View, r.Topic, r.Path
	}
	k := r.Link().Keys()
	return k.View, k.Topic, k.Path
}

// Silent reports whether the share has come to a halt and says nothing to anybody
// any more: this vault is a copy or a restored backup.
func (r Record) Silent() bool {
	m, err := r.machine()
	if err != nil {
		return false
	}
	state, _, _ := m.state()
	return state == share.Unresolved && len(m.outbox()) == 0
}

// Waiting reports whether there is anything left to do for the share: it lives,
// or the other side may not know yet how it ended.
func (r Record) Waiting() bool {
	m, err := r.machine()
	if err != nil || r.Settled {
		return err != nil
	}
	state, _, _ := m.state()
	return !state.Ended() || r.owes(m)
}
