//go:build linux

package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/sparekey/sparekey/simulations/programs"
	"github.com/sparekey/sparekey/simulations/wire"
)

// idle is what a sender that waits in a room costs: packets it sends, processor
// time and how often it wakes, a minute.
func idle(o options) ([]row, error) {
	s, err := newSetting(o.bin, inRoom)
	if err != nil {
		return nil, err
	}
	defer s.close()
	file := filepath.Join(s.dir, "key")
	if err := os.WriteFile(file, []byte("a key"), 0o600); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeoutCause(context.Background(), shareTime, fmt.Errorf("a share is not offered after %v", shareTime))
	defer cancel()
	host := s.Host(senderHost)
	sender := s.device(o.bin, filepath.Join(s.dir, "sender"))
	p, err := programs.Start(host, sender.Command("share", file, "--yes", "--paths", "lan"))
	if err != nil {
		return nil, err
	}
	defer p.Kill()
	if _, err := p.Said(ctx, "share.offered"); err != nil {
		return nil, err
	}
	span := 2 * time.Minute
	if o.short {
		span = 30 * time.Second
	}
	time.Sleep(settled)
	before, err := spentBy(host, p.PID())
	if err != nil {
		return nil, err
	}
	time.Sleep(span)
	after, err := spentBy(host, p.PID())
	if err != nil {
		return nil, err
	}
	minute := func(n float64) float64 { return n / span.Minutes() }
	command := "bin/bench -only idle"
	return []row{
		row{Name: "idle sender in a room, packets", Value: minute(after.packets - before.packets), Unit: "a minute", Command: command}.atMost(0),
		{Name: "idle sender in a room, processor", Value: minute(after.processor - before.processor), Unit: "ms a minute", Command: command,
			Beside: map[string]float64{"switches of its first thread": minute(after.switches - before.switches)}},
	}, nil
}

// settled is how long the system goes on telling routers of groups that were just
// joined (RFC 3376 section 8.11, RFC 3810 section 9.14), which is once a share.
const settled = 15 * time.Second

// A spent is what a process and its host have used so far.
type spent struct {
	packets   float64 // that left the host
	processor float64 // ms
	switches  float64
}

func spentBy(h *wire.Host, pid int) (u spent, err error) {
	var devices, stat, status []byte
	if err := h.Do(func() (err error) { devices, err = os.ReadFile("/proc/thread-self/net/dev"); return err }); err != nil {
		return u, err
	}
	if stat, err = os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid)); err != nil {
		return u, err
	}
	if status, err = os.ReadFile(fmt.Sprintf("/proc/%d/status", pid)); err != nil {
		return u, err
	}
	for line := range strings.Lines(string(devices)) {
		if _, counters, ok := strings.Cut(line, ":"); ok {
			u.packets += field(counters, 9) // packets sent
		}
	}
	_, rest, _ := strings.Cut(string(stat), ") ")
	u.processor = (field(rest, 11) + field(rest, 12)) * 10 // user and system, in 10 ms
	for line := range strings.Lines(string(status)) {
		if strings.Contains(line, "voluntary_ctxt_switches") {
			u.switches += field(line, 1)
		}
	}
	return u, nil
}

// field reads the n-th number of a line's words.
func field(line string, n int) float64 {
	words := strings.Fields(line)
	if n >= len(words) {
		return 0
	}
	v, _ := strconv.ParseFloat(words[n], 64)
	return v
}
