//go:build linux

package main

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/sparekey/sparekey/simulations/programs"
)

// judge wants every share of a room provisioned exactly once, known to both
// sides, and carried by one of the ways that the cell allows.
func (r *room) judge(want []string) error {
	var errs []error
	for _, h := range r.shares {
		errs = append(errs, h.judge(want))
	}
	for i, d := range r.devices {
		errs = append(errs, r.standing(i, d))
	}
	return errors.Join(errs...)
}

// judge looks at one share's credential, and asks which way it came.
func (h *handover) judge(want []string) error {
	placed, err := os.ReadFile(filepath.Join(h.to.Out, h.name))
	if err != nil {
		return fmt.Errorf("the credential is not where the receiver wanted it: %w", err)
	}
	if !bytes.Equal(placed, h.content) {
		return fmt.Errorf("placed was %q, want %q", placed, h.content)
	}
	path := carried(append(h.earlier, h.taker.Events()...))
	h.way, _, _ = strings.Cut(path, " ")
	if !slices.Contains(want, h.way) {
		return fmt.Errorf("it came by %q, want %v", path, want)
	}
	return nil
}

// carried returns the path that brought a receiver its credential.
func carried(said []programs.Event) string {
	for _, e := range said {
		if e.Type == "share.provisioning" {
			return e.Path
		}
	}
	return ""
}

// standing wants a device to have its shares ended well, and nothing in its
// folders but the credentials that it has received.
func (r *room) standing(i int, d *device) error {
	var want []string
	shares := 0
	for _, h := range r.shares {
		if h.from == d || h.to == d {
			shares++
		}
		if h.to == d {
			want = append(want, h.name)
		}
	}
	var got []string
	err := filepath.WalkDir(d.Out, func(path string, e fs.DirEntry, err error) error {
		if err == nil && !e.IsDir() {
			got = append(got, strings.TrimPrefix(path, d.Out+"/"))
		}
		return err
	})
	slices.Sort(got)
	if err != nil || !slices.Equal(got, want) {
		return fmt.Errorf("%s has the files %v, %w; want %v", d.Name, got, err, want)
	}
	p, err := r.start(d, nil, "list", "--all")
	if err != nil {
		return err
	}
	defer p.Kill()
	if _, err := p.End(r.ctx); err != nil {
		return err
	}
	ended := 0
	for _, e := range p.Events() {
		if e.Type != "share" {
			continue
		}
		if e.State != "done" && e.State != "provisioned" {
			return fmt.Errorf("a share of %s stands at %s", d.Name, e.State)
		}
		ended++
	}
	if ended != shares {
		return fmt.Errorf("%s lists %d shares, want %d", d.Name, ended, shares)
	}
	return nil
}
