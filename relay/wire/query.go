package wire

import (
	"fmt"
	"strings"
	"time"
)

// A Query is the part of a request's URL behind the question mark: numbers
// only. A field is nil where the query doesn't name it.
type Query struct {
	From  *uint64 // of a log's stream: the first seq that is wanted; absent: 0
	After *uint64 // of the claims stream: how many frames are known; absent: 0
	Known *uint64 // of a view: answer only with an offer of a later epoch
	Wait  *uint64 // of a view: hold the answer for so many seconds
}

// The names of a Query's fields.
const (
	From  = "from"
	After = "after"
	Known = "known"
	Wait  = "wait"
)

func (q *Query) field(name string) **uint64 {
	switch name {
	case From:
		return &q.From
	case After:
		return &q.After
	case Known:
		return &q.Known
	}
	return &q.Wait
}

// String returns the query with its question mark, or nothing.
func (q Query) String() string {
	var b strings.Builder
	for _, name := range []string{From, After, Known, Wait} {
		if n := *q.field(name); n != nil {
			sep := "&"
			if b.Len() == 0 {
				sep = "?"
			}
			fmt.Fprintf(&b, "%s%s=%d", sep, name, *n)
		}
	}
	return b.String()
}

// ParseQuery reads a query without its question mark. Names must be among
// those allowed, each at most once; a wait is at most MaxWait.
func ParseQuery(raw string, allowed ...string) (Query, error) {
	var q Query
	if raw == "" {
		return q, nil
	}
	if len(raw) > MaxQuery {
		return q, fmt.Errorf("%w: the query has %d bytes; at most %d are read", ErrMalformed, len(raw), MaxQuery)
	}
	for pair := range strings.SplitSeq(raw, "&") {
		if err := q.add(pair, allowed); err != nil {
			return Query{}, err
		}
	}
	if q.Wait != nil && *q.Wait > uint64(MaxWait/time.Second) {
		return Query{}, fmt.Errorf("%w: wait is at most %d seconds", ErrOutOfRange, MaxWait/time.Second)
	}
	return q, nil
}

func (q *Query) add(pair string, allowed []string) error {
	name, value, _ := strings.Cut(pair, "=")
	for _, a := range allowed {
		if name != a {
			continue
		}
		field := q.field(a)
		if *field != nil {
			return fmt.Errorf("%w: %s is in the query twice", ErrMalformed, a)
		}
		n, err := ParseNumber(value)
		if err != nil {
			return fmt.Errorf("%s: %w", a, err)
		}
		*field = &n
		return nil
	}
	return fmt.Errorf("%w: the query has a name that this call doesn't know", ErrMalformed)
}
