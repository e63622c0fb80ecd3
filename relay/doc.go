// Package relay keeps mailboxes for shares whose devices aren't online at the
// same time, or don't find each other. It holds ciphertext and hashes under
// random names for a bounded time, and can open none of it: it has no keys and
// imports nothing that could use one. PROTOCOL.md is what it speaks,
// openapi.yaml the same for programs.
//
// A Handler is the HTTP side, a Store keeps what mailboxes hold, and Serve runs
// a Handler on a listener. The handler answers for what a request says: path,
// numbers, sizes, capabilities, frames that fit their path. The store answers for
// what a mailbox's state allows; its rules are in Record, so that every
// embedded store has the same.
//
// The caller of NewHandler must run Handler.Sweep, as Serve does, or mailboxes
// stay beyond their time; and Handler.Drain before it stops, or streams hold the
// server up.
//
// Promised: what was answered with a 2xx is durable, as far as the Store is.
// A mailbox that is absent and one that the request has no right to can't be told
// apart. No address, id, capability, device claim or user agent is logged,
// counted or kept. No request makes it hold more than its Quotas allow.
//
// Not promised: anything that a device may rely on to end a share. A relay can
// lie, forget and roll back; devices are built for that.
package relay
