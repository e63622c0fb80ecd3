package sparekey_test

import (
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/sparekey/sparekey"

// A room says what a package may import of ours, and why no more.
type room struct {
	may []string
	why string
}

// rooms is the layering of the house. A package that stands in no row fails the
// test: decide where it belongs, don't loosen a row to make it fit.
var rooms = map[string]room{
	"fault":           {nil, "a leaf: points for tests to kill a process at; empty without the tag faults"},
	"noise/frame":     {nil, "a leaf: the envelope anyone may read"},
	"node/link":       {nil, "a leaf: what a link says and derives"},
	"node/vault":      {[]string{"fault"}, "sealed files, whatever is in them"},
	"node/vaulttest":  {nil, "a leaf, for tests: a vault in memory"},
	"node/credential": {[]string{"fault"}, "what a credential type has to do"},
	"relay/wire":      {nil, "a leaf: the relay's bodies, for relay and client"},

	"noise":     {[]string{"noise/frame"}, "a frame is all it shares with carriers"},
	"discovery": {[]string{"noise/frame"}, "a frame is all it shares with the session"},

	"discovery/lan":          {[]string{"discovery", "discovery/lan/beacon", "discovery/lan/quicpath", "noise/frame"}, "finding and carrying, put together for a share; what a frame means is none of its business"},
	"discovery/lan/quicpath": {[]string{"discovery", "noise/frame"}, "it carries frames it can't open, and knows of a share what proves a path"},
	"discovery/lan/beacon":   {nil, "a leaf: it finds who answers for a tag, and knows neither shares nor keys"},
	"discovery/pathtest":     {[]string{"discovery", "noise/frame"}, "paths within a process, for tests: whoever uses paths is given these"},

	"fallback":   {[]string{"discovery", "noise/frame"}, "policy over paths, and nothing else"},
	"node/share": {[]string{"noise", "noise/frame"}, "no sockets, clock, disk; not even discovery"},

	"node/share/sharetest": {[]string{"node/share", "noise", "noise/frame"}, "stories of shares, for tests: the path is given"},

	"relay":            {[]string{"fault", "noise/frame", "relay/wire"}, "it can't open anything: never noise"},
	"relay/disk":       {[]string{"fault", "noise/frame", "relay/wire", "relay"}, "a store knows the relay's rules and no more"},
	"relay/storetest":  {[]string{"noise/frame", "relay"}, "what every store must do"},
	"relay/relaybench": {[]string{"noise/frame", "relay", "relay/disk", "relay/wire"}, "measurements of the relay as it is served"},
	"relay/relaytest":  {[]string{"relay"}, "a relay on a loopback socket, for tests"},
	"relay/liar":       {[]string{"noise/frame", "relay/wire"}, "a lying proxy for tests: it stands where a relay stands, and holds no key"},
	"relay/roots":      {nil, "a leaf: certificates of relays"},
	"relay/mailbox":    {[]string{"fault", "discovery", "noise/frame", "relay/roots", "relay/wire"}, "a client must not lean on the relay it doesn't trust"},

	"node": {[]string{"fault", "node/share", "node/link", "node/credential", "noise", "noise/frame", "discovery", "fallback"},
		"vault, relay and lan are given by commands, so that wallet, browser and simulation give their own"},

	"simulations/wire":        {nil, "a leaf: packets, whatever is in them"},
	"simulations/programs":    {nil, "it knows the programs by their flags and words alone; where they run is given"},
	"simulations/bench":       {[]string{"simulations/programs", "simulations/wire"}, "it runs the real programs, and sees what a person sees"},
	"simulations/canary":      {nil, "a leaf, for tests: it looks for words, whatever they mean"},
	"simulations/lab":         {[]string{"simulations/canary", "simulations/programs", "simulations/wire"}, "it runs the real programs, and judges by what they say and leave"},
	"simulations/bench/empty": {nil, "a program that does nothing"},

	"vectortest": {nil, "a leaf, for tests: vectors are made and compared in one way, whatever is in them"},

	"interop": {nil, "a second implementation, held to the pages by people who had read the code: it imports nothing of ours, and its tests run the real programs"},

	"cmd/sparekey":       {[]string{"*"}, "it wires everything"},
	"cmd/sparekey-relay": {[]string{"relay", "relay/disk", "relay/wire"}, "a relay holds no device's code"},

	"crash": {nil, "it knows the programs from outside only: by what they print and leave"},
}

// outside says which rooms alone may import what is not ours.
var outside = []struct {
	what  string
	rooms []string
	why   string
}{
	{"net/http", []string{"relay", "relay/mailbox", "relay/liar", "cmd/sparekey", "cmd/sparekey-relay"}, "the browser does without it; formats are given an HTTP function"},
	{"net", []string{"relay", "relay/mailbox", "relay/liar", "relay/relaytest", "node/vault", "discovery/lan", "discovery/lan/beacon", "discovery/lan/quicpath", "simulations/wire", "simulations/programs", "cmd/sparekey", "cmd/sparekey-relay"}, "sockets belong to paths, relays and the vault's local one"},
	{"os", []string{"relay", "relay/roots", "node/vault", "node/credential", "relay/disk", "simulations/wire", "simulations/programs", "simulations/bench", "simulations/lab", "cmd/sparekey", "cmd/sparekey-relay", "crash", "vectortest", "node/share/sharetest", "discovery/lan/quicpath"}, "files belong to the vault, to formats and to stores; quicpath sets a variable that keeps quic-go from printing"},
	{"crypto/rand", []string{"relay", "relay/disk", "discovery/lan", "simulations/programs", "simulations/bench", "simulations/lab", "cmd/sparekey", "cmd/sparekey-relay"}, "randomness is an argument, or a seed replays nothing"},
	{"github.com/cockroachdb/pebble", []string{"relay/disk"}, "one outside library in one room"},
	{"github.com/hashicorp/mdns", []string{"discovery/lan/beacon"}, "one outside library in one room"},
	{"github.com/miekg/dns", []string{"discovery/lan/beacon"}, "it is hashicorp/mdns's, and stays in its room"},
	{"github.com/flynn/noise", []string{"noise"}, "one outside library in one room"},
	{"github.com/quic-go/quic-go", []string{"discovery/lan/quicpath"}, "one outside library in one room"},
	{"github.com/spf13/cobra", []string{"cmd/sparekey", "cmd/sparekey-relay"}, "commands only"},
}

// apart are the packages whose tests, too, may import nothing of ours but these.
var apart = map[string][]string{
	"interop": {"simulations/wire", "simulations/programs"}, // networks, and the real programs on them: neither knows the protocol
}

type listed struct {
	ImportPath                string
	Imports                   []string
	TestImports, XTestImports []string
}

func TestImportsPointOneWay(t *testing.T) {
	for _, p := range packages(t) {
		name := strings.TrimPrefix(strings.TrimPrefix(p.ImportPath, module), "/")
		if name == "" {
			continue
		}
		r, ok := rooms[name]
		if !ok {
			t.Errorf("%s stands in no row of the house: decide what it may import, and why", name)
			continue
		}
		if but, ok := apart[name]; ok {
			for _, imported := range slices.Concat(p.TestImports, p.XTestImports) {
				ours, is := strings.CutPrefix(imported, module+"/")
				if is && !slices.Contains(but, ours) {
					t.Errorf("a test in %s imports %s; it may not: %s", name, imported, r.why)
				}
			}
		}
		for _, imported := range p.Imports {
			if ours, ok := strings.CutPrefix(imported, module+"/"); ok {
				if !slices.Contains(r.may, ours) && !slices.Contains(r.may, "*") {
					t.Errorf("%s imports %s; it may not: %s", name, ours, r.why)
				}
				continue
			}
			for _, o := range outside {
				if within(imported, o.what) && !slices.Contains(o.rooms, name) {
					t.Errorf("%s imports %s; only %s may: %s", name, imported, strings.Join(o.rooms, ", "), o.why)
				}
			}
		}
	}
}

// within reports whether an import is of a package or, for a module's path, below it.
func within(imported, what string) bool {
	host, _, _ := strings.Cut(what, "/")
	return imported == what || strings.Contains(host, ".") && strings.HasPrefix(imported, what+"/")
}

func packages(t *testing.T) (all []listed) {
	t.Helper()
	out, err := exec.Command("go", "list", "-json=ImportPath,Imports,TestImports,XTestImports", "./...").Output()
	if err != nil {
		t.Fatal("go list: ", err)
	}
	d := json.NewDecoder(strings.NewReader(string(out)))
	for {
		var p listed
		if err := d.Decode(&p); errors.Is(err, io.EOF) {
			return all
		} else if err != nil {
			t.Fatal(err)
		}
		all = append(all, p)
	}
}
