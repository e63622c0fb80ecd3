package wire

import (
	"encoding/json"
	"fmt"
)

// A Type names a kind of problem, for programs to branch on. Its text never changes.
type Type string

const problems = "urn:sparekey:problem:"

// The types of problems, and the status each comes with.
const (
	Malformed   Type = problems + "malformed"    // 400: query, header or body can't be read
	OutOfRange  Type = problems + "out-of-range" // 400: a number is beyond its bounds
	Unproven    Type = problems + "unproven"     // 403: the preimage or the proof doesn't make this id
	NoCall      Type = problems + "no-such-call" // 404: the path is none of this version's
	Absent      Type = problems + "absent"       // 404: no such mailbox, or not with this capability
	Method      Type = problems + "method"       // 405: see Allow
	Conflict    Type = problems + "conflict"     // 409: something else is there
	Closed      Type = problems + "closed"       // 409: the lane isn't open; Closing if a frame closed it
	Busy        Type = problems + "busy"         // 409: no lane is free, or another is confirmed
	Full        Type = problems + "full"         // 409: a log is at its bound
	Ahead       Type = problems + "ahead"        // 409: the claims stream isn't that long; begin again at 0
	Gone        Type = problems + "gone"         // 410: the share has ended, and Over proves it
	TooLarge    Type = problems + "too-large"    // 413: the body
	Limited     Type = problems + "limited"      // 429: too many, see Retry-After
	Broken      Type = problems + "broken"       // 500: a fault of the relay
	Unavailable Type = problems + "unavailable"  // 503: overloaded, or its store fails; see Retry-After
	Draining    Type = problems + "draining"     // 503: about to stop; see Retry-After
	NoSpace     Type = problems + "no-space"     // 507: no room for anything new
)

// about holds each type's status and title.
var about = map[Type]struct {
	status int
	title  string
}{
	Malformed:   {400, "The request can't be read"},
	OutOfRange:  {400, "A number is out of range"},
	Unproven:    {403, "This doesn't prove a right to this id"},
	NoCall:      {404, "There is no such call"},
	Absent:      {404, "There is no such mailbox, or not with this capability"},
	Method:      {405, "This call has other methods"},
	Conflict:    {409, "Something else is there"},
	Closed:      {409, "The lane isn't open"},
	Busy:        {409, "No lane is free"},
	Full:        {409, "The mailbox is full"},
	Ahead:       {409, "There aren't that many claims"},
	Gone:        {410, "The share has ended"},
	TooLarge:    {413, "The body is too large"},
	Limited:     {429, "Too many requests"},
	Broken:      {500, "The relay is at fault"},
	Unavailable: {503, "The relay can't do this now"},
	Draining:    {503, "The relay is about to stop"},
	NoSpace:     {507, "The relay has no room"},
}

// A Problem is an error's body (RFC 9457).
type Problem struct {
	Type    Type
	Title   string // one for each type
	Status  int
	Detail  string // what happened this time, and what to do; may be empty
	Over    *Proof // of Gone
	Closing []byte // of Closed: the frame that closed the lane; empty where none is kept
}

// NewProblem returns the problem of a type, with its status and title.
func NewProblem(t Type, detail string) *Problem {
	a := about[t]
	return &Problem{Type: t, Title: a.title, Status: a.status, Detail: detail}
}

func (p *Problem) Error() string {
	if p.Detail == "" {
		return fmt.Sprintf("%s (%d)", p.Title, p.Status)
	}
	return fmt.Sprintf("%s (%d): %s", p.Title, p.Status, p.Detail)
}

type problemJSON struct {
	Type    Type   `json:"type"`
	Title   string `json:"title"`
	Status  int    `json:"status"`
	Detail  string `json:"detail,omitempty"`
	H       string `json:"h,omitempty"`
	Over    string `json:"over,omitempty"`
	Closing string `json:"closing,omitempty"`
}

// Body returns the problem as JSON.
func (p *Problem) Body() []byte {
	j := problemJSON{Type: p.Type, Title: p.Title, Status: p.Status, Detail: p.Detail, Closing: Text(p.Closing)}
	if p.Over != nil {
		j.H, j.Over = Text(p.Over.H[:]), Text(p.Over.Over[:])
	}
	return body(j)
}

// ParseProblem reads a problem. It passes over members it doesn't know, as RFC
// 9457 asks; h, over and closing it reads strictly, for they are acted upon.
func ParseProblem(b []byte) (*Problem, error) {
	var j problemJSON
	if len(b) > MaxProblem {
		return nil, fmt.Errorf("%w: a problem of %d bytes", ErrMalformed, len(b))
	}
	if err := json.Unmarshal(b, &j); err != nil {
		return nil, fmt.Errorf("%w: not a problem in JSON", ErrMalformed)
	}
	p := &Problem{Type: j.Type, Title: j.Title, Status: j.Status, Detail: j.Detail}
	if j.H != "" || j.Over != "" {
		p.Over = new(Proof)
		if !ParseText(p.Over.H[:], j.H) || !ParseText(p.Over.Over[:], j.Over) {
			return nil, fmt.Errorf("%w: h and over are no proof", ErrMalformed)
		}
	}
	if j.Closing != "" {
		closing, ok := ParseBytes(j.Closing)
		if !ok {
			return nil, fmt.Errorf("%w: closing is no frame", ErrMalformed)
		}
		p.Closing = closing
	}
	return p, nil
}
