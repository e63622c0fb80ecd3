package main

import (
	"context"
	"os"
	"os/exec"
	"regexp"
)

// Where a firewall says that it drops what comes in unless a rule lets it. The
// patterns are compiled by who asks for this alone.
const (
	ufwOn    = `(?m)^\s*ENABLED\s*=\s*yes\b`
	nftDrops = `hook input [^\n]*policy drop`
	iptDrops = `(?m)^-P INPUT (DROP|REJECT)`
)

const letIn = "let UDP in from the local network, at least port 5353"

// firewall tells of this device's firewall what can be told; most of it needs root.
func firewall(ctx context.Context) finding {
	f := finding{check: "firewall", state: note, what: "its rules can't be read here; what arrives above is let in from this device itself"}
	if b, err := os.ReadFile("/etc/ufw/ufw.conf"); err == nil && regexp.MustCompile(ufwOn).Match(b) {
		return finding{check: "firewall", state: note, what: "ufw is on, and may drop what other devices send", fix: letIn}
	}
	for _, c := range []struct {
		args  []string
		drops string
	}{{[]string{"nft", "list", "ruleset"}, nftDrops}, {[]string{"iptables", "-S", "INPUT"}, iptDrops}} {
		rules, err := exec.CommandContext(ctx, c.args[0], c.args[1:]...).Output()
		switch {
		case err != nil:
			continue
		case regexp.MustCompile(c.drops).Match(rules):
			return finding{check: "firewall", state: note, what: "it drops what comes in unless a rule lets it (" + c.args[0] + ")", fix: letIn}
		}
		f.state, f.what = works, "nothing drops all that comes in ("+c.args[0]+")"
	}
	return f
}
