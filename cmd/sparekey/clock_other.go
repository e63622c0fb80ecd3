//go:build !linux

package main

import (
	"time"

	"github.com/sparekey/sparekey/node/share"
)

// now has no boot-time clock here: each process is a boot of its own, and across
// processes the wall clock's advance counts.
func now() share.Time { return share.Time{Boot: boot, Up: time.Since(started), Wall: wall()} }

var started = time.Now()

var boot = func() (b [16]byte) {
	for i, v := 0, wall(); i < 8; i++ {
		b[i] = byte(v >> (8 * i))
	}
	b[8] = 1
	return b
}()
