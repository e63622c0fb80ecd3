package vault

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// exchange lets a draft and a file change places, or the draft take the place
// where there is no file yet, or the file system can't exchange.
func exchange(draft, path string) error {
	if unix.Renameat2(unix.AT_FDCWD, draft, unix.AT_FDCWD, path, unix.RENAME_EXCHANGE) == nil {
		return nil
	}
	return os.Rename(draft, path)
}

// syncData makes a file's bytes durable, and of what is known about it what it
// takes to read them: fdatasync(2).
func syncData(f *os.File) error {
	for {
		if err := unix.Fdatasync(int(f.Fd())); !errors.Is(err, unix.EINTR) {
			return err
		}
	}
}
