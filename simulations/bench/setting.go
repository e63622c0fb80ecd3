//go:build linux

package main

import (
	"fmt"
	"net/netip"
	"os"
	"time"

	"github.com/sparekey/sparekey/simulations/programs"
	"github.com/sparekey/sparekey/simulations/wire"
)

// A setting is a wire with three hosts and a folder for what they write.
type setting struct {
	*wire.Wire
	bin, dir     string
	certificates programs.Certificates
}

// Of the hosts, who is who.
const (
	senderHost = iota
	receiverHost
	relayHost
)

// Where the hosts are. Those of shares over a relay have addresses of loopback's,
// so that plain HTTP, which devices use within a machine only, can be measured over
// the wire too. In a room there is no relay, and addresses are a network's.
var (
	apart  = []netip.Addr{netip.MustParseAddr("127.80.0.1"), netip.MustParseAddr("127.80.0.2"), netip.MustParseAddr(relayAddr)}
	inRoom = []netip.Addr{netip.MustParseAddr("10.80.0.1"), netip.MustParseAddr("10.80.0.2")}
)

func newSetting(bin string, hosts []netip.Addr) (*setting, error) {
	dir, err := folders.add("bench")
	if err != nil {
		return nil, err
	}
	spread(dir)
	s := &setting{bin: bin, dir: dir}
	// Devices have as many roots to look through as people's have: the relay's own
	// stands behind all of these.
	roots, err := os.ReadFile(systemRoots)
	if err != nil {
		return nil, fmt.Errorf("devices need roots to look through; install Debian's ca-certificates: %w", err)
	}
	if s.certificates, err = programs.Certify(dir, roots, 24*time.Hour, netip.MustParseAddr(relayAddr)); err != nil {
		return nil, err
	}
	s.Wire, err = wire.New(hosts...)
	if err != nil {
		os.RemoveAll(dir)
		return nil, err
	}
	return s, nil
}

// systemRoots is where Debian keeps its roots in one file.
const systemRoots = "/etc/ssl/certs/ca-certificates.crt"

const relayAddr = "127.80.0.3"

func (s *setting) close() {
	s.Wire.Close()
	os.RemoveAll(s.dir)
}
