// Package wire is what a relay and its clients say to each other besides
// frames: paths, queries, headers, JSON bodies, problems, and the bounds that
// both sides keep. It knows no net/http, so that a browser's client can use it,
// and nothing of what frames hold. PROTOCOL.md beside package relay tells what
// each call does.
//
// # Paths
//
//	/v1/mailboxes/{id}                            Mailbox   id: 22 characters of base64url
//	/v1/mailboxes/{id}/offer/{epoch}              Offer     epoch from 1
//	/v1/mailboxes/{id}/lanes/{lane}               Lane      lane: 16 hex digits, lower case, not all zero
//	/v1/mailboxes/{id}/lanes/{lane}/{side}        Log       side: sender or receiver
//	/v1/mailboxes/{id}/lanes/{lane}/{side}/{seq}  Entry
//	/v1/mailboxes/{id}/claims                     Claims
//	/v1/mailboxes/{id}/confirm                    Confirm
//	/s/{id}                                       Page
//	/healthz /readyz                              Health, Ready
//
// A path has one spelling: no escapes, no doubled or trailing slash, numbers
// without sign or leading zero. Everything else is no path of ours.
//
// # Bodies
//
// Frames travel in the stream codec of package frame, as TypeFrames. The rest
// is JSON, read strictly: one object, each field at most once, none that isn't
// listed here, nothing behind it. A field that someone believes to matter must
// not be passed over in silence; what needs another field is another version.
// Bytes are base64url without padding, in the one spelling that encoding gives.
//
//	create   preimage 32 bytes: c, which the id is made from
//	         offer    the frame of epoch 0
//	         view     32 bytes: SHA-256 of the link capability
//	         sender   32 bytes: SHA-256 of the sender's capability
//	         lanes    number, 1 to MaxLanes; absent: DefaultLanes
//	         ttl      seconds, 1 to MaxTTL; absent: DefaultTTL
//	         public   an object, at most MaxPublic bytes; absent: none
//	confirm  epoch    number: of the offer that the claim is for
//	         lane     16 hex digits, as in paths
//	         claim    32 bytes: SHA-256 of the device claim
//	delete   h, over  32 bytes each: the proof that the sender has ended the share
//
// Problems (RFC 9457) are read leniently instead: a client passes over what it
// doesn't know.
package wire
