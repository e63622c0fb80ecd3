//go:build linux

package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"time"
)

// A floor is what this machine takes, in the same run, for what no share can do
// without: two programs started in a row, and as many syncs one after the other
// as stand between the sender's start and the receiver's bytes in place.
type floor struct {
	s             *setting
	starts, syncs []time.Duration
}

func newFloor(s *setting) *floor { return &floor{s: s} }

// measure takes one sample of each.
func (f *floor) measure() error {
	start := time.Now()
	if err := exec.Command(filepath.Join(f.s.bin, "empty")).Run(); err != nil {
		return err
	}
	f.starts = append(f.starts, time.Since(start))
	file, err := os.CreateTemp(f.s.dir, "sync-")
	if err != nil {
		return err
	}
	defer os.Remove(file.Name())
	defer file.Close()
	for range 4 {
		if _, err := file.Write(make([]byte, 4096)); err != nil {
			return err
		}
		start := time.Now()
		if err := file.Sync(); err != nil {
			return err
		}
		f.syncs = append(f.syncs, time.Since(start))
	}
	return nil
}

func (f *floor) total(syncs int) time.Duration {
	return 2*median(f.starts) + time.Duration(syncs)*median(f.syncs)
}
