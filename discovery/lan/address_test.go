package lan

import (
	"bytes"
	"crypto/rand"
	"net"
	"net/netip"
	"testing"

	"pgregory.net/rapid"

	"github.com/sparekey/sparekey/discovery"
)

func meetingOf(r discovery.Role) discovery.Meeting {
	return discovery.Meeting{Role: r, Topic: [32]byte{1}, Key: [32]byte{2}}
}

func TestATextGivesBackItsAddresses(t *testing.T) {
	s := newSealer(meetingOf(discovery.Sender), discovery.Sender)
	rapid.Check(t, func(t *rapid.T) {
		var all, want []netip.AddrPort
		v4, v6 := 0, 0
		for range rapid.IntRange(0, 12).Draw(t, "addresses") {
			port := uint16(rapid.IntRange(1, 65535).Draw(t, "port"))
			if rapid.Bool().Draw(t, "v4") {
				a := netip.AddrPortFrom(netip.AddrFrom4([4]byte{192, 0, 2, byte(rapid.IntRange(1, 254).Draw(t, "host"))}), port)
				all = append(all, a)
				if v4++; v4 <= maxV4 {
					want = append(want, a)
				}
			} else {
				a := netip.AddrPortFrom(netip.AddrFrom16([16]byte{0xfe, 0x80, 15: byte(rapid.IntRange(1, 254).Draw(t, "host"))}), port)
				all = append(all, a)
				if v6++; v6 <= maxV6 {
					want = append(want, a)
				}
			}
		}
		text, err := s.seal(rand.Reader, all)
		if err != nil || len(text) != textSize {
			t.Fatalf("a text of %d bytes: %v", len(text), err)
		}
		got, ok := s.open(text)
		if !ok || len(got) != len(want) {
			t.Fatalf("opened %v (%v), sealed %v", got, ok, want)
		}
		for i := range got {
			if got[i] != want[i] {
				t.Fatalf("opened %v, sealed %v", got, want)
			}
		}
	})
}

// A text is one share's and one side's: nobody else can make, change or move it.
func TestATextOpensForItsOwnShareAndSideOnly(t *testing.T) {
	s := newSealer(meetingOf(discovery.Sender), discovery.Sender)
	text, err := s.seal(rand.Reader, []netip.AddrPort{netip.MustParseAddrPort("192.0.2.1:1")})
	if err != nil {
		t.Fatal(err)
	}
	other := meetingOf(discovery.Receiver)
	if _, ok := newSealer(other, discovery.Sender).open(text); !ok {
		t.Error("the receiver can't open what the sender sealed")
	}
	for name, o := range map[string]sealer{
		"the other side":      newSealer(other, discovery.Receiver),
		"another share's key": newSealer(discovery.Meeting{Topic: [32]byte{1}, Key: [32]byte{3}}, discovery.Sender),
		"another topic":       newSealer(discovery.Meeting{Topic: [32]byte{9}, Key: [32]byte{2}}, discovery.Sender),
	} {
		if _, ok := o.open(text); ok {
			t.Errorf("opened for %s", name)
		}
	}
	for i := range text {
		bad := bytes.Clone(text)
		bad[i] ^= 1
		if _, ok := s.open(bad); ok {
			t.Errorf("opened with its byte %d changed", i)
		}
	}
	if again, _ := s.seal(rand.Reader, []netip.AddrPort{netip.MustParseAddrPort("192.0.2.1:1")}); bytes.Equal(again, text) {
		t.Error("two texts of one address are the same")
	}
}

// Whoever holds the link can't have a device send packets out of the room.
func TestOnlyAddressesInTheRoomAreDialled(t *testing.T) {
	var nets []net.Addr
	for _, cidr := range []string{"192.0.2.7/24", "10.0.0.1/31", "2001:db8::7/64", "fe80::7/64"} {
		ip, n, err := net.ParseCIDR(cidr)
		if err != nil {
			t.Fatal(err)
		}
		nets = append(nets, &net.IPNet{IP: ip, Mask: n.Mask})
	}
	for ip, in := range map[string]bool{
		"192.0.2.1": true, "192.0.2.7": true, "10.0.0.0": true, "10.0.0.1": true, "2001:db8::1": true, "fe80::1": true, "fe80:1::1": true,
		"192.0.2.255": false, "192.0.2.0": false, "192.0.3.1": false, "10.0.0.2": false, "198.51.100.1": false, "127.0.0.1": false,
		"255.255.255.255": false, "169.254.1.1": false, "::1": false, "2001:db8:0:1::1": false, "2001:db8:1::": false,
	} {
		if got := inRoom(netip.MustParseAddr(ip), nets); got != in {
			t.Errorf("%s is dialled: %v", ip, got)
		}
	}
	if inRoom(netip.MustParseAddr("192.0.2.1"), nil) {
		t.Error("an interface without a network leads somewhere")
	}
}

func FuzzTextIsReadOrRefused(f *testing.F) {
	s := newSealer(meetingOf(discovery.Sender), discovery.Sender)
	text, err := s.seal(rand.Reader, []netip.AddrPort{netip.MustParseAddrPort("192.0.2.1:1"), netip.MustParseAddrPort("[fe80::1]:2")})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(text, []byte{4, 192, 0, 2, 1, 0, 1})
	f.Fuzz(func(t *testing.T, text, plain []byte) {
		s.open(text)
		all, ok := parseAddresses(plain)
		for _, a := range all {
			if ok && (!a.IsValid() || a.Port() == 0) {
				t.Errorf("read %v", a)
			}
		}
	})
}
