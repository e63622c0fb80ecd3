package main

import (
	"crypto/sha256"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"github.com/sparekey/sparekey/node/share"
)

// now tells the time as the share's machines count it: CLOCK_BOOTTIME runs on
// while the device sleeps, and the kernel's boot id tells one boot from another.
func now() share.Time {
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &ts); err != nil {
		return share.Time{Wall: wall()}
	}
	return share.Time{Boot: boot, Up: time.Duration(ts.Nano()), Wall: wall()}
}

var boot = func() [16]byte {
	id, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return [16]byte{1} // without it only the wall clock's advance could tell a reboot
	}
	sum := sha256.Sum256(id)
	return [16]byte(sum[:16])
}()
