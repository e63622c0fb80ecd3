//go:build linux

package main

import (
	"net/netip"
	"os"

	"github.com/sparekey/sparekey/simulations/wire"
)

// A setting is a wire with three hosts and a folder for what they write.
type setting struct {
	*wire.Wire
	bin, dir string
}

// Of the hosts, who is who. Their addresses are loopback's, so that plain HTTP,
// which devices use within a machine only, can be measured over the wire too.
const (
	senderHost = iota
	receiverHost
	relayHost
)

func newSetting(bin string) (*setting, error) {
	dir, err := os.MkdirTemp("", "sparekey-bench-")
	if err != nil {
		return nil, err
	}
	s := &setting{bin: bin, dir: dir}
	if err := s.makeCertificates(); err != nil {
		return nil, err
	}
	s.Wire, err = wire.New(netip.MustParseAddr("127.80.0.1"), netip.MustParseAddr("127.80.0.2"), netip.MustParseAddr(relayAddr))
	if err != nil {
		os.RemoveAll(dir)
		return nil, err
	}
	return s, nil
}

const relayAddr = "127.80.0.3"

func (s *setting) close() {
	s.Wire.Close()
	os.RemoveAll(s.dir)
}
