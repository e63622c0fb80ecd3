//go:build linux

package main

import (
	"time"

	"github.com/sparekey/sparekey/simulations/wire"
)

var cells = []*cell{
	{name: "same switch", want: either},
	{name: "v4 only", plan: plan{noIPv6: true}, want: either},
	{name: "v6 only", plan: plan{noIPv4: true}, want: either},
	{name: "two interfaces, one right", plan: plan{wrong: 1}, want: either},
	{name: "four interfaces, one right", plan: plan{wrong: 3}, want: either},
	{name: "multicast blocked", bar: bar(wire.NoMulticast), want: byRelay},
	{name: "UDP blocked", bar: bar(wire.NoUDP), want: byRelay},
	{name: "client isolation", bar: func(r *room) []wire.Rule { return []wire.Rule{wire.Isolate(r.router)} }, want: byRelay},
	{name: "relay appears late", plan: plan{relayOff: true}, bar: bar(wire.NoMulticast), play: relayAppears, want: byRelay},
	{name: "interfaces appear late", plan: plan{unplugged: true}, play: plugsAppear, want: either},
	{name: "addresses change mid-share", play: asked(readdress), want: either},
	{name: "another interface mid-share", play: asked(moves), want: either},
	{name: "interface down and up mid-share", play: downAndUp, want: either},
	{name: "cable pulled mid-share", plan: plan{uplink: true}, play: asked(pull), want: byRelay},
	{name: "cable pulled at the claim", plan: plan{uplink: true}, wire: wire.Link{Delay: 100 * time.Millisecond}, play: pullAtClaim, want: byRelay},
	{name: "all flaps every 2 s", wire: wire.Link{Delay: 100 * time.Millisecond}, play: flapping, want: either},
	{name: "delay 25 ms", wire: wire.Link{Delay: 25 * time.Millisecond}, want: either},
	{name: "loss 10 %", wire: wire.Link{Loss: 0.1}, want: either},
	{name: "loss, reordering, duplication", wire: wire.Link{Delay: 5 * time.Millisecond, Jitter: 20 * time.Millisecond, Loss: 0.05, Repeat: 0.1}, want: either},
	{name: "sender's clock 5 years ahead", plan: plan{senderAhead: 5 * years}, want: either},
	{name: "clocks 10 years apart", plan: plan{senderAhead: -5 * years, receiverAhead: 5 * years}, want: either},
	{name: "receiver comes late", play: late, want: either},
	{name: "two shares at once", play: atOnce(false), want: either},
	{name: "two shares that cross", play: atOnce(true), want: either},
	{name: "sender killed mid-share", play: asked(killed), want: either},
	{name: "sender killed at the claim", wire: wire.Link{Delay: 100 * time.Millisecond}, play: killedAtClaim, want: either},
	{name: "receiver killed mid-share", play: asked(receiverKilled), want: either},
	{name: "sender sleeps mid-share", play: sleeps, want: either},
}

// bar returns rules that are the same in every room.
func bar(rules ...wire.Rule) func(*room) []wire.Rule {
	return func(*room) []wire.Rule { return rules }
}
