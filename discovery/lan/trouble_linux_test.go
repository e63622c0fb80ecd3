package lan_test

import (
	"net"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/sparekey/sparekey/discovery"
	"github.com/sparekey/sparekey/discovery/lan"
	"github.com/sparekey/sparekey/noise/frame"
)

// TestWhatKeepsARoomFromWorkingIsReportedAndWhenThatIsOver: another program that keeps
// mDNS's port to itself, and no interface but loopback. Find goes on meanwhile.
func TestWhatKeepsARoomFromWorkingIsReportedAndWhenThatIsOver(t *testing.T) {
	if !alone(t) {
		return
	}
	reports := make(chan discovery.Report, 16)
	m := discovery.Meeting{Role: discovery.Sender, Topic: [32]byte{1}, Key: [32]byte{2}, First: func() []frame.Frame { return nil },
		Report: func(r discovery.Report) { reports <- r }}
	next := func(when string, state discovery.ReportState, words string) {
		t.Helper()
		select {
		case r := <-reports:
			if r.Path != lan.Room || r.State != state || words != "" && !strings.Contains(r.Err.Error(), words) {
				t.Fatalf("%s it reports %+v, want state %d: %s", when, r, state, words)
			}
		case <-time.After(patience):
			t.Fatalf("%s it reports nothing", when)
		}
	}
	port4, port6 := keep(t, "udp4"), keep(t, "udp6")
	sender := enterFor(t, m)
	next("with the port kept", discovery.Failing, "another program keeps UDP port 5353 to itself")
	port4.Close()
	next("with IPv4's port free", discovery.Living, "")
	setLinks(t, "down")
	next("without an interface", discovery.Failing, "no network is up")
	setLinks(t, "up")
	next("with an interface again", discovery.Living, "")
	port6.Close()
	m.Role, m.Report = discovery.Receiver, nil
	receiver := enterFor(t, m)
	sender.path(t)
	receiver.path(t)
}

// keep keeps mDNS's port to itself.
func keep(t *testing.T, network string) net.PacketConn {
	t.Helper()
	c, err := net.ListenPacket(network, ":5353")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// setLinks has the room's interfaces go down or up.
func setLinks(t *testing.T, state string) {
	t.Helper()
	for _, name := range []string{"room", "wall"} {
		if out, err := exec.Command("ip", "link", "set", name, state).CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
	}
}
