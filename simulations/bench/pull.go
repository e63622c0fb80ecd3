//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/sparekey/sparekey/simulations/programs"
	"github.com/sparekey/sparekey/simulations/wire"
)

// pulled is how long a share that goes by the room is without a path when that path
// is cut, without a word to anybody: from the cut, the moment the receiver begins to
// put the credential in its place, to the sender hearing by the relay that it is there.
func pulled(o options) ([]row, error) {
	s, err := newBranch(o.bin)
	if err != nil {
		return nil, err
	}
	defer s.close()
	var took []time.Duration
	for range max(3, o.runs/3) {
		d, err := s.pull()
		if err != nil {
			return nil, err
		}
		took = append(took, d)
	}
	return []row{row{Name: "pulled path to the next frame", Value: ms(median(took)), Unit: "ms", Command: "bin/bench -only pulled",
		Beside: map[string]float64{"ms a round trip to the relay": ms(2 * branchDelay), "slowest": ms(slices.Max(took))}}.atMost(2000)}, nil
}

// branchDelay is what a frame takes from one machine of a branch to another.
const branchDelay = 10 * time.Millisecond

// A branch is a switch with two devices and a relay.
type branch struct {
	bin, dir string
	lines    *wire.Switch
	stations []*wire.Station // as senderHost and so on
	relay    *programs.Relay
	roots    string
	shares   int
}

func newBranch(bin string) (s *branch, err error) {
	s = &branch{bin: bin}
	defer func() {
		if err != nil {
			s.close()
		}
	}()
	if s.dir, err = folders.add("bench"); err != nil {
		return s, err
	}
	spread(s.dir)
	if s.lines, err = wire.NewSwitch(); err != nil {
		return s, err
	}
	for i := range 3 {
		st, err := wire.NewStation(fmt.Sprint("station", i))
		if err != nil {
			return s, err
		}
		s.stations = append(s.stations, st)
		if _, err := s.lines.Plug(st, "eth0"); err != nil {
			return s, err
		}
		if err := st.IP(fmt.Sprintf("addr add 198.51.100.%d/24 dev eth0", i+1)); err != nil {
			return s, err
		}
	}
	s.lines.Set(wire.Link{Delay: branchDelay})
	address := "198.51.100.3" // a public one: devices ask about others
	c, err := programs.Certify(s.dir, nil, 24*time.Hour, netip.MustParseAddr(address))
	if err != nil {
		return s, err
	}
	s.roots = c.Roots
	s.relay, err = programs.Serve(s.stations[relayHost], bin, address+":0", filepath.Join(s.dir, "relay"), "--tls-cert", c.Cert, "--tls-key", c.Key)
	return s, err
}

func (s *branch) close() error {
	if s.relay != nil {
		s.relay.Kill()
	}
	var errs []error
	for _, st := range s.stations {
		errs = append(errs, st.Close())
	}
	if s.lines != nil {
		errs = append(errs, s.lines.Close())
	}
	return errors.Join(append(errs, os.RemoveAll(s.dir))...)
}

// keepApart is a rule that keeps two stations apart.
func keepApart(a, b *wire.Station) wire.Rule {
	return func(from, to *wire.Port, _ wire.Frame) bool {
		return from.Station == a && to.Station == b || from.Station == b && to.Station == a
	}
}

// pull makes one share, and cuts it.
func (s *branch) pull() (time.Duration, error) {
	s.shares++
	dir := filepath.Join(s.dir, fmt.Sprint("share", s.shares))
	file := filepath.Join(dir, "key")
	if err := errors.Join(os.Mkdir(dir, 0o700), os.WriteFile(file, []byte("a key"), 0o600)); err != nil {
		return 0, err
	}
	device := func(name string) programs.Device {
		return programs.Device{Bin: s.bin, Home: filepath.Join(dir, name), User: dir, Roots: s.roots}
	}
	s.lines.Bar()
	ctx, cancel := context.WithTimeoutCause(context.Background(), shareTime, fmt.Errorf("a share takes more than %v", shareTime))
	defer cancel()
	giver, err := programs.Start(s.stations[senderHost], device("sender").Command("share", file, "--yes", "--relay", s.relay.URL))
	if err != nil {
		return 0, err
	}
	defer giver.Kill()
	offered, err := giver.Said(ctx, "share.offered")
	if err != nil {
		return 0, err
	}
	taker, err := programs.Start(s.stations[receiverHost], device("receiver").Command("receive", offered.Link, "--yes", "-o", filepath.Join(dir, "got")))
	if err != nil {
		return 0, err
	}
	defer taker.Kill()
	placing, err := taker.Said(ctx, "share.provisioning")
	if err != nil {
		return 0, err
	}
	s.lines.Bar(keepApart(s.stations[senderHost], s.stations[receiverHost]))
	cut := time.Now()
	done, err := giver.Said(ctx, "share.done")
	if err != nil {
		return 0, err
	}
	if _, err := taker.End(ctx); err != nil {
		return 0, err
	}
	if done.When.Before(cut) || placing.Path == done.Path {
		return 0, fmt.Errorf("the cut came too late: granted by %s, done by %s", placing.Path, done.Path)
	}
	return done.When.Sub(cut), nil
}
