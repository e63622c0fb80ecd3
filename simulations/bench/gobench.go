//go:build linux

package main

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
)

// goBench runs a Go benchmark and returns what it reports: by its sub-benchmark
// ("" if it has none) and unit.
func goBench(pkg, name, times string) (found map[string]map[string]float64, command string, err error) {
	args := []string{"test", "-run", "^$", "-bench", "^" + name + "$", "-benchtime", times, pkg}
	command = fmt.Sprintf("go test -run '^$' -bench '^%s$' -benchtime %s %s", name, times, pkg)
	c := exec.Command("go", args...)
	c.Stderr = os.Stderr
	out, err := c.Output()
	if err != nil {
		return nil, command, fmt.Errorf("%s: %w\n%s", command, err, out)
	}
	found = map[string]map[string]float64{}
	for line := range bytes.Lines(out) {
		fields := strings.Fields(string(line))
		if len(fields) < 4 || !strings.HasPrefix(fields[0], name) {
			continue
		}
		_, sub, _ := strings.Cut(fields[0], "/")
		if at := strings.LastIndex(sub, "-"); at >= 0 {
			sub = sub[:at] // the number of processors
		}
		units := map[string]float64{}
		for i := 2; i+1 < len(fields); i += 2 {
			if units[fields[i+1]], err = strconv.ParseFloat(fields[i], 64); err != nil {
				return nil, command, fmt.Errorf("%s: %w", command, err)
			}
		}
		found[sub] = units
	}
	if len(found) == 0 {
		return nil, command, fmt.Errorf("%s reported nothing:\n%s", command, out)
	}
	return found, command, nil
}

const (
	relayBench = "./relay/relaybench"
	noiseBench = "./noise"
	quicBench  = "./discovery/lan/quicpath"
)

// times is how often a benchmark's body runs.
func (o options) times(full, short int) string {
	if o.short {
		return strconv.Itoa(short) + "x"
	}
	return strconv.Itoa(full) + "x"
}

// crowds are the durable creates and appends of 1, 16 and 256 clients.
func crowds(o options) (rows []row, err error) {
	for _, what := range []string{"Appends", "Creates"} {
		found, command, err := goBench(relayBench, "Benchmark"+what, o.times(20, 6))
		if err != nil {
			return nil, err
		}
		for _, clients := range []string{"1", "16", "256"} {
			m := found["clients="+clients]
			r := row{Name: "relay " + strings.ToLower(what) + ", " + clients + " clients", Value: m["disk-ops/s"], Unit: "a second", Command: command, Beside: map[string]float64{
				"memory": m["memory-ops/s"], "empty handler": m["empty-ops/s"], "disk/memory": m["disk/memory"], "disk/empty": m["disk/empty"],
			}}
			switch {
			case clients == "256" && what == "Appends":
				r = r.atLeast(5000)
			case clients == "256":
				r.Value, r.Unit = m["disk/memory"], "of memory"
				r.Beside["disk"] = m["disk-ops/s"]
				delete(r.Beside, "disk/memory")
				r = r.atLeast(0.7)
			}
			rows = append(rows, r)
		}
	}
	return rows, nil
}

// weights are what the relay's work weighs one by one.
func weights(o options) ([]row, error) {
	peer, peerCommand, err := goBench(relayBench, "BenchmarkAppendToPeer", o.times(2000, 300))
	if err != nil {
		return nil, err
	}
	share, shareCommand, err := goBench(relayBench, "BenchmarkPendingShare", "1x")
	if err != nil {
		return nil, err
	}
	memory, memoryCommand, err := goBench(relayBench, "BenchmarkRelayMemory", "1x")
	if err != nil {
		return nil, err
	}
	p, s, m := peer[""], share[""], memory[""]
	return []row{
		row{Name: "append to peer", Value: p["disk/floor"], Unit: "of memory + fdatasync", Command: peerCommand,
			Beside: map[string]float64{"disk µs": p["disk-µs"], "memory µs": p["memory-µs"], "fdatasync µs": p["fdatasync-µs"]}}.atMost(1.5),
		row{Name: "pending share, memory", Value: s["memory-B"], Unit: "B", Command: shareCommand}.atMost(500),
		row{Name: "pending share, disk beyond its frames", Value: s["disk-B"], Unit: "B", Command: shareCommand}.atMost(1000),
		row{Name: "idle relay, resident", Value: m["idle-MB"], Unit: "MB", Command: memoryCommand,
			Beside: map[string]float64{"anonymous MB": m["idle-anonymous-MB"]}}.atMost(15),
		row{Name: "idle waiter", Value: m["waiter-B"] / 1e3, Unit: "kB", Command: memoryCommand}.atMost(10),
	}, nil
}

// primitives are the session beside what it is made of.
func primitives(o options) ([]row, error) {
	var rows []row
	for _, b := range []struct {
		name, bench string
		times       string
		speed       bool
		goal        float64
	}{
		{"session handshake", "BenchmarkHandshake", o.times(1000, 200), false, 1.1},
		{"sealing 60 kB", "BenchmarkSeal60k", o.times(5000, 1000), true, 0.8},
		{"opening 60 kB", "BenchmarkOpen60k", o.times(5000, 1000), true, 0.8},
	} {
		found, command, err := goBench(noiseBench, b.bench, b.times)
		if err != nil {
			return nil, err
		}
		m := found[""]
		r := row{Name: b.name, Value: m["ours/theirs"], Unit: "of its primitives' time", Command: command,
			Beside: map[string]float64{"ours µs": m["ours-ns/op"] / 1e3, "primitives µs": m["theirs-ns/op"] / 1e3}}
		if b.speed {
			r.Value, r.Unit = 1/r.Value, "of raw ChaCha20-Poly1305's speed"
			rows = append(rows, r.atLeast(b.goal))
			continue
		}
		rows = append(rows, r.atMost(b.goal))
	}
	return rows, nil
}

// connects is the time to the first frame of a direct path.
func connects(o options) ([]row, error) {
	found, command, err := goBench(quicBench, "BenchmarkConnect", o.times(50, 15))
	if err != nil {
		return nil, err
	}
	m := found[""]
	return []row{row{Name: "connect to the first frame", Value: m["ours-trips"], Unit: "round trips", Command: command,
		Beside: map[string]float64{"quic-go in its plain order": m["plain-trips"]}}.atMost(1.1)}, nil
}
