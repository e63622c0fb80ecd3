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

// syncsInARow counts the syncs that wait for one another in a share, between the
// sender's start and the receiver's bytes in place: of the sender its offer 2
// (file and folder), and pin and grant together 2; of the receiver its claim 2,
// grant and intent together 2, and the credential's own file 1; of the relay the
// claim 1 and the grant 1. The relay's create goes on beside the receiver's start.
const syncsInARow = 11

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

func (f *floor) total() time.Duration { return 2*median(f.starts) + syncsInARow*median(f.syncs) }
