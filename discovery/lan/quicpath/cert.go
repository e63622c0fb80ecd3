package quicpath

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"math/big"
	"time"
)

// errNotServed ends a handshake at its first message.
var errNotServed = errors.New("nobody here answers for what was asked")

// dialTLS asks for a tag. The certificate proves nothing; the path proof does.
func dialTLS(tag Tag) *tls.Config {
	return &tls.Config{
		MinVersion:         tls.VersionTLS13,
		NextProtos:         []string{tag.String()},
		InsecureSkipVerify: true, // there is nobody to vouch for a device in the room: see the proof
	}
}

// listenTLS answers for the tags that are served.
func listenTLS(served func(Tag) bool) *tls.Config {
	return &tls.Config{
		MinVersion:             tls.VersionTLS13,
		SessionTicketsDisabled: true,
		GetConfigForClient: func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
			if len(hello.SupportedProtos) != 1 {
				return nil, errNotServed
			}
			tag, ok := parseTag(hello.SupportedProtos[0])
			if !ok || !served(tag) {
				return nil, errNotServed
			}
			cert, err := throwaway()
			if err != nil {
				return nil, err
			}
			return &tls.Config{
				MinVersion:             tls.VersionTLS13,
				SessionTicketsDisabled: true,
				NextProtos:             []string{tag.String()},
				Certificates:           []tls.Certificate{cert},
			}, nil
		},
	}
}

// throwaway returns a certificate for one connection. It has a fresh key and else
// only constants, not even the device's time, so that no two connections have a
// value in common that another device's haven't. The key is one of P-256: for a
// process's first of Ed25519 tables have to be made.
func throwaway() (tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), nil) // nil: crypto/rand, since Go 1.26
	if err != nil {
		return tls.Certificate{}, err
	}
	says := &x509.Certificate{
		SerialNumber: big.NewInt(1),
		NotBefore:    time.Unix(0, 0),
		NotAfter:     time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC), // no end: RFC 5280 §4.1.2.5
	}
	der, err := x509.CreateCertificate(nil, says, says, key.Public(), key)
	if err != nil {
		return tls.Certificate{}, err
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, nil
}
