package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"syscall"
	"time"

	"github.com/sparekey/sparekey/node/credential"
	"github.com/sparekey/sparekey/node/link"
	"github.com/sparekey/sparekey/relay/mailbox"
)

// relayFindings are those about the relay, and the clock that it is compared with.
type relayFindings struct {
	all   []finding
	works bool // it is a relay, and ready
}

// maxSkew is how far this device's clock and a relay's may be apart. Certificates are
// valid from an hour or so before they are given out, some from that very moment.
const maxSkew = 2 * time.Minute

// lookAtRelay asks the relay that is set whether it is ready, if shares may go by one.
func lookAtRelay(ctx context.Context, w ways, relay string) (r relayFindings) {
	switch {
	case !w.has(wayRelay):
		r.all = []finding{{check: "relay", state: note, what: "left out by --paths"}}
		return r
	case relay == "":
		r.all = []finding{{check: "relay", state: note, what: "none is set; a link that is received names its own", fix: "set SPAREKEY_RELAY, or relay in the config file"}}
		return r
	}
	if _, err := link.ParseRelay(relay); err != nil {
		r.all = []finding{{check: "relay", state: trouble, what: fmt.Sprintf("%s can't be a relay: %v", credential.Display(relay, 80), err), fix: "an address such as https://relay.example.org"}}
		return r
	}
	host := (link.Link{Relay: relay}).Host()
	before := time.Now()
	clock, err := mailbox.Probe(ctx, mailbox.Config{}, relay)
	after := time.Now()
	if err != nil {
		what, fix := diagnose(err)
		r.all = []finding{{check: "relay", subject: host, state: trouble, what: what, fix: fix}}
		return r
	}
	r.works = true
	r.all = []finding{
		{check: "relay", subject: host, state: works, what: fmt.Sprintf("ready; it answered in %d ms", after.Sub(before).Milliseconds())},
		compare(clock, before, after),
	}
	return r
}

// compare tells how far this device's clock and the relay's are apart.
func compare(clock, before, after time.Time) finding {
	f := finding{check: "clock", state: works, what: "agrees with the relay's"}
	apart := before.Sub(clock.Add(time.Second)) // its Date has whole seconds
	word := "ahead of"
	if clock.After(after) {
		apart, word = clock.Sub(after), "behind"
	}
	switch {
	case clock.IsZero():
		f.state, f.what = note, "the relay tells no time to compare it with"
	case apart > maxSkew:
		f.state, f.what = trouble, fmt.Sprintf("this device's clock is %s %s the relay's", apart.Round(time.Second), word)
		f.fix = "set this device's clock, best by NTP (timedatectl set-ntp true)"
	}
	return f
}

// diagnose says of a relay that doesn't work what is the matter, and what to do.
func diagnose(err error) (what, fix string) {
	var relay *mailbox.RelayError
	var name *net.DNSError
	var invalid x509.CertificateInvalidError
	var unknown x509.UnknownAuthorityError
	var other x509.HostnameError
	var plain tls.RecordHeaderError
	switch {
	case errors.As(err, &name) && name.IsNotFound:
		return "its name isn't known", "see that it is written right"
	case errors.As(err, &name):
		return "no name server answers", "see that this device is online"
	case errors.Is(err, syscall.ECONNREFUSED):
		return "nothing listens there", "see that the port is right, and that the relay runs"
	case errors.Is(err, syscall.ENETUNREACH), errors.Is(err, syscall.EHOSTUNREACH):
		return "there is no route to it", "connect to a network that leads there"
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		return fmt.Sprintf("its certificate is valid from %s to %s, and this device's clock says %s", day(invalid.Cert.NotBefore), day(invalid.Cert.NotAfter), day(time.Now())),
			"set the clock if it is wrong; else the relay's operator has to renew it"
	case errors.As(err, &unknown):
		return "its certificate is from nobody whom this device trusts", "log in to the network, if it has a page for that; see that the address is right; of a relay of your own, name its certificate in SSL_CERT_FILE"
	case errors.As(err, &other):
		return "its certificate is for another name", "see that the address is right"
	case errors.As(err, &invalid):
		return fmt.Sprintf("its certificate can't be used (%v)", invalid), "tell the relay's operator"
	case errors.As(err, &plain), errors.Is(err, http.ErrSchemeMismatch):
		return "what answers there speaks no TLS", "see that the port is right"
	case errors.Is(err, context.DeadlineExceeded), isTimeout(err):
		return "it does not answer", "see that this device is online, and that no firewall is in between"
	case errors.As(err, &relay) && relay.Fault == mailbox.Garbage:
		return "what answers there is no sparekey relay", "see that the address is right"
	case errors.As(err, &relay) && relay.Fault == mailbox.Trouble:
		return relay.What, "try again in a while"
	case errors.As(err, &relay):
		return relay.What, "see that the address is right, and that the relay runs"
	}
	return strings.TrimSuffix(err.Error(), "."), "see that the address is right, and that the relay runs"
}

func day(t time.Time) string { return t.UTC().Format("2006-01-02 15:04 UTC") }
