package main

import (
	"fmt"

	"github.com/spf13/cobra"
)

// boundFlags gives a command the flags of a relay's bounds. checkBounds judges each of them.
func (s *service) boundFlags(c *cobra.Command) {
	f := c.Flags()
	f.IntVar(&s.limits.Mailboxes, "max-mailboxes", 0, "mailboxes at once (0: 1,000,000)")
	f.Int64Var(&s.limits.Bytes, "max-bytes", 0, "bytes on disk (0: 16 GiB)")
	f.Int64Var(&s.limits.LifeBytes, "max-mailbox-bytes", 0, "bytes of frames that either side may append in a mailbox's whole life, those erased too (0: 32 MiB)")
	f.IntVar(&s.quotas.Creates, "max-creates", 0, "mailboxes made a minute from one address prefix (0: 120, -1: no bound)")
	f.IntVar(&s.quotas.WriteBytes, "max-write-bytes", 0, "bytes that writes bring a minute from one address prefix but loopback, and 4 KiB each (0: 8 MiB, -1: no bound)")
	f.IntVar(&s.quotas.Open, "max-open", 0, "streams and held views at once from one address prefix but loopback (0: 4,000, -1: no bound)")
	f.IntVar(&s.quotas.Guesses, "max-guesses", 0, "wrong capabilities a minute from one address prefix (0: 600, -1: no bound)")
}

// checkBounds refuses bounds that mean nothing. A relay that took them would start,
// and refuse every share, or bound nothing where its operator meant something else.
func (s *service) checkBounds() error {
	for _, b := range []struct {
		flag  string
		value int64
	}{
		{"max-mailboxes", int64(s.limits.Mailboxes)}, {"max-bytes", s.limits.Bytes}, {"max-mailbox-bytes", s.limits.LifeBytes},
	} {
		if b.value < 0 {
			return fmt.Errorf("--%s can't be %d: give a number above 0, or 0 for what it is without the flag. There is always a bound", b.flag, b.value)
		}
	}
	for _, b := range []struct {
		flag  string
		value int
	}{
		{"max-creates", s.quotas.Creates}, {"max-write-bytes", s.quotas.WriteBytes}, {"max-open", s.quotas.Open}, {"max-guesses", s.quotas.Guesses},
	} {
		if b.value < -1 {
			return fmt.Errorf("--%s can't be %d: give a number above 0, 0 for what it is without the flag, or -1 for no bound", b.flag, b.value)
		}
	}
	return nil
}
