package roots

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"io"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"reflect"
	"testing"
	"time"
)

// An authority issues certificates.
type authority struct {
	*x509.Certificate
	key crypto.Signer
}

type change func(*x509.Certificate)

// issue makes a certificate, of oneself where there is no issuer.
func issue(t testing.TB, by *authority, name string, changes ...change) *authority {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: name},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
	}
	for _, change := range changes {
		change(c)
	}
	if by == nil {
		by = &authority{c, key}
	}
	der, err := x509.CreateCertificate(rand.Reader, c, by.Certificate, key.Public(), by.key)
	if err != nil {
		t.Fatal(err)
	}
	if c, err = x509.ParseCertificate(der); err != nil {
		t.Fatal(err)
	}
	return &authority{c, key}
}

func ca(c *x509.Certificate)      { c.IsCA = true }
func expired(c *x509.Certificate) { c.NotAfter = time.Now().Add(-time.Minute) }
func relay(c *x509.Certificate) {
	c.DNSNames, c.IPAddresses = []string{"relay.example"}, []net.IP{net.IPv4(127, 0, 0, 1)}
	c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
}
func forClients(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth} }
func elsewhere(c *x509.Certificate) {
	c.PermittedDNSDomainsCritical, c.PermittedDNSDomains = true, []string{"other.example"}
}

func chain(all ...*authority) (c []*x509.Certificate) {
	for _, a := range all {
		c = append(c, a.Certificate)
	}
	return c
}

// The verdict on a chain is x509's over all roots, and what it accepts is accepted
// by the few roots that were parsed.
func TestTheVerdictIsThatOfAllRoots(t *testing.T) {
	root, other := issue(t, nil, "root", ca), issue(t, nil, "other root", ca)
	old, twin, narrow := issue(t, nil, "old root", ca, expired), issue(t, nil, "root", ca), issue(t, nil, "narrow root", ca, elsewhere)
	stranger := issue(t, nil, "stranger", ca)
	middle := issue(t, root, "middle", ca)
	far := issue(t, middle, "far", ca)
	crossed := issue(t, old, "other root", ca)
	self, pinned := issue(t, nil, "self", relay), issue(t, stranger, "pinned", relay)
	trusted := chain(other, old, twin, root, narrow, self, pinned)

	const host = "relay.example"
	for _, c := range []struct {
		name  string
		host  string
		chain []*x509.Certificate
		good  bool
	}{
		{"issued by a root", host, chain(issue(t, root, "leaf", relay)), true},
		{"for an address", "127.0.0.1", chain(issue(t, root, "leaf", relay)), true},
		{"through one between", host, chain(issue(t, middle, "leaf", relay), middle), true},
		{"through two between, in the wrong order", host, chain(issue(t, far, "leaf", relay), middle, far), true},
		{"with the root sent along", host, chain(issue(t, middle, "leaf", relay), middle, root), true},
		{"with strangers sent along", host, chain(issue(t, root, "leaf", relay), stranger, far), true},
		{"a root of its own", host, chain(self), true},
		{"a root that a stranger issued", host, chain(pinned), true},
		{"by a root that a relay shows as issued by an expired one", host, chain(issue(t, other, "leaf", relay), crossed), true},
		{"one between is left out", host, chain(issue(t, far, "leaf", relay), middle), false},
		{"by a stranger", host, chain(issue(t, stranger, "leaf", relay)), false},
		{"by a stranger sent along", host, chain(issue(t, stranger, "leaf", relay), stranger), false},
		{"by a stranger of a root's name", host, chain(issue(t, issue(t, nil, "root", ca), "leaf", relay)), false},
		{"by an expired root", host, chain(issue(t, old, "leaf", relay)), false},
		{"by a root for other names", host, chain(issue(t, narrow, "leaf", relay)), false},
		{"expired", host, chain(issue(t, root, "leaf", relay, expired)), false},
		{"for another name", "relay.other", chain(issue(t, root, "leaf", relay)), false},
		{"for another address", "127.0.0.2", chain(issue(t, root, "leaf", relay)), false},
		{"for clients", host, chain(issue(t, root, "leaf", relay, forClients)), false},
		{"issued by what may not issue", host, chain(issue(t, issue(t, root, "leaf", relay), "leaf's", relay), issue(t, root, "leaf", relay)), false},
	} {
		t.Run(c.name, func(t *testing.T) {
			all, between := x509.NewCertPool(), x509.NewCertPool()
			var ders [][]byte
			for _, r := range trusted {
				all.AddCert(r)
				ders = append(ders, r.Raw)
			}
			for _, b := range c.chain[1:] {
				between.AddCert(b)
			}
			_, want := c.chain[0].Verify(x509.VerifyOptions{DNSName: c.host, Roots: all, Intermediates: between})
			if (want == nil) != c.good {
				t.Fatalf("x509 says %v: the case isn't what it is called", want)
			}
			got := verify(c.chain, c.host, ders, all)
			var verdict *tls.CertificateVerificationError
			switch {
			case want == nil && got != nil:
				t.Errorf("refused: %v", got)
			case want != nil && (!errors.As(got, &verdict) || reflect.TypeOf(verdict.Err) != reflect.TypeOf(want)):
				t.Errorf("said %v, x509 says %v", got, want)
			}
			if few := verify(c.chain, c.host, ders, x509.NewCertPool()); (few == nil) != c.good {
				t.Errorf("by the file alone: %v", few)
			}
			if none := verify(c.chain, c.host, nil, all); (none == nil) != c.good {
				t.Errorf("without a file: %v", none)
			}
		})
	}
}

var inFile, inFolder *authority

// TestMain gives this process roots of its own, which are read once: one in the
// file, one in the folder.
func TestMain(m *testing.M) {
	os.Exit(func() int {
		var t testing.T
		inFile, inFolder = issue(&t, nil, "in the file", ca), issue(&t, nil, "in the folder", ca)
		dir, err := os.MkdirTemp("", "roots-")
		if err != nil {
			panic(err)
		}
		defer os.RemoveAll(dir)
		folder := filepath.Join(dir, "folder")
		notes := []byte("some words that a bundle may have\n-----BEGIN CERTIFICATE-----\nno base64\n-----END CERTIFICATE-----\n")
		err = errors.Join(os.Mkdir(folder, 0o700),
			os.WriteFile(filepath.Join(dir, "file.pem"), append(notes, text(issue(&t, nil, "another", ca), inFile)...), 0o600),
			os.WriteFile(filepath.Join(folder, "root.pem"), text(inFolder), 0o600),
			os.Setenv("SSL_CERT_FILE", filepath.Join(dir, "file.pem")), os.Setenv("SSL_CERT_DIR", folder))
		if err != nil {
			panic(err)
		}
		return m.Run()
	}())
}

func text(all ...*authority) []byte {
	var b bytes.Buffer
	for _, a := range all {
		pem.Encode(&b, &pem.Block{Type: "CERTIFICATE", Bytes: a.Raw})
	}
	return b.Bytes()
}

// In a handshake a relay is who it says by the system's roots, wherever they are.
func TestAHandshakeAsksForTheHost(t *testing.T) {
	Load()
	for _, c := range []struct {
		name, host string
		by         *authority
		good       bool
	}{
		{"by a root in the file", "relay.example", inFile, true},
		{"by a root in the folder", "relay.example", inFolder, true},
		{"an address", "127.0.0.1", inFile, true},
		{"by a stranger", "relay.example", issue(t, nil, "stranger", ca), false},
		{"another name", "relay.other", inFile, false},
		{"another address", "127.0.0.9", inFile, false},
		{"another name, by a root in the folder", "relay.other", inFolder, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			leaf := issue(t, c.by, "relay", relay)
			server, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{leaf.Raw}, PrivateKey: leaf.key}}})
			if err != nil {
				t.Fatal(err)
			}
			defer server.Close()
			served := make(chan error, 1)
			go func() {
				conn, err := server.Accept()
				if err == nil {
					defer conn.Close()
					_, err = io.ReadAll(conn)
				}
				served <- err
			}()
			conn, err := tls.Dial("tcp", server.Addr().String(), Config(c.host))
			if (err == nil) != c.good {
				t.Errorf("the handshake: %v", err)
			}
			if err == nil {
				conn.Close()
			}
			if err := <-served; (err == nil) != c.good {
				t.Errorf("the relay saw: %v", err)
			}
		})
	}
}
