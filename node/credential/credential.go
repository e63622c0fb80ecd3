// Package credential says what a credential type has to do to be handed over,
// and holds the types that sparekey knows, one file a format.
package credential

import (
	"context"
	"errors"
)

// A Format is one credential type: its messages and what happens at the end.
//
// Formats may touch the world (read a file, sign, call an issuer), so each call
// carries a key, the same whenever the same step is asked for again after a
// crash: a format that makes something must make it once a key. An answer that
// was saved is never asked for again.
type Format interface {
	// Name is what stands in a preview and in provisioning information:
	// lower case, digits, dots and dashes.
	Name() string

	// Send is asked once when a receiver has been pinned, with no message,
	// and then for each message of the receiver.
	Send(context.Context, Turn) (Answer, error)

	// Receive is asked for each message of the sender.
	Receive(context.Context, Turn) (Answer, error)

	// Provision puts what the dialogue brought in its place. It is asked
	// again, with the same key, after an interruption, if Provisioned said no.
	Provision(ctx context.Context, key string, state []byte) error

	// Provisioned tells whether Provision with this key has already been done.
	Provisioned(ctx context.Context, key string, state []byte) (bool, error)
}

// A Computed format's Send and Receive only compute: they touch nothing outside
// and answer at once. It is asked before what led to the question is saved, and
// both are saved in one. Any other format is asked after, for what it makes has
// to belong to a share that is known to have come so far.
type Computed interface{ Computed() }

// A Turn is one step of a dialogue.
type Turn struct {
	Key   string // the step's idempotency key
	State []byte // what the last answer left; a sender's first: what New made, a receiver's first: its Options
	In    []byte // the other side's message; nil in a sender's first turn
}

// An Answer is what a step leads to. The zero Answer waits for the next message.
type Answer struct {
	State  []byte   // handed to the next turn, to Provision and to Provisioned
	Out    [][]byte // messages for the other side, each of at most 1 MiB
	Grants bool     // the messages in Out can make the credential exist over there. Once said, always so
	Done   bool     // a receiver: ready to provision. A sender: nothing more to say
}

// ErrFinal is wrapped by errors that no waiting and no other place mends: the
// content is no credential of this format, say. The other side is told. Other
// errors of Send and Receive are tried again; other errors of Provision are
// shown to the person, and the share is kept.
var ErrFinal = errors.New("this can't be done, now or later")
