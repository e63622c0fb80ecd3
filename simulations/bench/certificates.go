//go:build linux

package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"slices"
	"time"
)

func (s *setting) certFile() string  { return filepath.Join(s.dir, "cert.pem") }
func (s *setting) keyFile() string   { return filepath.Join(s.dir, "key.pem") }
func (s *setting) rootsFile() string { return filepath.Join(s.dir, "roots.pem") }

// systemRoots is where Debian keeps its roots in one file. Devices have as many to
// look through as people's have: the relay's own stands behind all of these.
const systemRoots = "/etc/ssl/certs/ca-certificates.crt"

// makeCertificates makes the relay's certificate, and the devices' roots.
func (s *setting) makeCertificates() error {
	roots, err := os.ReadFile(systemRoots)
	if err != nil {
		return fmt.Errorf("devices need roots to look through; install Debian's ca-certificates: %w", err)
	}
	rootKey, root, err := certify(nil, nil, &x509.Certificate{
		Subject: pkix.Name{CommonName: "root of the bench"}, IsCA: true, KeyUsage: x509.KeyUsageCertSign})
	if err != nil {
		return err
	}
	key, leaf, err := certify(root, rootKey, &x509.Certificate{
		Subject: pkix.Name{CommonName: "relay of the bench"}, IPAddresses: []net.IP{net.ParseIP(relayAddr)}, KeyUsage: x509.KeyUsageDigitalSignature})
	if err != nil {
		return err
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return err
	}
	for name, text := range map[string][]byte{
		s.rootsFile(): slices.Concat(roots, block("CERTIFICATE", root.Raw)),
		s.certFile():  block("CERTIFICATE", leaf.Raw),
		s.keyFile():   block("PRIVATE KEY", private),
	} {
		if err := os.WriteFile(name, text, 0o600); err != nil {
			return err
		}
	}
	return nil
}

func block(kind string, b []byte) []byte { return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: b}) }

// certify makes a key and a certificate of it by an issuer; nil: by itself.
func certify(by *x509.Certificate, byKey *ecdsa.PrivateKey, c *x509.Certificate) (*ecdsa.PrivateKey, *x509.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, err
	}
	c.SerialNumber, c.BasicConstraintsValid = big.NewInt(time.Now().UnixNano()), true
	c.NotBefore, c.NotAfter = time.Now().Add(-time.Hour), time.Now().Add(24*time.Hour)
	if by == nil {
		by, byKey = c, key
	}
	der, err := x509.CreateCertificate(rand.Reader, c, by, key.Public(), byKey)
	if err != nil {
		return nil, nil, err
	}
	c, err = x509.ParseCertificate(der)
	return key, c, err
}
