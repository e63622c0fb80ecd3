//go:build linux

package main

import (
	"maps"
	"math"
	"slices"
	"time"
)

// fit fits times over round trips by least squares to trips × rtt + fixed.
func fit(rtt, took []time.Duration) (trips float64, fixed time.Duration) {
	var x, y, xx, xy float64
	for i := range rtt {
		a, b := rtt[i].Seconds(), took[i].Seconds()
		x, y, xx, xy = x+a, y+b, xx+a*a, xy+a*b
	}
	n := float64(len(rtt))
	trips = (n*xy - x*y) / (n*xx - x*x)
	return trips, time.Duration((y - trips*x) / n * float64(time.Second))
}

func median[T float64 | time.Duration](v []T) T {
	if len(v) == 0 {
		var none T
		return none
	}
	v = slices.Sorted(slices.Values(v))
	return (v[(len(v)-1)/2] + v[len(v)/2]) / 2
}

func ms(d time.Duration) float64 { return math.Round(d.Seconds()*1e5) / 1e2 }

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
