// Package quicpath carries a share's frames over QUIC, straight to the other
// device.
//
// One Socket serves a whole process: it listens and dials for all shares on one
// UDP port. A connection is of no use to anybody until both ends have proved that
// they know the share's path key; from then on it is a discovery.Direct.
//
// # Finding the share
//
// The dialler asks for a share by its tag, 9 bytes that only the two devices and
// who heard their question in the room know. It is the only ALPN protocol in the
// ClientHello, as 15 characters of lower-case base32. So the listener knows which
// share is meant in time for its first flight, there is no server name, and no
// word of ours is on the air. A listener that doesn't serve the tag ends the
// handshake at the ClientHello. TLS is 1.3 and QUIC version 1 (RFC 9001, RFC 9000).
// Certificates say nothing and are checked by nobody: each connection gets a fresh
// one. There is no resumption and no 0-RTT.
//
// # The proof
//
//	proof = HMAC-SHA256(path key, "sparekey v1 quic proof" ‖ end ‖ role ‖ exporter)
//
//	end       1 byte: 1 the dialler, 2 the listener
//	role      1 byte: 1 the sender, 2 the receiver
//	exporter  32 bytes: TLS-Exporter("EXPERIMENTAL sparekey v1 path", "", 32), RFC 8446 §7.5
//
// end and role are the prover's own. A proof can't be turned round, for the other
// end's differs, and can't be carried to another connection, for the exporter
// differs: it hangs on both key shares and on the listener's certificate. A
// neighbour with two connections and certificates of its own can pass on every
// byte and has a wrong proof on both.
//
// The listener proves first, before the handshake has ended (0.5-RTT data). The
// exporter is there by then: its secret is derived from the transcript up to the
// server's Finished (RFC 8446 §7.1) and no client certificate comes behind it. What
// a stranger gets by asking is the HMAC of a value that never comes again, under a
// key of 256 bits: nothing. With the proof go the frames that are ready. Strangers
// may have them: they are sealed, and say nothing without the link. The dialler has
// them after one round trip. It proves second, once the listener's proof was right,
// and so gives nothing to somebody who has none.
//
// # Streams
//
// The listener opens the first stream, and both ends' first bytes stand on it:
//
//	 0                       32                                          end
//	+------------------------+------------------------+------------------+
//	| the listener's proof   | frames, at most 4 kB   | 00 00 00 00      | FIN  listener → dialler
//	+------------------------+------------------------+------------------+
//	+------------------------+
//	| the dialler's proof    | FIN                                           dialler → listener
//	+------------------------+
//
// After that, each piece is a bidirectional stream of whoever sends it:
//
//	+---------------------------------------+------------------+
//	| frames, 1 to 64                       | 00 00 00 00      | ... FIN    from who sends
//	+---------------------------------------+------------------+
//	+--------+
//	| answer | FIN     1: taken   0: not                                    from who receives
//	+--------+
//
// Frames stand as in every stream (package frame): a length of 4 bytes and the
// frame; the length 0 ends the piece. Pieces are given and answered in the order of
// their streams. Who sends ends its side of a stream when it has read the answer, so
// that who answers knows that the answer has arrived, and doesn't close the
// connection too soon. What was on the first stream is not answered.
//
// A path follows the dialler to another address: the listener sees its next packet
// come from there, and tries the way back before it uses it (RFC 9000 §9). It can't
// follow the listener, for QUIC has clients move only; who sends to one that has
// moved learns it within seconds, and a new path has to be found.
//
// The connection ends with the application error 0 where all is well, 1 where a
// proof is wrong, missing or late, 2 where an end doesn't keep to this page, 3 where
// nothing was heard of the other. The reason is empty.
//
// discovery/lan/PROTOCOL.md, sections 5 to 7, says the same for whoever writes another.
package quicpath

import (
	"encoding/base32"
	"time"

	"github.com/sparekey/sparekey/discovery"
	"github.com/sparekey/sparekey/noise/frame"
)

// A Tag is what a device answers for in the room: 9 bytes, different for each share
// and each role.
type Tag [9]byte

var tagText = base32.NewEncoding("abcdefghijklmnopqrstuvwxyz234567").WithPadding(base32.NoPadding)

// String returns the tag as it stands on the wire: 15 characters of lower-case base32.
func (t Tag) String() string { return tagText.EncodeToString(t[:]) }

// parseTag reads what String returns, and only that.
func parseTag(text string) (t Tag, ok bool) {
	b, err := tagText.DecodeString(text)
	if err != nil || len(b) != len(t) {
		return Tag{}, false
	}
	t = Tag(b)
	return t, t.String() == text
}

// A Share is what connections are made for.
type Share struct {
	Own, Peer Tag                  // what this device answers for; what it asks for
	Key       [32]byte             // the path key, which only the two devices know
	Role      discovery.Role       // this device's
	First     func() []frame.Frame // what goes with a listener's first flight, as much of it as 4 kB hold; nil: nothing
}

// The bounds, each with its reason.
const (
	// The first flight has to fit what a listener may send before it has heard from
	// the dialler twice: three times what came, and two datagrams of 1,280 bytes
	// come with a ClientHello of today (RFC 9000 §8.1).
	maxFirst = 4 << 10

	// A credential of 1 MiB is 18 frames. What a device has to say at once fits 64,
	// as in a request to a mailbox; more goes in several pieces. So a piece has 4 MB
	// at most, and a path holds one that is given and one that comes.
	maxFrames = 64

	// An honest end has one piece on its way, and a few replies.
	maxStreams = 16

	// An honest dialler proves in one round trip; a lost packet or a busy phone
	// takes a second or two. Who says nothing is gone after this.
	proveWithin = 10 * time.Second

	// What may come before anybody reads it. A stranger is not read, so this is what
	// 1 GB of it costs; who has proved gets more while it is read as fast as it comes.
	firstWindow = 128 << 10
	lastWindow  = 1 << 20

	// The other device is taken for gone when nothing was heard of it for so long.
	// In one room there is no address translation whose memory has to be kept fresh:
	// keep-alives only tell whether the other device is there. The dialler alone
	// sends them, one packet and its answer every 10 seconds: about 12 packets a
	// minute. A phone that sleeps longer loses the connection, and needs one round
	// trip for the next.
	silence   = 20 * time.Second
	keepAlive = 10 * time.Second

	// Who has something to send wants to know sooner. A device that is there lets no
	// packet stand for 5 seconds: QUIC sends what is not acknowledged again after
	// 0.1, 0.2, 0.4 … seconds.
	mute = 5 * time.Second

	// How long Close waits for the other end to have the last answers. A device that
	// is there has them in one round trip.
	lingerFor = time.Second

	// Connections that have proved, of one share. There is one other device, and it
	// has one or two; the others are of those who hold the link and aren't it. When there
	// are more, one goes that has brought nothing: the oldest of the address that has most.
	maxPaths = 8

	// Pieces in a row that a peer may begin and not finish.
	maxAbandoned = 64
)

// Application error codes of connections and streams.
const (
	codeDone     = 0
	codeUnproven = 1
	codeBroken   = 2
	codeMute     = 3
)
