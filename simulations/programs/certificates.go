//go:build linux

package programs

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
	"slices"
	"time"
)

// Certificates are files: a relay's certificate and key, and the roots that
// devices trust.
type Certificates struct{ Cert, Key, Roots string }

// Certify makes a relay's certificate for addresses, valid for lasting either way
// from now, and roots: some others, as PEM, and behind them its own.
func Certify(dir string, others []byte, lasting time.Duration, addrs ...netip.Addr) (Certificates, error) {
	c := Certificates{filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem"), filepath.Join(dir, "roots.pem")}
	var ips []net.IP
	for _, a := range addrs {
		ips = append(ips, a.AsSlice())
	}
	rootKey, root, err := certify(nil, nil, lasting, &x509.Certificate{
		Subject: pkix.Name{CommonName: "root of the simulations"}, IsCA: true, KeyUsage: x509.KeyUsageCertSign})
	if err != nil {
		return c, err
	}
	key, leaf, err := certify(root, rootKey, lasting, &x509.Certificate{
		Subject: pkix.Name{CommonName: "relay of the simulations"}, IPAddresses: ips, KeyUsage: x509.KeyUsageDigitalSignature})
	if err != nil {
		return c, err
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return c, err
	}
	for name, text := range map[string][]byte{
		c.Roots: slices.Concat(others, block("CERTIFICATE", root.Raw)),
		c.Cert:  block("CERTIFICATE", leaf.Raw),
		c.Key:   block("PRIVATE KEY", private),
	} {
		if err := os.WriteFile(name, text, 0o600); err != nil {
			return c, err
		}
	}
	return c, nil
}

func block(kind string, b []byte) []byte { return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: b}) }

// certify makes a key and a certificate of it by an issuer; nil: by itself.
func certify(by *x509.Certificate, byKey *ecdsa.PrivateKey, lasting time.Duration, c *x509.Certificate) (*ecdsa.PrivateKey, *x509.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, err
	}
	c.SerialNumber, c.BasicConstraintsValid = big.NewInt(time.Now().UnixNano()), true
	c.NotBefore, c.NotAfter = time.Now().Add(-lasting), time.Now().Add(lasting)
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
