//go:build linux

package main

import (
	"github.com/sparekey/sparekey/simulations/wire"
)

// A cell is a kind of room and what happens in it.
type cell struct {
	name string
	plan plan
	wire wire.Link               // how every frame fares
	bar  func(*room) []wire.Rule // what doesn't pass; nil: all does
	play func(*room) error       // nil: handOver
	want []string                // the ways it may be carried: lan, relay
}

var (
	inTheRoom = []string{"lan"}
	byRelay   = []string{"relay"}
	either    = []string{"lan", "relay"}
)
