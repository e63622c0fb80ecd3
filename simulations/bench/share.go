//go:build linux

package main

import (
	"context"
	"crypto/rand"
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

// A way is how shares are measured.
type way struct {
	name        string
	size        int // of the credential, in bytes
	tls, room   bool
	trips       float64 // goals
	fixed       time.Duration
	bin         string // of the programs
	relay       *programs.Relay
	whole, last [][]time.Duration // by rtt, a value a run: from the start; from the gesture
}

func ways() []*way {
	return []*way{
		{name: "share 1 kB http", size: 1000, trips: 4.1, fixed: 35 * time.Millisecond},
		{name: "share 1 kB https", size: 1000, tls: true, trips: 5.1, fixed: 35 * time.Millisecond},
		{name: "share 100 kB http", size: 100_000, trips: 7, fixed: 40 * time.Millisecond},
		{name: "share 100 kB https", size: 100_000, tls: true, trips: 7, fixed: 40 * time.Millisecond},
	}
}

// roomWays are those without a relay.
func roomWays() []*way {
	return []*way{{name: "room share 1 kB", size: 1000, room: true, trips: 3.1, fixed: 30 * time.Millisecond}}
}

var rtts = []time.Duration{0, 50 * time.Millisecond, 100 * time.Millisecond}

// shares measures shares over a relay, rooms those in one room.
func shares(o options) ([]row, error) { return measure(o, apart, ways) }
func rooms(o options) ([]row, error)  { return measure(o, inRoom, roomWays) }

// measure measures whole processes: from the sender's start to the receiver's
// bytes in place, the receiver started the moment the link is printed. Both
// devices have been used before: their vaults exist. The ways take turns, so
// that the machine's moods fall on all.
func measure(o options, hosts []netip.Addr, ways func() []*way) (rows []row, err error) {
	s, err := newSetting(o.bin, hosts)
	if err != nil {
		return nil, err
	}
	defer s.close()
	var all []*way
	for _, bin := range []string{o.bin, o.vs} {
		for _, w := range ways() {
			if w.bin = bin; bin != "" && o.wants(w.name) {
				all = append(all, w)
			}
		}
	}
	ours := len(all)
	if o.vs != "" {
		ours /= 2
	}
	for _, w := range all {
		if err := s.serve(w); err != nil {
			return nil, err
		}
		if w.relay != nil {
			defer w.relay.Kill()
		}
		w.whole, w.last = make([][]time.Duration, len(rtts)), make([][]time.Duration, len(rtts))
	}
	floors := newFloor(s)
	for run := range o.runs + 1 {
		if err := s.turn(all, run > 0); err != nil { // the first is to warm up
			return nil, err
		}
		if err := floors.measure(); err != nil {
			return nil, err
		}
	}
	for i, w := range all[:ours] {
		rows = append(rows, w.rows(o, floors)...)
		if o.vs != "" {
			rows = append(rows, w.against(all[ours+i], o))
		}
	}
	return rows, nil
}

// turn has each way make a share at each round trip, and notes how long it took if it counts.
func (s *setting) turn(all []*way, counts bool) error {
	for i, rtt := range rtts {
		s.Set(wire.Link{Delay: rtt / 2})
		for _, w := range all {
			whole, last, err := s.share(w)
			if err != nil {
				return fmt.Errorf("%s at %v: %w", w.name, rtt, err)
			}
			if counts {
				w.whole[i], w.last[i] = append(w.whole[i], whole), append(w.last[i], last)
			}
		}
	}
	return nil
}

// serve starts a way's relay, if it has one.
func (s *setting) serve(w *way) (err error) {
	if w.room {
		return nil
	}
	args := []string{"--plain-http"}
	if w.tls {
		args = []string{"--tls-cert", s.certificates.Cert, "--tls-key", s.certificates.Key}
	}
	w.relay, err = s.relay(s.Host(relayHost), w.bin, args...)
	return err
}

// by is where the sender of a way is told to leave the share. Who has a relay looks
// in the room too, as people do.
func (w *way) by() []string {
	if w.room {
		return []string{"--paths", "lan"}
	}
	return []string{"--relay", w.relay.URL}
}

// syncs counts the syncs that wait for one another between the sender's start and
// the receiver's bytes in place: of the sender its offer 2 (file and folder), and
// pin and grant together 2; of the receiver its claim 2, grant and intent together
// 2, and the credential's own file 1; of a relay the claim 1 and the grant 1. Its
// create goes on beside the receiver's start.
func (w *way) syncs() int {
	if w.room {
		return 9
	}
	return 11
}

// judgeGesture judges the way from the gesture, for which a goal is set where the
// credential fits the first windows.
func (w *way) judgeGesture(r row) row {
	if w.size > 10_000 {
		return r
	}
	return r.atMost(1.05)
}

// against compares a way with the same way by other programs, run by run.
func (w *way) against(other *way, o options) row {
	r := row{Name: w.name + ", beside " + o.beside, Unit: "of its time", Beside: map[string]float64{}, Command: "bin/bench -only share -vs " + o.beside}
	var all []float64
	for i, rtt := range rtts {
		var ratios []float64
		for run := range w.whole[i] {
			ratios = append(ratios, w.whole[i][run].Seconds()/other.whole[i][run].Seconds())
		}
		all = append(all, ratios...)
		r.Beside[fmt.Sprintf("at %d ms", rtt.Milliseconds())] = median(ratios)
		r.Beside[fmt.Sprintf("ms less at %d", rtt.Milliseconds())] = ms(median(other.whole[i]) - median(w.whole[i]))
	}
	r.Value = median(all)
	return r
}

// rows fits a way's medians.
func (w *way) rows(o options, f *floor) []row {
	medians := func(by [][]time.Duration) (m []time.Duration) {
		for _, v := range by {
			m = append(m, median(v))
		}
		return m
	}
	whole, last := medians(w.whole), medians(w.last)
	at := map[string]float64{}
	for i, rtt := range rtts {
		at[fmt.Sprintf("ms at %d", rtt.Milliseconds())] = ms(whole[i])
		at[fmt.Sprintf("fastest at %d", rtt.Milliseconds())] = ms(slices.Min(w.whole[i]))
	}
	command := fmt.Sprintf("bin/bench -only %q -runs %d", w.name, o.runs)
	trips, fixed := fit(rtts, whole)
	gesture, after := fit(rtts, last)
	if !w.room {
		gesture /= 2 // an end-to-end round trip is two of the relay's
	}
	return []row{
		row{Name: w.name, Value: trips, Unit: "round trips", Beside: at, Command: command}.atMost(w.trips),
		row{Name: w.name + ", fixed", Value: ms(fixed), Unit: "ms", Command: command, Beside: map[string]float64{
			"floor ms": ms(f.total(w.syncs())), "fixed/floor": fixed.Seconds() / f.total(w.syncs()).Seconds(),
			"ms two empty programs": ms(2 * median(f.starts)), fmt.Sprintf("ms %d syncs in a row", w.syncs()): ms(time.Duration(w.syncs()) * median(f.syncs)),
		}}.atMost(ms(w.fixed)),
		w.judgeGesture(row{Name: w.name + ", gesture to in place", Value: gesture, Unit: "round trips end to end", Command: command,
			Beside: map[string]float64{"fixed ms": ms(after)}}),
	}
}

// share makes one share, and returns how long it took from the sender's start
// and from the receiver's gesture to the bytes in their place.
func (s *setting) share(w *way) (whole, last time.Duration, err error) {
	dir, err := os.MkdirTemp(s.dir, "share-")
	if err != nil {
		return 0, 0, err
	}
	// The folder stays until the end of all: see spread.
	file, placed := filepath.Join(dir, "key"), filepath.Join(dir, "placed")
	sender, receiver := s.device(w.bin, filepath.Join(dir, "sender")), s.device(w.bin, filepath.Join(dir, "receiver"))
	content := make([]byte, w.size)
	rand.Read(content)
	err = errors.Join(os.WriteFile(file, content, 0o600), os.Mkdir(placed, 0o700), sender.Command("list").Run(), receiver.Command("list").Run())
	if err != nil {
		return 0, 0, err
	}
	see, err := watchFolder(placed)
	if err != nil {
		return 0, 0, err
	}
	defer see.f.Close()
	return s.hand(w, sender, receiver, file, placed, see)
}

// hand hands a file over, and sees when it is in its place.
func (s *setting) hand(w *way, sender, receiver programs.Device, file, placed string, see *watch) (whole, last time.Duration, err error) {
	ctx, cancel := context.WithTimeoutCause(context.Background(), shareTime, fmt.Errorf("a share takes more than %v", shareTime))
	defer cancel()
	giver, err := programs.Start(s.Host(senderHost), sender.Command(append([]string{"share", file, "--yes"}, w.by()...)...))
	if err != nil {
		return 0, 0, err
	}
	defer giver.Kill()
	offered, err := giver.Said(ctx, "share.offered")
	if err != nil {
		return 0, 0, err
	}
	taker, err := programs.Start(s.Host(receiverHost), receiver.Command("receive", offered.Link, "--yes", "-o", filepath.Join(placed, "got")))
	if err != nil {
		return 0, 0, err
	}
	defer taker.Kill()
	viewed, err := taker.Said(ctx, "share.viewed")
	if err != nil {
		return 0, 0, err
	}
	var at time.Time
	seen := make(chan error, 1)
	go func() {
		t, err := see.appeared("got")
		at = t
		seen <- err
	}()
	for _, p := range []*programs.Process{taker, giver} {
		if _, err := p.End(ctx); err != nil {
			return 0, 0, err
		}
	}
	if err := <-seen; err != nil {
		return 0, 0, err
	}
	return at.Sub(giver.Began), at.Sub(viewed.When), nil
}

// shareTime bounds one share, which takes a second on the slowest machine.
const shareTime = time.Minute
