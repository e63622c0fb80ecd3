//go:build !linux

package vault

import (
	"os"
)

// instance tells this folder on this machine from a copy of it, as far as the
// host's name does: inode and birth time have no portable form.
func instance(string) (string, error) { return os.Hostname() }
