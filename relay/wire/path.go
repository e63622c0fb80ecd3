package wire

import (
	"encoding/hex"
	"strconv"
	"strings"
)

// A Side is whose log of a lane.
type Side byte

// The two sides of a lane, as numbers and words.
const (
	Sender   Side = 1
	Receiver Side = 2
)

func (s Side) String() string {
	if s == Sender {
		return "sender"
	}
	return "receiver"
}

// A Place is what a path leads to; see the package comment.
type Place byte

// The places of a relay.
const (
	Nowhere Place = iota
	Mailbox
	Offer
	Lane
	Log
	Entry
	Claims
	Confirm
	Page
	Health
	Ready
)

func (p Place) String() string {
	return [...]string{"nowhere", "mailbox", "offer", "lane", "log", "entry", "claims", "confirm", "page", "health", "ready"}[p]
}

// A Path is the path of a request, taken apart. Fields that its place doesn't
// name are zero.
type Path struct {
	Place Place
	ID    [16]byte
	Lane  [8]byte
	Side  Side
	Seq   uint64 // of an Entry; the epoch of an Offer
}

const (
	mailboxes = "/v1/mailboxes/"
	pages     = "/s/"
	idLen     = 22
)

// String returns the path as it is requested.
func (p Path) String() string {
	root := mailboxes + Text(p.ID[:])
	lane := root + "/lanes/" + hex.EncodeToString(p.Lane[:])
	switch p.Place {
	case Mailbox:
		return root
	case Offer:
		return root + "/offer/" + strconv.FormatUint(p.Seq, 10)
	case Lane:
		return lane
	case Log:
		return lane + "/" + p.Side.String()
	case Entry:
		return lane + "/" + p.Side.String() + "/" + strconv.FormatUint(p.Seq, 10)
	case Claims:
		return root + "/claims"
	case Confirm:
		return root + "/confirm"
	case Page:
		return pages + Text(p.ID[:])
	case Health:
		return "/healthz"
	case Ready:
		return "/readyz"
	}
	return "/"
}

// ParsePath takes a path apart. What has another spelling than String gives is
// Nowhere.
func ParsePath(s string) Path {
	if len(s) > MaxPath {
		return Path{}
	}
	switch s {
	case "/healthz":
		return Path{Place: Health}
	case "/readyz":
		return Path{Place: Ready}
	}
	var p Path
	if text, ok := strings.CutPrefix(s, pages); ok {
		if ParseText(p.ID[:], text) {
			p.Place = Page
			return p
		}
		return Path{}
	}
	rest, ok := strings.CutPrefix(s, mailboxes)
	if !ok || len(rest) < idLen || !ParseText(p.ID[:], rest[:idLen]) || !p.within(rest[idLen:]) {
		return Path{}
	}
	return p
}

// within reads what follows a mailbox's id.
func (p *Path) within(rest string) bool {
	switch rest {
	case "":
		p.Place = Mailbox
		return true
	case "/claims":
		p.Place = Claims
		return true
	case "/confirm":
		p.Place = Confirm
		return true
	}
	if epoch, ok := strings.CutPrefix(rest, "/offer/"); ok {
		p.Place = Offer
		return p.number(epoch) && p.Seq > 0
	}
	rest, ok := strings.CutPrefix(rest, "/lanes/")
	if !ok {
		return false
	}
	lane, rest, more := strings.Cut(rest, "/")
	p.Place = Lane
	if !ParseLane(&p.Lane, lane) || !more {
		return p.Lane != [8]byte{} && !more
	}
	side, seq, more := strings.Cut(rest, "/")
	p.Place = Log
	if !p.side(side) || !more {
		return p.Side != 0
	}
	p.Place = Entry
	return p.number(seq)
}

func (p *Path) side(s string) bool {
	for _, side := range []Side{Sender, Receiver} {
		if s == side.String() {
			p.Side = side
		}
	}
	return p.Side != 0
}

func (p *Path) number(s string) (ok bool) {
	n, err := ParseNumber(s)
	p.Seq = n
	return err == nil
}

// ParseLane reads a lane's name; the zero lane is none.
func ParseLane(lane *[8]byte, s string) bool {
	var b [8]byte
	if len(s) != 16 || strings.ToLower(s) != s {
		return false
	}
	if _, err := hex.Decode(b[:], []byte(s)); err != nil || b == [8]byte{} {
		return false
	}
	*lane = b
	return true
}
