//go:build linux

package programs

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// OpenTerminal returns both ends of a pseudo-terminal: the person's and the
// program's (pty(7)).
func OpenTerminal() (person, program *os.File, err error) {
	person, err = os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		return nil, nil, err
	}
	n, err := unix.IoctlGetInt(int(person.Fd()), unix.TIOCGPTN)
	if err == nil {
		err = unix.IoctlSetPointerInt(int(person.Fd()), unix.TIOCSPTLCK, 0)
	}
	if err == nil {
		program, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|unix.O_NOCTTY, 0)
	}
	if err == nil {
		err = keepOutput(program)
	}
	if err != nil {
		return nil, nil, errors.Join(err, person.Close())
	}
	return person, program, nil
}

// keepOutput has a terminal keep what was written where a key such as Ctrl-C comes:
// it would drop it (termios(3), NOFLSH), what a program wrote because of the key among it.
func keepOutput(program *os.File) error {
	mode, err := unix.IoctlGetTermios(int(program.Fd()), unix.TCGETS)
	if err != nil {
		return err
	}
	mode.Lflag |= unix.NOFLSH
	return unix.IoctlSetTermios(int(program.Fd()), unix.TCSETS, mode)
}
