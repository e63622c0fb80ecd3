package lan

import (
	"bytes"
	"net/netip"
	"slices"
	"testing"

	"golang.org/x/crypto/chacha20poly1305"

	"github.com/sparekey/sparekey/discovery"
	"github.com/sparekey/sparekey/vectortest"
)

// vectors is testdata/vectors.json; PROTOCOL.md tells how to read it.
type vectors struct {
	About string       `json:"about"`
	Tags  []vectorTag  `json:"tags"`
	Texts []vectorText `json:"texts"`
}

// A vectorTag is what a side is asked for.
type vectorTag struct {
	Topic vectortest.Hex `json:"topic"`
	Role  string         `json:"role"`
	Tag   vectortest.Hex `json:"tag"`
	Name  string         `json:"name"`
}

// A vectorText is an answer's text, of the side with this role.
type vectorText struct {
	Name      string         `json:"name"`
	Topic     vectortest.Hex `json:"topic"`
	Path      vectortest.Hex `json:"path"`
	Role      string         `json:"role"`
	Text      vectortest.Hex `json:"text"`
	Addresses []string       `json:"addresses"`
	Refuse    string         `json:"refuse,omitempty"` // why it is void
}

const vectorsAbout = "Test vectors of the room's tags and texts, version 1. discovery/lan/PROTOCOL.md tells how to read them. " +
	"Made by: go test ./discovery/lan -run TestVectors -update"

var roles = map[string]discovery.Role{"sender": discovery.Sender, "receiver": discovery.Receiver}

// Keys of the example of node/link/PROTOCOL.md's kind: any 32 bytes.
var (
	vectorTopic = [32]byte(bytes.Repeat([]byte{0x70, 0x71}, 16))
	vectorPath  = [32]byte(bytes.Repeat([]byte{0x80, 0x81}, 16))
)

// TestVectors makes the vectors anew, compares them with the file, and does what the
// file says.
func TestVectors(t *testing.T) {
	read := vectortest.Published(t, makeVectors(t))
	for _, v := range read.Tags {
		tag := tagOf([32]byte(v.Topic), roles[v.Role])
		if !bytes.Equal(tag[:], v.Tag) || "_"+tag.String()+"._udp.local." != v.Name {
			t.Errorf("the tag of a %s is %x, %s", v.Role, tag, tag)
		}
	}
	for _, v := range read.Texts {
		m := discovery.Meeting{Topic: [32]byte(v.Topic), Key: [32]byte(v.Path)}
		all, ok := newSealer(m, roles[v.Role]).open(v.Text)
		if ok != (v.Refuse == "") {
			t.Errorf("%s: opened %v; want it refused for: %q", v.Name, ok, v.Refuse)
		}
		if ok && !slices.Equal(texts(all), v.Addresses) {
			t.Errorf("%s: holds %v, want %v", v.Name, all, v.Addresses)
		}
	}
	vectortest.MostAreRefused(t, read.Texts, func(v vectorText) bool { return v.Refuse != "" })
}

func texts(all []netip.AddrPort) (out []string) {
	for _, a := range all {
		out = append(out, a.String())
	}
	return out
}

// sealPlain seals what may be no addresses at all.
func sealPlain(s sealer, plain []byte) []byte {
	nonce := bytes.Repeat([]byte{0x42}, chacha20poly1305.NonceSizeX)
	return s.aead.Seal(slices.Clone(nonce), nonce, plain, s.tag[:])
}

func makeVectors(t *testing.T) vectors {
	v := vectors{About: vectorsAbout}
	for _, r := range []discovery.Role{discovery.Sender, discovery.Receiver} {
		tag := tagOf(vectorTopic, r)
		v.Tags = append(v.Tags, vectorTag{vectorTopic[:], r.String(), tag[:], "_" + tag.String() + "._udp.local."})
	}
	m := discovery.Meeting{Topic: vectorTopic, Key: vectorPath}
	padded := func(b ...byte) []byte { return append(b, make([]byte, plainSize-len(b))...) }
	add := func(name string, text []byte, refuse string, addresses ...string) {
		v.Texts = append(v.Texts, vectorText{name, vectorTopic[:], vectorPath[:], "sender", text, addresses, refuse})
	}
	sealed := func(b ...byte) []byte { return sealPlain(newSealer(m, discovery.Sender), b) }
	v4, v6 := []byte{4, 192, 0, 2, 7, 0x10, 0xe1}, append([]byte{6, 0xfe, 0x80, 15: 0, 16: 9}, 0x10, 0xe1)
	good := sealed(padded(slices.Concat(v4, v6)...)...)
	add("an address of each kind", good, "", "192.0.2.7:4321", "[fe80::9]:4321")
	add("no address", sealed(padded()...), "")
	add("as many as there is room for", sealed(padded(slices.Concat(v4, v4, v6, v6, v6, v6, v6, v6)...)...), "",
		"192.0.2.7:4321", "192.0.2.7:4321", "[fe80::9]:4321", "[fe80::9]:4321", "[fe80::9]:4321", "[fe80::9]:4321", "[fe80::9]:4321", "[fe80::9]:4321")
	add("the receiver's", sealPlain(newSealer(m, discovery.Receiver), padded(v4...)), "it is sealed with the other side's key and tag")
	changed := slices.Clone(good)
	changed[len(changed)-1] ^= 1
	add("its last bit changed", changed, "it doesn't authenticate")
	add("cut", good[:len(good)-1], "it is not 168 bytes long")
	add("longer", append(slices.Clone(good), 0), "it is not 168 bytes long")
	add("no such kind", sealed(padded(5, 192, 0, 2, 7, 0x10, 0xe1)...), "an address begins with 4 or 6")
	add("port 0", sealed(padded(4, 192, 0, 2, 7, 0, 0)...), "a port is not zero")
	add("unspecified", sealed(padded(4, 0, 0, 0, 0, 0x10, 0xe1)...), "0.0.0.0 is nobody's address")
	add("multicast", sealed(padded(4, 224, 0, 0, 251, 0x10, 0xe1)...), "a group is nobody's address")
	add("IPv4 in IPv6", sealed(padded(append([]byte{6, 11: 0xff, 12: 0xff, 13: 192, 14: 0, 15: 2, 16: 7}, 0x10, 0xe1)...)...), "an IPv4 address is written as one")
	add("something behind the end", sealed(append(padded(v4...)[:plainSize-1], 1)...), "behind a zero there are zeros")
	return v
}
