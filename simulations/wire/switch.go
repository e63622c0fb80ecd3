//go:build linux

package wire

import (
	"errors"
	"slices"
	"time"
)

// A Switch carries Ethernet frames between the ports that are plugged into it, to
// the one that has an address, else to all. Its methods may be called at any time.
type Switch struct {
	courier *courier

	ports  []*Port // all below is guarded by the courier's mu
	where  map[[6]byte]*Port
	rules  []Rule
	record *Recording // nil: none runs
}

// A Rule reports whether a frame doesn't pass from one port to another. It must
// be quick, and call nothing of the switch.
type Rule func(from, to *Port, f Frame) bool

// NewSwitch makes a switch without ports. Close it.
func NewSwitch() (*Switch, error) {
	k, err := newCourier()
	if err != nil {
		return nil, err
	}
	return &Switch{courier: k, where: map[[6]byte]*Port{}}, nil
}

// Plug gives a station an interface of that name, up and without any address but
// its link-local one of IPv6, and plugs it into the switch.
func (s *Switch) Plug(st *Station, name string) (*Port, error) {
	p, err := newPort(s, st, name)
	if err != nil {
		return nil, err
	}
	s.courier.mu.Lock()
	s.ports = append(s.ports, p)
	s.courier.mu.Unlock()
	s.courier.work.Go(func() { s.carry(p) })
	return p, nil
}

// Bar sets the rules, in place of those before.
func (s *Switch) Bar(rules ...Rule) {
	s.courier.mu.Lock()
	defer s.courier.mu.Unlock()
	s.rules = rules
}

// Set says what becomes of the frames of all ports that are plugged in now.
func (s *Switch) Set(l Link) {
	s.courier.mu.Lock()
	defer s.courier.mu.Unlock()
	for i, p := range s.ports {
		l.Seed += uint64(i)
		p.fate = l.begin()
	}
}

// A Recording has copies of the frames that ports have sent, also of those that
// were lost.
type Recording struct {
	s      *Switch
	frames []Frame // guarded by the courier's mu
}

// Record begins a recording, in place of one that runs.
func (s *Switch) Record() *Recording {
	s.courier.mu.Lock()
	defer s.courier.mu.Unlock()
	s.record = &Recording{s: s}
	return s.record
}

// Frames returns what has been recorded so far.
func (r *Recording) Frames() []Frame {
	r.s.courier.mu.Lock()
	defer r.s.courier.mu.Unlock()
	return slices.Clone(r.frames)
}

// Stop ends the recording.
func (r *Recording) Stop() {
	r.s.courier.mu.Lock()
	defer r.s.courier.mu.Unlock()
	if r.s.record == r {
		r.s.record = nil
	}
}

// Close unplugs all ports.
func (s *Switch) Close() error {
	errs := []error{s.courier.close()}
	s.courier.mu.Lock()
	ports := slices.Clone(s.ports)
	s.courier.mu.Unlock()
	for _, p := range ports {
		errs = append(errs, p.Unplug())
	}
	s.courier.work.Wait()
	return errors.Join(errs...)
}

// carry takes what a port's interface sends until it is unplugged.
func (s *Switch) carry(from *Port) {
	b := make([]byte, 1<<16)
	for {
		n, err := from.tap.Read(b)
		if err != nil {
			return
		}
		if n < header {
			continue
		}
		now := time.Now()
		s.courier.mu.Lock()
		s.pass(now, from, Frame(b[:n]))
		s.courier.deliver()
		s.courier.mu.Unlock()
	}
}

// pass sends a frame to where it goes.
func (s *Switch) pass(now time.Time, from *Port, f Frame) {
	if s.record != nil {
		s.record.frames = append(s.record.frames, slices.Clone(f))
	}
	if from.cut {
		return
	}
	s.where[f.source()] = from
	at := s.where[f.destination()]
	for _, to := range s.ports {
		if to == from || at != nil && to != at {
			continue
		}
		if slices.ContainsFunc(s.rules, func(r Rule) bool { return r(from, to, f) }) {
			continue
		}
		s.courier.send(now, to, f, from.fate.draw())
	}
}

// forget takes a port off the switch.
func (s *Switch) forget(p *Port) {
	s.courier.mu.Lock()
	defer s.courier.mu.Unlock()
	s.ports = slices.DeleteFunc(slices.Clone(s.ports), func(o *Port) bool { return o == p })
	for mac, at := range s.where {
		if at == p {
			delete(s.where, mac)
		}
	}
}
