package main

import (
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/sparekey/sparekey/discovery"
	"github.com/sparekey/sparekey/relay/mailbox"
)

// The kinds of path that a person may choose between.
const (
	wayLAN   = "lan"   // straight to the other device, in one room
	wayRelay = "relay" // by the relay that the link names
)

// everyWay is what a share may go by unless said otherwise.
var everyWay = ways{wayLAN, wayRelay}

// ways are the kinds of path that a share may go by. None: nobody has chosen.
type ways []string

// parseWays reads what a person has chosen; source is where, for the error.
func parseWays(text, source string) (ways, error) {
	var w ways
	for name := range strings.SplitSeq(text, ",") {
		switch name = strings.ToLower(strings.TrimSpace(name)); {
		case name == "":
		case name == "p2p":
			return nil, usage("%s names p2p, which this version doesn't have; it has %s", source, everyWay)
		case !slices.Contains(everyWay, name):
			return nil, usage("%s names %q, which is no kind of path; there are %s", source, name, everyWay)
		case !w.has(name):
			w = append(w, name)
		}
	}
	if len(w) == 0 {
		return nil, usage("%s names no kind of path; there are %s", source, everyWay)
	}
	return w, nil
}

func (w ways) has(name string) bool { return slices.Contains(w, name) }

func (w ways) String() string { return strings.Join(w, ",") }

// waysFlag gives a command its --paths.
func (a *app) waysFlag(c *cobra.Command, usual string) {
	c.Flags().StringVar(&a.flags.paths, "paths", "", "`kinds` of path to use, of "+everyWay.String()+"; default "+usual)
}

// settleWays reads what the command line and the settings say.
func (a *app) settleWays() (err error) {
	if a.flags.paths != "" {
		if a.asked, err = parseWays(a.flags.paths, "--paths"); err != nil {
			return err
		}
	}
	if a.usual = everyWay; a.config.Paths != "" {
		a.usual, err = parseWays(a.config.Paths, "SPAREKEY_PATHS, or paths in the config file,")
	}
	return err
}

// ways returns what a share may go by: what the command line says, else what was
// chosen when it was made or accepted, else what is set on this device.
func (a *app) ways(chosen ways) ways {
	for _, w := range []ways{a.asked, chosen} {
		if len(w) > 0 {
			return w
		}
	}
	return a.usual
}

// finders returns what finds paths of these kinds. A kind that is new is added here.
func (a *app) finders(w ways) (all []discovery.Finder) {
	if w.has(wayRelay) {
		all = append(all, mailbox.New(mailbox.Config{}))
	}
	if w.has(wayLAN) {
		all = append(all, a.room)
	}
	return all
}

// passable returns a failure if a share can't go by any of these kinds of path:
// relay is the one of its link, empty if it names none.
func passable(w ways, relay string) error {
	if w.has(wayRelay) && relay != "" || w.has(wayLAN) {
		return nil
	}
	return fail(exitNoPath, "no_path", "the link names no relay: it is for two devices in one room. Nothing was used up.", "--paths "+wayLAN)
}
