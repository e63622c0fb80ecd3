// Package share decides what the sender and the receiver of one share do next.
// It does no I/O: time, randomness and what happened come in as arguments, and
// what is to be done goes out. The same inputs give the same bytes.
//
// Sender and Receiver are values; Step returns the next one and leaves the old
// one as it was. For each step the caller must, in this order:
//
//  1. if Effects.Save: save the next value whole, durably (Marshal);
//  2. send Outbox, on every path, until a frame leaves it; send Effects.Reply
//     on the path that the frames of an Arrived came from; make mailboxes agree
//     with Decision;
//  3. show Effects.Tell to the person;
//  4. do Task, unless it is being done already, and bring its result back as
//     the event the task names;
//  5. step again, with Woken, no later than Effects.Wake from now.
//
// What is sent and what is done are read off the saved value, so a crash
// between any two of these is a late send: whoever restarts from what was saved
// sends the same bytes again and asks for the same task under the same key.
//
// Promised: a credential is granted to at most one candidate, and a receiver
// provisions it once, whatever paths and relays do. Not promised: that a share
// ends known on both sides when a device never comes back; then it is shown as
// unresolved. A sender restored from a backup together with its relay can't
// tell; the vault's instance mark is there for that.
//
// The wire formats of this package are the bodies of data frames (body.go) and
// the preview (preview.go). PROTOCOL.md holds the rules and the diagrams, which
// are made from the tables in table.go.
package share
