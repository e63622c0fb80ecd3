// Package roots verifies a relay's certificate by the system's roots without
// reading all of them, which takes a device longer than the rest of its start.
//
// On Linux the roots are one file of some 140 certificates and folders with the
// same ones again. [crypto/x509] reads all, and parses each. Of these a
// certificate's verdict can depend on those only that bear the name of an issuer
// in the chain shown, or are in the chain themselves: x509 finds a parent by the
// bytes of its name. So this package reads the file, parses those that hold one
// of these names, and lets x509 verify by them. What that doesn't accept, for
// whatever reason, is verified once more, by all of the system's roots and by
// x509 alone: the verdict is always one that x509 would have come to.
//
// The file is the one that x509 reads: SSL_CERT_FILE's, or the first of its list
// that can be read.
package roots

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"os"
	"sync"
)

// Config returns how a client of a host verifies it: by the system's roots, its
// name or IP address, and time. Errors are x509's, in a
// [tls.CertificateVerificationError].
func Config(host string) *tls.Config {
	if len(files) == 0 {
		return &tls.Config{ServerName: host}
	}
	return &tls.Config{
		ServerName: host,
		// crypto/tls would verify by all roots first. VerifyConnection is called in
		// every handshake, and nothing is sent before it has agreed.
		InsecureSkipVerify: true,
		VerifyConnection: func(s tls.ConnectionState) error {
			return verify(s.PeerCertificates, host, file(), nil)
		},
	}
}

// Load begins to read the roots' file, and returns at once. Who knows early that
// a handshake will come calls it early; the handshake waits for the rest.
func Load() {
	if len(files) > 0 {
		go file()
	}
}

// file is the roots' file's certificates, none where there is no file. It is read
// once, as x509 does it.
var file = sync.OnceValue(func() [][]byte {
	names := files
	if f := os.Getenv("SSL_CERT_FILE"); f != "" {
		names = []string{f}
	}
	for _, name := range names {
		if b, err := os.ReadFile(name); err == nil {
			return split(b)
		}
	}
	return nil
})

func split(text []byte) (ders [][]byte) {
	for {
		var b *pem.Block
		if b, text = pem.Decode(text); b == nil {
			return ders
		}
		if b.Type == "CERTIFICATE" && len(b.Headers) == 0 {
			ders = append(ders, b.Bytes)
		}
	}
}

// verify verifies a chain for a host by those of some roots that it may lead to,
// and where that fails by all; nil is x509's word for the system's.
func verify(chain []*x509.Certificate, host string, some [][]byte, all *x509.CertPool) error {
	options := x509.VerifyOptions{DNSName: host, Intermediates: x509.NewCertPool(), Roots: x509.NewCertPool()}
	for _, c := range chain[1:] {
		options.Intermediates.AddCert(c)
	}
	for _, der := range some {
		if mayEnd(chain, der) {
			if c, err := x509.ParseCertificate(der); err == nil {
				options.Roots.AddCert(c)
			}
		}
	}
	if _, err := chain[0].Verify(options); err == nil {
		return nil
	}
	options.Roots = all
	if _, err := chain[0].Verify(options); err != nil {
		return &tls.CertificateVerificationError{UnverifiedCertificates: chain, Err: err}
	}
	return nil
}

// mayEnd reports whether a root may be an end of the chain: it bears the name of
// an issuer in it. A certificate of the chain holds its own issuer's name, so one
// that is a root itself is among these.
func mayEnd(chain []*x509.Certificate, root []byte) bool {
	for _, c := range chain {
		if bytes.Contains(root, c.RawIssuer) {
			return true
		}
	}
	return false
}
