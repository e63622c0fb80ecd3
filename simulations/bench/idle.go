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

// A spent is what a process and its host have used so far.
type spent struct {
	packets   float64 // datagrams of UDP that left the host
	processor float64 // ms
	switches  float64
}

func spentBy(h *wire.Host, pid int) (u spent, err error) {
	var v4, v6, stat, status []byte
	err = h.Do(func() (err error) {
		if v4, err = os.ReadFile("/proc/thread-self/net/snmp"); err == nil {
			v6, err = os.ReadFile("/proc/thread-self/net/snmp6")
		}
		return err
	})
	if err != nil {
		return u, err
	}
	if stat, err = os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid)); err != nil {
		return u, err
	}
	if status, err = os.ReadFile(fmt.Sprintf("/proc/%d/status", pid)); err != nil {
		return u, err
	}
	for line := range strings.Lines(string(v4) + string(v6)) {
		switch {
		case strings.HasPrefix(line, "Udp: "): // the names first, then the numbers
			u.packets += field(line, 4)
		case strings.HasPrefix(line, "Udp6OutDatagrams"):
			u.packets += field(line, 1)
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
