//go:build linux

package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"time"

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
	if err := s.makeCertificate(); err != nil {
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

func (s *setting) certFile() string { return filepath.Join(s.dir, "cert.pem") }
func (s *setting) keyFile() string  { return filepath.Join(s.dir, "key.pem") }

// makeCertificate makes the relay's certificate, which devices take for a root.
func (s *setting) makeCertificate() error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	c := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "bench"}, IPAddresses: []net.IP{net.ParseIP(relayAddr)},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour), IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, c, c, key.Public(), key)
	if err != nil {
		return err
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return err
	}
	if err := os.WriteFile(s.certFile(), pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600); err != nil {
		return err
	}
	return os.WriteFile(s.keyFile(), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private}), 0o600)
}
