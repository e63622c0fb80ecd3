//go:build !linux

package main

import "context"

// firewall can't tell anything of this system's.
func firewall(context.Context) finding {
	return finding{check: "firewall", state: note, what: "its rules can't be read on this system"}
}
