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
)

// settle drives every share on until nothing is left to do for it.
func (w *world) settle() error {
	for {
		var jobs []*job
		for _, actor := range w.devices() {
			s, err := w.standing(actor)
			if err != nil {
				return err
			}
			waiting, err := w.waiting(actor)
			if err != nil {
				return err
			}
			if waiting && s.State != "unresolved" {
				jobs = append(jobs, w.resume(actor))
			}
		}
		if len(jobs) == 0 {
			return nil
		}
		for _, j := range jobs {
			if err := j.wait(done, ended, taken, unresolved); err != nil {
				return fmt.Errorf("at the end: %w", err)
			}
		}
	}
}

// waiting reports whether an actor's share is listed as one that lives.
func (w *world) waiting(actor string) (bool, error) {
	_, _, events, err := w.sparekey("looker-"+actor, "list")
	return slices.ContainsFunc(events, func(e event) bool { return e.Type == "share" }), err
}

// devices are the actors that have a vault.
func (w *world) devices() (all []string) {
	for _, actor := range []string{"sender", "receiver", "second", "copy"} {
		if _, err := os.Stat(filepath.Join(w.home(actor), "mark")); err == nil {
			all = append(all, actor)
		}
	}
	return all
}

// judge settles the share and says what became of it.
func (w *world) judge(sc *scenario) (what string, err error) {
	if err := w.settle(); err != nil {
		return "", err
	}
	ends, err := w.ends(sc)
	if err != nil {
		return "", err
	}
	if !slices.Contains(sc.ends, ends) {
		return "", fmt.Errorf("the share ends as %s, want one of %v", ends, sc.ends)
	}
	placed, err := w.placed()
	if err != nil {
		return "", err
	}
	want := 0
	if strings.HasPrefix(ends, "done/") || sc.name == "forget" {
		want = 1
	}
	if len(placed) != want {
		return "", fmt.Errorf("it ends as %s, and the credential is in %v, want %d places", ends, placed, want)
	}
	if err := w.clean(); err != nil {
		return "", err
	}
	if strings.Contains(ends, "unresolved") {
		return "unresolved", w.relay.interrupt()
	}
	// The share is over, and so the relay erases it from its files.
	if err := w.stored("disk.scrub.compacted", 1); err != nil {
		return "", err
	}
	what = "ended"
	if want == 1 {
		what = "once"
	}
	return what, w.relay.interrupt()
}

// ends are the states of all devices of a scenario.
func (w *world) ends(sc *scenario) (string, error) {
	actors := []string{"sender", "receiver"}
	switch sc.name {
	case "race", "relinquish":
		actors = append(actors, "second")
	case "copy":
		actors = append(actors, "copy")
	}
	var states []string
	for _, actor := range actors {
		state := "none"
		if slices.Contains(w.devices(), actor) {
			s, err := w.standing(actor)
			if err != nil {
				return "", err
			}
			if s.State != "" {
				state = s.State
			}
		}
		states = append(states, state)
	}
	return strings.Join(states, "/"), nil
}

// placed returns the files that receivers have got. Whatever else lies there is an error.
func (w *world) placed() (got []string, err error) {
	err = filepath.WalkDir(filepath.Join(w.dir, "out"), func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := os.ReadFile(path)
		before, was := w.kept[path]
		switch {
		case err != nil:
			return err
		case was && string(b) == before:
		case !was && bytes.Equal(b, w.content):
			got = append(got, path)
		default:
			return fmt.Errorf("%s was left there, or changed", path)
		}
		return nil
	})
	return got, err
}

// clean wants nothing half made in the vaults, which have been opened since.
func (w *world) clean() (err error) {
	for _, actor := range w.devices() {
		for _, pattern := range []string{".new-*", "shares/.new-*"} {
			left, _ := filepath.Glob(filepath.Join(w.home(actor), pattern))
			if len(left) > 0 {
				err = errors.Join(err, fmt.Errorf("drafts are left in the vault: %v", left))
			}
		}
	}
	return err
}
