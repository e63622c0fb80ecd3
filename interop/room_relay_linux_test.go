package interop

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/sparekey/sparekey/simulations/programs"
)

// Shares that begin at a real relay and go on in the room: both carry the same frames.

const relayAt = "192.0.2.1"

// relay starts a real relay in the room, which both sides trust, and returns it with our
// way to it.
func (r *room) relay() (*programs.Relay, *http.Client) {
	r.t.Helper()
	const port = ":8443"
	certificates, err := programs.Certify(r.dir, nil, 24*time.Hour, netip.MustParseAddr(relayAt))
	r.ok(err, "the relay has a certificate")
	st := r.station(roomKinds[1], "relay", relayAt+"/24")
	relay, err := programs.Serve(st, bin, port, filepath.Join(r.dir, "relay"), "--tls-cert", certificates.Cert, "--tls-key", certificates.Key)
	r.ok(err, "the relay starts")
	r.t.Cleanup(relay.Kill)
	relay.URL = "https://" + relayAt + port

	config := filepath.Join(r.dir, "config", "sparekey")
	r.ok(os.MkdirAll(config, 0o700), "there is a folder for the config")
	r.ok(os.WriteFile(filepath.Join(config, "config.toml"), fmt.Appendf(nil, "allow_private = true\nrelays = [%q]\n", relayAt+port), 0o600), "the real program knows the relay")
	r.real.Roots = certificates.Roots

	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(must(os.ReadFile(certificates.Roots)))
	transport := &http.Transport{
		TLSClientConfig: &tls.Config{RootCAs: roots},
		DialContext: func(ctx context.Context, network, addr string) (c net.Conn, err error) {
			err = r.ours.Do(func() (err error) { c, err = new(net.Dialer).DialContext(ctx, network, addr); return err })
			return c, err
		},
	}
	r.t.Cleanup(transport.CloseIdleConnections)
	return relay, &http.Client{Transport: transport}
}

// says waits until the real program has said something.
func (r *room) says(p *programs.Process, kind string) {
	r.t.Helper()
	_, err := p.Said(r.ctx, kind)
	r.ok(err, "the real program goes on")
}

// TestTheRealSenderGoesOnInTheRoomWithWhoHasClaimedAtTheRelay: the claim is made at the
// relay, and the relay goes away. The second receiver asks for nobody: the sender does.
func TestTheRealSenderGoesOnInTheRoomWithWhoHasClaimedAtTheRelay(t *testing.T) {
	r := newRoom(t, roomKinds[1])
	relay, client := r.relay()
	content := contentOf(100_001)
	file := filepath.Join(r.dir, "key.bin")
	r.ok(os.WriteFile(file, content, 0o600), "a file is written")
	share := r.run("share", file, "--yes", "--relay", relay.URL)
	offered, err := share.Said(r.ctx, "share.offered")
	r.ok(err, "it is offered")

	d, err := newReceiver(client, offered.Link)
	r.ok(err, "the link is read")
	r.ok(d.view(r.ctx, "wait=60"), "the offer is seen")
	r.ok(d.accept(r.ctx, "second"), "the claim is made")
	d.stream.close()
	r.says(share, "share.granted")
	relay.Kill()

	in, err := d.enters(r.ours.Do)
	t.Cleanup(in.leave)
	r.ok(err, "the second receiver enters")
	r.isGiven(in, content)
	r.ends(share)
}

// TestTheRealReceiverGoesOnInTheRoomWithWhomItHasClaimedFromAtTheRelay: the claim is made
// and confirmed at the relay, and the relay goes away.
func TestTheRealReceiverGoesOnInTheRoomWithWhomItHasClaimedFromAtTheRelay(t *testing.T) {
	r := newRoom(t, roomKinds[1])
	relay, client := r.relay()
	content := contentOf(100_001)
	s := newSender(client, relay.URL, filePreview)
	r.ok(s.create(r.ctx), "the mailbox is made")
	receive := r.run("receive", s.link.url(), "--yes", "-o", filepath.Join(r.dir, "got"))
	r.ok(s.pin(r.ctx), "the claim opens")
	s.claims.close()
	relay.Kill()

	in, err := s.enters(r.ours.Do)
	t.Cleanup(in.leave)
	r.ok(err, "the second sender enters")
	r.ok(in.say(r.ctx, grant("key.bin", content)...), "the grant is taken")
	r.handedOver(in, content)
	r.ends(receive)
}
