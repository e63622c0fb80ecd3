package disk

import (
	"bytes"
	"encoding/binary"
	"errors"

	"github.com/cockroachdb/pebble/v2"
)

// A stain is the beginning of names below which something was erased whose bytes
// may still be there. It is two bytes long: names are spread evenly, so in a store
// of 16 GiB a quarter of a megabyte lies below it. Any other length stands for all.
type stain []byte

const stainSize = 2

// stain marks, with the erasure, where it was.
func (d *draft) stain(n name) error { return d.Set(append([]byte{'d'}, n[:stainSize]...), nil, nil) }

// stains returns those that were made (d), or that a scrub has taken (s), in order.
func (s *Store) stains(kind byte) (all []stain, err error) {
	it, err := s.db.NewIter(&pebble.IterOptions{LowerBound: []byte{kind}, UpperBound: []byte{kind + 1}})
	if err != nil {
		return nil, err
	}
	for ok := it.First(); ok; ok = it.Next() {
		all = append(all, bytes.Clone(it.Key()[1:]))
	}
	return all, it.Close()
}

// unclean reports whether something was erased whose bytes may still be there.
func (s *Store) unclean() (bool, error) {
	made, err := s.stains('d')
	taken, err2 := s.stains('s')
	return len(made)+len(taken) > 0, errors.Join(err, err2)
}

// takeStains makes all stains those of a scrub, which answers for them, and for
// those that an earlier one has left, until it has ended.
func (s *Store) takeStains() ([]stain, error) {
	made, err := s.stains('d')
	if err != nil || len(made) == 0 {
		left, err2 := s.stains('s')
		return left, errors.Join(err, err2)
	}
	b := s.db.NewBatch()
	defer b.Close()
	for _, st := range made {
		if err := errors.Join(b.Delete(append([]byte{'d'}, st...), nil), b.Set(append([]byte{'s'}, st...), nil, nil)); err != nil {
			return nil, err
		}
	}
	// A stain that is made again meanwhile is taken with it: its erasure stands before
	// this in the log, and is scrubbed too. What comes later makes a new one.
	if err := b.Commit(pebble.Sync); err != nil {
		return nil, err
	}
	return s.stains('s')
}

// A span is a part of the keys.
type span struct{ from, to []byte }

// mostSpans is how many spans of mailboxes are written anew one by one in a store of
// so many tables. Each takes tens of tables with it in a large store, and all in a
// small one: with more, one pass over everything is cheaper.
func mostSpans(tables int) int { return min(256, 1+tables/4) }

// spans returns what is to be written anew for some stains: mailboxes and tombstones
// below them, and what was due; everything, if that are more than most of mailboxes.
func spans(stains []stain, most int) []span {
	all := []span{{[]byte{'e'}, []byte{'e' + 1}}}
	for _, kind := range []byte{'m', 't'} {
		next := -1
		for _, st := range stains {
			if len(st) != stainSize || len(all) > 2*most {
				return []span{{[]byte{0}, []byte{0xff}}}
			}
			from := append([]byte{kind}, st...)
			if at := int(binary.BigEndian.Uint16(st)); at == next {
				all[len(all)-1].to, next = after(from), at+1
			} else {
				all, next = append(all, span{from, after(from)}), at+1
			}
		}
	}
	return all
}
