package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
)

// A finding is what one check has found out, for one line.
type finding struct {
	check   string // what was looked at: interface, multicast, udp, firewall, relay, clock, vault, key
	subject string // of several: which one, such as eth0
	state   string // works, note or trouble
	what    string
	fix     string   // what to do about it
	err     *failure // of a vault: why no share can be kept here
}

// The states of a finding.
const (
	works   = "ok"
	note    = "note"    // worth knowing, and nothing is wrong
	trouble = "trouble" // it doesn't work
)

// checkTime is how long a check waits for what is under way, unless --timeout says.
const checkTime = 5 * time.Second

func (a *app) doctorCommand() *cobra.Command {
	var relay string
	c := &cobra.Command{
		Use: "doctor", Short: "Look whether this device can share, and say what to do if not", Args: cobra.NoArgs,
		Long: "Look at the network, the relay, the clock and the vault, and say in a line each what works, or what doesn't and what to do.\n" +
			"Nothing is sent but to the relay that is set and, by mDNS, to the local network.",
		RunE: func(c *cobra.Command, _ []string) error {
			return a.doctor(c.Context(), strings.TrimSuffix(first(relay, a.config.Relay), "/"))
		},
	}
	c.Flags().StringVar(&relay, "relay", "", "`URL` of the relay to look at")
	a.waysFlag(c, "SPAREKEY_PATHS, or all")
	return c
}

// doctor looks at everything at once, tells it in order, and fails if no share can go
// by any of the chosen paths.
func (a *app) doctor(ctx context.Context, relay string) error {
	wait := checkTime
	if a.flags.timeout > 0 {
		wait = a.flags.timeout
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), wait)
	defer cancel()
	w := a.ways(nil)
	room := make(chan roomFindings, 1)
	go func() { room <- lookAround(ctx, w) }()
	far := make(chan relayFindings, 1)
	go func() { far <- lookAtRelay(ctx, w, relay) }()
	kept := a.lookAtVault()

	near, distant := <-room, <-far
	network := slices.Concat(near.all, distant.all)
	for _, f := range slices.Concat(network, kept) {
		a.found(f)
	}
	for _, f := range kept {
		if f.err != nil {
			return f.err
		}
	}
	return a.verdict(w, near.works, distant.works, network)
}

// found tells a finding in one line.
func (a *app) found(f finding) {
	what := f.what
	if f.subject != "" {
		what = f.subject + ": " + what
	}
	if f.fix != "" {
		what += ". Try: " + f.fix
	}
	a.data("%-8s %-10s %s", f.state, f.check, what)
	a.emit(event{Type: "check", Check: f.check, Subject: f.subject, State: f.state, Message: f.what, Hint: f.fix})
}

// verdict tells by which of the chosen paths a share can go; network are the findings about
// these.
func (a *app) verdict(w ways, near, far bool, network []finding) error {
	var can ways
	for _, name := range w {
		if name == wayLAN && near || name == wayRelay && far {
			can = append(can, name)
		}
	}
	if len(can) == 0 {
		return fail(exitNoPath, "no_path", fmt.Sprintf("no share can go from here by the chosen paths (%s). Nothing was used up.", w), first(remedy(network), "sparekey doctor --relay URL, or other --paths"))
	}
	a.say("A share can go by %s.", can)
	a.emit(event{Type: "result", Path: can.String()})
	return nil
}

// remedy is what to do where no path can be gone by: about the first that doesn't work, or else
// about the relay that isn't set.
func remedy(network []finding) string {
	fix := ""
	for _, f := range network {
		switch {
		case f.state == trouble:
			return f.fix
		case f.state == note && f.check == "relay":
			fix = f.fix
		}
	}
	return fix
}
