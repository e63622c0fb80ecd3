//go:build linux

package main

// between says what stands between a figure and its goal, where one is missed.
// docs/bench.md has more of it.
var between = map[string]string{
	"share 1 kB http, fixed":    processes,
	"share 1 kB https, fixed":   processes + "; with TLS, the handshakes' own work on both sides",
	"share 100 kB http, fixed":  processes,
	"share 100 kB https, fixed": processes,
	"room share 1 kB, fixed":    processes + "; and the key agreements of QUIC's handshake and of the session, one after the other",
	"share 100 kB http":         slowStart,
	"share 100 kB https":        slowStart + "; and TLS's own round trip",

	"append to peer":                        "the way through the store: Pebble's commit pipeline hands a batch to a goroutine that syncs, and wakes the request and then the reader",
	"relay creates, 256 clients":            "the disk: a create writes 3 kB, and one group after the other waits for its sync",
	"relay appends, 256 clients":            "the disk: one group of appends after the other waits for its sync",
	"idle relay, resident":                  "the program itself: what isn't anonymous is pages of the binary, two thirds of which is Pebble, that the kernel has mapped around those in use and takes back when it likes",
	"idle waiter":                           "net/http's goroutine for a request, with the handler's stack on it, and HTTP/2's state of a stream",
	"session handshake":                     "Noise's own hashing and copying between the primitives",
	"sealing 60 kB":                         "a fresh salt and key for each frame, and the copy of the body into its padding",
	"opening 60 kB":                         "a key derived for each frame, and the copy of the body out of its padding",
	"pending share, memory":                 "what the store keeps in memory for each mailbox",
	"pending share, disk beyond its frames": "records and indexes of the store",
}

const (
	processes = "two programs started in a row, each of which faults in its pages and reads its vault, and the saves in a row that a crash must not be able to undo"
	slowStart = "TCP's slow start: 133 kB are four flights, three round trips more than one that fits the first window, to the relay and on to the receiver at once; a kernel that paces (BBR) spreads each flight"
)
