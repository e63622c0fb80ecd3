package vault

import (
	"fmt"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// instance tells this folder on this machine from a copy of it.
func instance(home string) (string, error) {
	var st unix.Statx_t
	if err := unix.Statx(unix.AT_FDCWD, home, 0, unix.STATX_INO|unix.STATX_BTIME, &st); err != nil {
		return "", fmt.Errorf("the vault's folder can't be looked at: %w", err)
	}
	machine, _ := os.ReadFile("/etc/machine-id") // a machine without one has the folder to tell by
	return fmt.Sprintf("%s %d %d.%d", strings.TrimSpace(string(machine)), st.Ino, st.Btime.Sec, st.Btime.Nsec), nil
}
