//go:build linux

package wire

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"sync"

	"golang.org/x/sys/unix"
)

// A Station is a machine that can be plugged into switches: a network namespace
// and a host name, with its loopback device up and no other to begin with.
type Station struct {
	Name string

	space *space
	mu    sync.Mutex
	ports []*Port
}

// NewStation makes a station. Its name is its programs' host name. Close it.
func NewStation(name string) (*Station, error) {
	st := &Station{Name: name}
	space, err := newSpace(name, func() error {
		// An address counts at once: on a wire of ours nobody else has it.
		err := sysctl(map[string]string{"ipv6/conf/all/accept_dad": "0", "ipv6/conf/default/accept_dad": "0"})
		return errors.Join(err, ip("link set lo up"))
	})
	st.space = space
	return st, err
}

// Do calls f on the station's thread: what f opens or starts itself is the
// station's; goroutines that it starts are not.
func (st *Station) Do(f func() error) error { return st.space.do(f) }

// Start starts a program on the station. It dies with this process.
func (st *Station) Start(c *exec.Cmd) error { return st.space.start(c) }

// IP runs the ip command on the station with these words, separated by spaces:
// addresses, routes and interfaces change while programs run.
func (st *Station) IP(args string) error { return st.Do(func() error { return ip(args) }) }

// NoIPv6 makes it a station that doesn't know IPv6.
func (st *Station) NoIPv6() error {
	return st.Do(func() error {
		return sysctl(map[string]string{"ipv6/conf/all/disable_ipv6": "1", "ipv6/conf/default/disable_ipv6": "1"})
	})
}

// Close unplugs the station and takes it away, with what runs on it.
func (st *Station) Close() error {
	st.mu.Lock()
	ports := st.ports
	st.mu.Unlock()
	var errs []error
	for _, p := range ports {
		errs = append(errs, p.Unplug())
	}
	st.space.close()
	return errors.Join(errs...)
}

// A Port is where an interface of a station is plugged into a switch. Its
// methods may be called at any time, also while frames are under way.
type Port struct {
	Station *Station
	Name    string           // of the interface
	MAC     net.HardwareAddr // of the interface

	s    *Switch
	tap  *os.File // the switch's end of the interface
	gone sync.Once

	fate fate // these two are guarded by the courier's mu
	cut  bool
}

// newPort makes an interface on a station and sets it up.
func newPort(s *Switch, st *Station, name string) (*Port, error) {
	p := &Port{Station: st, Name: name, s: s}
	err := st.Do(func() (err error) {
		if p.tap, err = openDevice(name, unix.IFF_TAP); err != nil {
			return err
		}
		if err := ip("link set " + name + " up mtu 1500 txqueuelen 10000"); err != nil {
			return err
		}
		i, err := net.InterfaceByName(name)
		if err != nil {
			return err
		}
		p.MAC = i.HardwareAddr
		return nil
	})
	if err != nil {
		if p.tap != nil {
			p.tap.Close()
		}
		return nil, fmt.Errorf("%s of %s can't be plugged in: %w", name, st.Name, err)
	}
	st.mu.Lock()
	st.ports = append(st.ports, p)
	st.mu.Unlock()
	return p, nil
}

// Set says what becomes of the frames that this port sends from now on.
func (p *Port) Set(l Link) {
	p.s.courier.mu.Lock()
	defer p.s.courier.mu.Unlock()
	p.fate = l.begin()
}

// Cut pulls the cable, in silence: the interface stays up, and what is sent or
// arrives is lost, with what is under way. Mend puts it back.
func (p *Port) Cut() { p.pull(true) }

// Mend ends a Cut.
func (p *Port) Mend() { p.pull(false) }

func (p *Port) pull(cut bool) {
	p.s.courier.mu.Lock()
	defer p.s.courier.mu.Unlock()
	p.cut = cut
}

// Unplug takes the interface away from the station.
func (p *Port) Unplug() (err error) {
	p.gone.Do(func() {
		p.s.forget(p)
		err = p.tap.Close()
	})
	return err
}

// take implements taker. The courier's mu is held.
func (p *Port) take(frame []byte) {
	if !p.cut {
		p.tap.Write(frame) // an interface that is down or gone has lost it
	}
}
