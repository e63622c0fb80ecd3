//go:build linux

package main

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/url"
	"os"
	"path"
	"slices"
	"strings"

	"github.com/sparekey/sparekey/simulations/canary"
	"github.com/sparekey/sparekey/simulations/wire"
)

// capture makes two shares in one room, one after the other, between the same
// devices, records all that is on its wire, and searches it: first for what nobody
// may see, then for what both shares have in common, by which somebody who listens
// could tell that they are the same devices'.
func (l *lab) capture(ctx context.Context, w io.Writer, p plan) error {
	ctx, cancel := context.WithTimeoutCause(ctx, runTime, fmt.Errorf("it takes more than %v", runTime))
	defer cancel()
	dir, err := os.MkdirTemp(l.dir, "capture-")
	if err != nil {
		return err
	}
	r, err := newRoom(ctx, l, dir, &cell{plan: p})
	if err != nil {
		return err
	}
	defer r.close()
	var heard [2][]wire.Frame
	for i := range heard {
		record := r.inside.Record()
		if err := handOver(r); err != nil {
			return fmt.Errorf("%w\n%s", err, r.story())
		}
		record.Stop()
		heard[i] = record.Frames()
	}
	if err := r.judge(either); err != nil {
		return err
	}
	words, err := r.words()
	if err != nil {
		return err
	}
	found := search(words, heard)
	one, two := size(opaque(heard[0])), size(opaque(heard[1]))
	fmt.Fprintf(w, "\ntwo shares in one room, by %s and %s: %d frames, of whose datagrams %d and %d bytes are opaque\n  searched for %s\n  and for %d bytes or more that both have in common: found %q\n",
		r.shares[0].way, r.shares[1].way, len(heard[0])+len(heard[1]), one, two, strings.Join(slices.Sorted(maps.Keys(words)), ", "), identifier, found)
	if one == 0 || two == 0 {
		return errors.New("there was no datagram to search")
	}
	if len(found) > 0 {
		return fmt.Errorf("the room's wire tells %d things", len(found))
	}
	return nil
}

// search returns what two recordings tell, a sentence each.
func search(words canary.Words, heard [2][]wire.Frame) (found []string) {
	for _, f := range slices.Concat(heard[0], heard[1]) {
		found = append(found, words.Find(f)...)
	}
	for _, c := range common(opaque(heard[0]), opaque(heard[1])) {
		found = append(found, fmt.Sprintf("both shares have %x (%q)", c, c))
	}
	slices.Sort(found)
	return slices.Compact(found)
}

func size(all [][]byte) (n int) {
	for _, b := range all {
		n += len(b)
	}
	return n
}

// words are what nobody in the room may see of its shares and devices.
func (r *room) words() (canary.Words, error) {
	w := canary.Words{}
	for _, d := range r.devices {
		w["host name "+d.Name] = []byte(d.Name)
		w["label "+d.label()] = []byte(d.label())
	}
	for i, h := range r.shares {
		u, err := url.Parse(h.link)
		if err != nil {
			return nil, err
		}
		add := func(what string, word []byte) { w[fmt.Sprintf("%s of share %d", what, i+1)] = word }
		for what, text := range map[string]string{"link secret": u.Fragment, "share id": path.Base(u.Path)} {
			raw, err := base64.RawURLEncoding.DecodeString(text)
			if err != nil || len(raw) < 16 {
				return nil, fmt.Errorf("the link %s has no %s", h.link, what)
			}
			add(what, raw)
		}
		add("credential", h.secret)
		add("credential in hex", []byte(hex.EncodeToString(h.secret)))
		add("title", []byte(h.title))
		add("file name", []byte(h.name))
	}
	return w, nil
}

// identifier is how long, in bytes, what two shares have in common must be to
// count. Of random bytes, as many as are compared here have as many in common
// once in some ten thousand runs.
const identifier = 6

// common returns the runs of bytes that stand in both, each once.
func common(one, two [][]byte) (all [][]byte) {
	known := map[[identifier]byte]bool{}
	for _, b := range one {
		for i := 0; i+identifier <= len(b); i++ {
			known[[identifier]byte(b[i:])] = true
		}
	}
	for _, b := range two {
		for i := 0; i+identifier <= len(b); i++ {
			end := i
			for end+identifier <= len(b) && known[[identifier]byte(b[end:])] {
				end++
			}
			if end > i {
				run := b[i : end+identifier-1]
				if !slices.ContainsFunc(all, func(c []byte) bool { return bytes.Equal(c, run) }) {
					all = append(all, run)
				}
				i = end
			}
		}
	}
	return all
}
