//go:build linux

package wire

import (
	"errors"
	"net/netip"
	"time"
)

// A Wire joins its hosts. Its methods may be called at the same time.
type Wire struct {
	courier *courier
	hosts   []*Host
	fate    fate // guarded by the courier's mu
}

// New makes a wire with a host at each of the addresses, IPv4. Close it.
func New(addrs ...netip.Addr) (*Wire, error) {
	k, err := newCourier()
	if err != nil {
		return nil, err
	}
	w := &Wire{courier: k}
	for _, a := range addrs {
		h, err := newHost(a)
		if err != nil {
			return nil, errors.Join(err, w.Close())
		}
		w.hosts = append(w.hosts, h)
	}
	for _, h := range w.hosts {
		k.work.Go(func() { w.carry(h) })
	}
	return w, nil
}

// Host returns the i-th host.
func (w *Wire) Host(i int) *Host { return w.hosts[i] }

// Set says what becomes of packets from now on. Those that are under way arrive
// as they would have.
func (w *Wire) Set(l Link) {
	w.courier.mu.Lock()
	defer w.courier.mu.Unlock()
	w.fate = l.begin()
}

// Close takes the wire and its hosts away. Programs on them must have ended.
func (w *Wire) Close() error {
	errs := []error{w.courier.close()}
	for _, h := range w.hosts {
		errs = append(errs, h.close())
	}
	w.courier.work.Wait()
	return errors.Join(errs...)
}

// carry takes what a host sends until its device is closed.
func (w *Wire) carry(from *Host) {
	b := make([]byte, 1<<16)
	for {
		n, err := from.tun.Read(b)
		if err != nil {
			return
		}
		now := time.Now()
		to, ok := destination(b[:n])
		if !ok {
			continue
		}
		w.courier.mu.Lock()
		for _, h := range w.hosts {
			if h != from && (h.Addr == to || to.IsMulticast()) {
				w.courier.send(now, h, b[:n], w.fate.draw())
			}
		}
		w.courier.deliver()
		w.courier.mu.Unlock()
	}
}

// destination reads where a packet goes (RFC 791 section 3.1).
func destination(b []byte) (netip.Addr, bool) {
	if len(b) < 20 || b[0]>>4 != 4 {
		return netip.Addr{}, false
	}
	return netip.AddrFromSlice(b[16:20])
}
