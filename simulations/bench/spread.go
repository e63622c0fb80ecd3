//go:build linux

package main

import (
	"os"

	"golang.org/x/sys/unix"
)

// spread has ext4 put the folders that are made in dir far from one another
// (EXT4_TOPDIR_FL, chattr +T). Where there is no journal, it makes a file only after
// it has looked at each that was removed near by in the last minutes, one by one; a
// few hundred shares, which each remove some, would make each other slower. People
// hand over less. Other file systems don't know it, nor need it.
func spread(dir string) {
	const topDir = 0x20000
	d, err := os.Open(dir)
	if err != nil {
		return
	}
	defer d.Close()
	if flags, err := unix.IoctlGetInt(int(d.Fd()), unix.FS_IOC_GETFLAGS); err == nil {
		unix.IoctlSetPointerInt(int(d.Fd()), unix.FS_IOC_SETFLAGS, flags|topDir)
	}
}
