//go:build linux

package main

import (
	"encoding/hex"
	"slices"
	"strings"
	"testing"

	"github.com/sparekey/sparekey/simulations/canary"
	"github.com/sparekey/sparekey/simulations/wire"
)

func TestLAN03NothingOnTheRoomsWireTellsWhoShares(t *testing.T) {
	l := newTestLab(t)
	for _, p := range []plan{{noRelay: true}, {}} {
		var out strings.Builder
		if err := l.capture(t.Context(), &out, p); err != nil {
			t.Errorf("%v:%s", err, out.String())
		}
	}
}

// datagram returns a frame with a UDP payload, from port 5353 if dns.
func datagram(dns bool, payload string) wire.Frame {
	ports := "c000c001"
	if dns {
		ports = "14e9c001"
	}
	n := len(payload)
	b, err := hex.DecodeString("020000000002020000000001" + "0800" + // Ethernet
		"450000000000000040110000c0000201c0000202" + // IPv4
		ports + hex.EncodeToString([]byte{byte((n + 8) >> 8), byte(n + 8)}) + "0000") // UDP
	if err != nil {
		panic(err)
	}
	return append(b, payload...)
}

// TestSearchFindsWhatIsThereAndNothingElse gives two recordings of a frame each.
func TestSearchFindsWhatIsThereAndNothingElse(t *testing.T) {
	const (
		question = "\x00\x00\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00\x10"
		name     = "\x04_udp\x05local\x00\x00\x10\x80\x01"
		initial  = "\xc0\x00\x00\x00\x01\x08"
		rest     = "\x00\x00\x06"
		short    = "\x40"
	)
	words := canary.Words{"title": []byte("my front door")}
	for _, c := range []struct {
		name     string
		one, two wire.Frame
		want     string
	}{
		{"a word", datagram(false, "about my front door"), datagram(false, ""), "the title"},
		{"a word in base64", datagram(false, ""), datagram(false, "bXkgZnJvbnQgZG9vcg"), "the title"},
		{"a datagram of no protocol", datagram(false, "\x00 device7"), datagram(false, "\x01the device7"), "device7"},
		{"five bytes", datagram(false, "\x00abcde1"), datagram(false, "\x01abcde2"), ""},
		{"one tag asked for twice", datagram(true, question+"_aaaaaaaaaaaaaaa"+name), datagram(true, question+"_aaaaaaaaaaaaaaa"+name), "_aaaaaaaaaaaaaaa"},
		{"two tags", datagram(true, question+"_aaaaaaaaaaaaaaa"+name), datagram(true, question+"_bbbbbbbbbbbbbbb"+name), ""},
		{"behind a question", datagram(true, question+"_aaaaaaaaaaaaaaa"+name+"device7"), datagram(true, question+"_bbbbbbbbbbbbbbb"+name+"device7"), "device7"},
		{"one QUIC connection id", datagram(false, initial+"aaaaaaaa"+rest+"123456"), datagram(false, initial+"aaaaaaaa"+rest+"654321"), "aaaaaaaa"},
		{"two of them", datagram(false, initial+"aaaaaaaa"+rest+"123456"), datagram(false, initial+"bbbbbbbb"+rest+"654321"), ""},
		{"a second packet in it", datagram(false, initial+"aaaaaaaa"+rest+"123456"+short+"device7"), datagram(false, initial+"bbbbbbbb"+rest+"654321"+short+"device7"), "device7"},
	} {
		found := search(words, [2][]wire.Frame{{c.one}, {c.two}})
		if c.want == "" && len(found) > 0 || c.want != "" && !slices.ContainsFunc(found, func(s string) bool { return strings.Contains(s, c.want) }) {
			t.Errorf("%s: found %q, want %q", c.name, found, c.want)
		}
	}
}
