//go:build linux

package main

import (
	"slices"
	"time"

	"github.com/sparekey/sparekey/simulations/wire"
)

// cells are the rooms that are tried. Where both ways are open, either may be the
// first with the credential; so that each is known to do alone, most rooms have
// only one.
var cells = slices.Concat(kinds, obstacles, changes, clocks, habits)

// kinds: what a room is like.
var kinds = []*cell{
	{name: "both ways open", want: either},
	{name: "no relay configured", plan: plan{noRelay: true}, want: inTheRoom},
	{name: "relay unreachable", bar: noRouter, want: inTheRoom},
	{name: "no default route", plan: plan{noRoute: true}, want: inTheRoom},
	{name: "IPv4 only", plan: plan{noRelay: true, noLinkLocal: true, noIPv6: true}, want: inTheRoom},
	{name: "IPv6 only", plan: plan{noRelay: true, noIPv4: true}, want: inTheRoom},
	{name: "link-local IPv6 only", plan: plan{noRelay: true, noIPv4: true, noIPv6: true}, want: inTheRoom},
	{name: "different subnets", plan: plan{noRelay: true, subnets: true}, want: inTheRoom},
	{name: "two interfaces, one right", plan: plan{noRelay: true, wrong: 1}, want: inTheRoom},
	{name: "four interfaces, one right", plan: plan{noRelay: true, wrong: 3}, want: inTheRoom},
	{name: "IPv4 only, by relay", plan: plan{noLinkLocal: true, noIPv6: true}, bar: bar(wire.NoUDP), want: byRelay},
	{name: "IPv6 only, by relay", plan: plan{noIPv4: true}, bar: bar(wire.NoUDP), want: byRelay},
}

// obstacles: what it keeps back.
var obstacles = []*cell{
	{name: "multicast blocked", bar: bar(wire.NoMulticast), want: byRelay},
	{name: "UDP blocked", bar: bar(wire.NoUDP), want: byRelay},
	{name: "client isolation", bar: func(r *room) []wire.Rule { return []wire.Rule{wire.Isolate(r.router)} }, want: byRelay},
	{name: "sender behind a firewall", plan: plan{noRelay: true}, bar: firewall(sender), want: inTheRoom},
	{name: "receiver behind a firewall", plan: plan{noRelay: true}, bar: firewall(receiver), want: inTheRoom},
	{name: "both behind firewalls", plan: plan{noRelay: true}, bar: firewall(sender, receiver), want: inTheRoom},
	{name: "delay 25 ms", plan: plan{noRelay: true}, wire: wire.Link{Delay: 25 * time.Millisecond}, want: inTheRoom},
	{name: "loss 10 %", plan: plan{noRelay: true}, wire: wire.Link{Loss: 0.1}, want: inTheRoom},
	{name: "loss, reordering, duplication", plan: plan{noRelay: true}, wire: rough, want: inTheRoom},
	{name: "the same with a relay", wire: rough, want: either},
}

// changes: what isn't as it was when the share began.
var changes = []*cell{
	{name: "relay appears late", plan: plan{relayOff: true}, bar: bar(wire.NoMulticast), play: relayAppears, want: byRelay},
	{name: "interfaces appear late", plan: plan{noRelay: true, unplugged: true}, play: plugsAppear, want: inTheRoom},
	{name: "address changes mid-share", plan: plan{noRelay: true}, play: asked(readdress(receiver)), want: inTheRoom},
	{name: "address changes at the claim", plan: plan{noRelay: true}, wire: slow, play: readdressAtClaim, want: inTheRoom},
	{name: "both addresses change", play: asked(readdress(sender, receiver)), want: either},
	{name: "another interface mid-share", plan: plan{noRelay: true}, play: asked(moves), want: inTheRoom},
	{name: "interface down and up mid-share", plan: plan{noRelay: true}, play: downAndUp, want: inTheRoom},
	{name: "cable pulled mid-share", plan: plan{uplink: true, relayOff: true}, play: pulled, want: byRelay},
	{name: "cable pulled at the claim", plan: plan{uplink: true, relayOff: true}, play: pulledAtClaim, want: byRelay},
	{name: "cable pulled before the grant, beside a relay", plan: plan{uplink: true}, play: pulledBesideRelay, want: either},
	{name: "cable in and out every 2 s", plan: plan{noRelay: true}, wire: slow, play: flappingMidShare, want: inTheRoom},
	{name: "the same for room and relay, all the time", wire: slow, play: flapping, want: either},
}

// clocks: what time the devices believe it is.
var clocks = []*cell{
	{name: "sender's clock 5 years ahead", plan: plan{noRelay: true, senderAhead: 5 * years}, want: inTheRoom},
	{name: "sender's clock 5 years behind", plan: plan{noRelay: true, senderAhead: -5 * years}, want: inTheRoom},
	{name: "clocks 10 years apart", plan: plan{noRelay: true, senderAhead: -5 * years, receiverAhead: 5 * years}, want: inTheRoom},
}

// habits: what the devices do, and people with them.
var habits = []*cell{
	{name: "receiver comes late", plan: plan{noRelay: true}, play: late, want: inTheRoom},
	{name: "two shares at once", plan: plan{noRelay: true}, play: atOnce(false), want: inTheRoom},
	{name: "two shares that cross", plan: plan{noRelay: true}, play: atOnce(true), want: inTheRoom},
	{name: "sender killed mid-share", plan: plan{noRelay: true}, play: asked(killed), want: inTheRoom},
	{name: "sender killed at the claim", wire: slow, play: killedAtClaim, want: either},
	{name: "receiver killed mid-share", plan: plan{noRelay: true}, play: asked(receiverKilled), want: inTheRoom},
	{name: "receiver killed before it answers done", plan: plan{noRelay: true}, wire: slow, play: killedBeforeItAnswers, want: inTheRoom},
	{name: "sender sleeps mid-share", plan: plan{noRelay: true}, play: sleeps, want: inTheRoom},
}

var (
	rough = wire.Link{Delay: 5 * time.Millisecond, Jitter: 20 * time.Millisecond, Loss: 0.05, Repeat: 0.1}
	slow  = wire.Link{Delay: 100 * time.Millisecond}
)

// bar returns rules that are the same in every room.
func bar(rules ...wire.Rule) func(*room) []wire.Rule {
	return func(*room) []wire.Rule { return rules }
}

// firewall has devices let in only what they asked for, and what mDNS says to all.
func firewall(who ...int) func(*room) []wire.Rule {
	return func(r *room) []wire.Rule {
		var behind []*wire.Station
		for _, i := range who {
			behind = append(behind, r.devices[i].Station)
		}
		return []wire.Rule{wire.Firewall(behind...)}
	}
}

// noRouter keeps all back that goes to the router or comes from it.
func noRouter(r *room) []wire.Rule {
	return []wire.Rule{func(from, to *wire.Port, _ wire.Frame) bool { return from == r.out || to == r.out }}
}
