package wire

import "time"

// Bounds that a relay enforces and a client keeps.
const (
	MaxTTL     = 7 * 24 * time.Hour // of a mailbox
	DefaultTTL = 24 * time.Hour     // where a create names none

	MaxLanes     = 16
	DefaultLanes = 4

	MaxWait   = 120 * time.Second // of a view that is held
	Heartbeat = 20 * time.Second  // how long a stream may be silent

	MaxOffer   = 4 << 10   // an offer's frame
	MaxClosing = 1100      // a closing frame; what noise seals has 305
	MaxPublic  = 1 << 10   // the public preview
	MaxJSON    = 8 << 10   // any JSON body of a request
	MaxProblem = 128 << 10 // a problem; it may hold a closing frame
	MaxFrames  = 64        // in one request
	MaxBody    = 1 << 20   // of one request that carries frames
	MaxPath    = 128       // no path of ours is longer
	MaxQuery   = 128
	MaxNumber  = 1<<53 - 1 // seq, epoch, from, after: exact in every JSON reader
	maxSeconds = int64(MaxTTL / time.Second)
)
