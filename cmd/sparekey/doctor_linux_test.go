package main

import (
	"bytes"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/netip"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/sparekey/sparekey/simulations/programs"
	"github.com/sparekey/sparekey/simulations/wire"
)

// An examination is what sparekey doctor said.
type examination struct {
	t    *testing.T
	exit int
	all  []event
	text string
}

// examine runs doctor in a network of its own that shell commands make; in this
// machine's where there are none. No test here may look around in that.
func examine(t *testing.T, network, home string, env []string, args ...string) *examination {
	t.Helper()
	args = append([]string{"-ec", network + "\n" + `exec "$0" "$@"`, filepath.Join(bin, "sparekey"), "doctor", "--json", "--home", home, "--config", os.DevNull, "--timeout", "60s"}, args...)
	c := exec.Command("sh", args...)
	c.Env = append(append(os.Environ(), "SPAREKEY_RELAY=", "SPAREKEY_PATHS=", "SPAREKEY_VAULT_KEY_FILE="), env...)
	c.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if network != "" {
		c.SysProcAttr.Cloneflags = syscall.CLONE_NEWNET
	}
	out, err := c.Output()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatalf("%v (network namespaces need root)", err)
	}
	if exit != nil && len(exit.Stderr) > 0 {
		t.Fatalf("%s (on Debian, iproute2 has ip)", exit.Stderr)
	}
	return examined(t, c, out)
}

// examined reads what doctor said and how it ended.
func examined(t *testing.T, c *exec.Cmd, out []byte) *examination {
	t.Helper()
	e := &examination{t: t, exit: c.ProcessState.ExitCode(), text: string(out)}
	for line := range bytes.Lines(out) {
		var one event
		if err := json.Unmarshal(line, &one); err != nil {
			t.Fatalf("%v: %s", err, line)
		}
		e.all = append(e.all, one)
	}
	return e
}

// finds wants a finding of a check about a subject, in a state, with words in what it
// says, and something to do where there is trouble.
func (e *examination) finds(state, check, subject, words string) {
	e.t.Helper()
	found := func(f event) bool {
		return f.Type == "check" && f.State == state && f.Check == check && f.Subject == subject && strings.Contains(f.Message, words)
	}
	if i := slices.IndexFunc(e.all, found); i < 0 || state == trouble && e.all[i].Hint == "" {
		e.t.Errorf("it doesn't find %s, %s %s: %q, with what to do\n%s", state, check, subject, words, e.text)
	}
}

// ends wants the exit code, and the code of an error or the paths that can be gone by.
func (e *examination) ends(exit int, word string) {
	e.t.Helper()
	if last := e.all[len(e.all)-1]; e.exit != exit || first(last.Code, last.Path) != word {
		e.t.Errorf("exit %d, want %d with %q\n%s", e.exit, exit, word, e.text)
	}
}

const (
	nothing = "true"
	// An interface like a machine's, whose addresses can be used at once.
	network = `echo 0 >/proc/sys/net/ipv6/conf/default/accept_dad
ip link set lo up; ip link add room type veth peer name wall; ip link set room up; ip link set wall addrgenmode none; ip link set wall up
ip addr add 10.0.0.1/24 dev room; ip addr add fd00::1/64 dev room nodad
`
)

// noGroups4 lets no program hear IPv4 multicast.
const noGroups4 = "echo 0 >/proc/sys/net/ipv4/igmp_max_memberships\n"

func TestDoctorWithoutAnyInterfaceSaysSo(t *testing.T) {
	t.Parallel()
	e := examine(t, nothing, filepath.Join(t.TempDir(), "home"), nil)
	e.finds(trouble, "interface", "", "no network interface is up")
	e.finds(note, "relay", "", "none is set")
	e.ends(exitNoPath, "no_path")
}

func TestDoctorHearsItselfOnAnInterfaceByBothVersions(t *testing.T) {
	t.Parallel()
	e := examine(t, network, filepath.Join(t.TempDir(), "home"), nil)
	e.finds(works, "interface", "room", "10.0.0.1, fd00::1")
	e.finds(works, "multicast", "room", "by 224.0.0.251 and ff02::fb")
	e.finds(works, "udp", "room", "10.0.0.1, fd00::1")
	e.ends(exitDone, "lan")
	e = examine(t, network, filepath.Join(t.TempDir(), "home"), nil, "--paths", "relay")
	e.finds(works, "interface", "room", "10.0.0.1")
	e.ends(exitNoPath, "no_path")
	if strings.Contains(e.text, "multicast") {
		t.Errorf("left out, and asked all the same: %s", e.text)
	}
}

func TestDoctorTellsWhatIsMissingInTheRoom(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		bend                  string
		state, check, message string
		exit                  int
		word                  string
	}{
		"one version is enough": {noGroups4, works, "multicast", "by ff02::fb, and not by 224.0.0.251", exitDone, "lan"},
		"nothing can be asked":  {noGroups4 + "echo 1 >/proc/sys/net/ipv6/conf/room/disable_ipv6", trouble, "multicast", "doesn't hear itself by 224.0.0.251", exitNoPath, "no_path"},
		"no multicast":          {"ip link set room multicast off", note, "interface", "without multicast", exitNoPath, "no_path"},
		"nothing arrives":       {"ip rule add pref 10 lookup local; ip rule del pref 0; ip rule add pref 5 to 10.0.0.1 prohibit; echo 1 >/proc/sys/net/ipv6/conf/room/disable_ipv6", trouble, "udp", "10.0.0.1", exitNoPath, "no_path"},
		"interface is down":     {"ip link set room down", trouble, "interface", "", exitNoPath, "no_path"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e := examine(t, network+c.bend, filepath.Join(t.TempDir(), "home"), nil, "--paths", "lan", "--timeout", "10s") // it is waited out
			subject := "room"
			if name == "interface is down" {
				subject = ""
			}
			e.finds(c.state, c.check, subject, c.message)
			e.ends(c.exit, c.word)
		})
	}
}

// TestDoctorDoesntCallARoomClosedWhoseLoopbackIsDown: a share goes there all the same.
func TestDoctorDoesntCallARoomClosedWhoseLoopbackIsDown(t *testing.T) {
	t.Parallel()
	e := examine(t, network+"ip link set lo down", filepath.Join(t.TempDir(), "home"), nil, "--paths", "lan")
	e.finds(works, "multicast", "room", "by 224.0.0.251 and ff02::fb")
	e.finds(note, "udp", "lo", "loopback interface is down")
	e.ends(exitDone, "lan")
	e = examine(t, network+noGroups4+"echo 1 >/proc/sys/net/ipv6/conf/room/disable_ipv6; ip link set lo down", filepath.Join(t.TempDir(), "home"), nil, "--paths", "lan", "--timeout", "10s")
	e.finds(trouble, "multicast", "room", "doesn't hear itself")
	e.ends(exitNoPath, "no_path")
}

// TestDoctorTellsOfAProgramThatKeepsMDNSsPortToItself, which no firewall is to blame for.
func TestDoctorTellsOfAProgramThatKeepsMDNSsPortToItself(t *testing.T) {
	t.Parallel()
	st, err := wire.NewStation("device")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { st.Close() })
	for _, words := range []string{"link add room type veth peer name wall", "addr add 10.0.0.1/24 dev room", "link set room up", "link set wall up"} {
		if err := st.IP(words); err != nil {
			t.Fatal(err)
		}
	}
	var kept [2]net.PacketConn
	if err := st.Do(func() (err error) {
		if kept[0], err = net.ListenPacket("udp4", ":5353"); err == nil {
			kept[1], err = net.ListenPacket("udp6", ":5353")
		}
		return err
	}); err != nil {
		t.Fatal(err)
	}
	defer kept[0].Close()
	defer kept[1].Close()
	c := exec.Command(filepath.Join(bin, "sparekey"), "doctor", "--json", "--home", filepath.Join(t.TempDir(), "home"), "--config", os.DevNull, "--paths", "lan")
	var out bytes.Buffer
	c.Stdout = &out
	if err := st.Start(c); err != nil {
		t.Fatal(err)
	}
	c.Wait() // how it ends is looked at below
	e := examined(t, c, out.Bytes())
	e.finds(trouble, "multicast", "room", "another program keeps UDP port 5353 to itself")
	e.ends(exitNoPath, "no_path")
}

// A here is a host that is this machine.
type here struct{}

func (here) Start(c *exec.Cmd) error { return c.Start() }

// certified returns a folder of its own, and a certificate in it for an address.
func certified(t *testing.T, lasting time.Duration, addr string) (dir string, c programs.Certificates) {
	t.Helper()
	dir = t.TempDir()
	c, err := programs.Certify(dir, nil, lasting, netip.MustParseAddr(addr))
	if err != nil {
		t.Fatal(err)
	}
	return dir, c
}

// secureRelay starts a relay on loopback whose certificate is for an address.
func secureRelay(t *testing.T, lasting time.Duration, addr string) (url, roots string) {
	t.Helper()
	dir, c := certified(t, lasting, addr)
	r, err := programs.Serve(here{}, bin, "127.0.0.1:0", filepath.Join(dir, "relay"), "--tls-cert", c.Cert, "--tls-key", c.Key)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.Kill)
	return r.URL, c.Roots
}

// webServer starts one that has a page for everything, and answers so at its root.
func webServer(t *testing.T, c programs.Certificates, root int) (url string) {
	t.Helper()
	pair, err := tls.LoadX509KeyPair(c.Cert, c.Key)
	if err != nil {
		t.Fatal(err)
	}
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/" {
			w.WriteHeader(root)
		}
	}))
	s.TLS = &tls.Config{Certificates: []tls.Certificate{pair}}
	s.StartTLS()
	t.Cleanup(s.Close)
	return s.URL
}

// TestDoctorTellsWhatIsTheMatterWithARelay: real relays, each with one thing wrong.
func TestDoctorTellsWhatIsTheMatterWithARelay(t *testing.T) {
	t.Parallel()
	const loopback = "127.0.0.1"
	good, roots := secureRelay(t, time.Hour, loopback)
	other, otherRoots := secureRelay(t, time.Hour, "192.0.2.1")
	old, oldRoots := secureRelay(t, -time.Minute, loopback)
	_, c := certified(t, time.Hour, loopback)
	plain, gone := newRelay(t), newRelay(t)
	gone.kill()
	web := httptest.NewServer(http.NotFoundHandler())
	t.Cleanup(web.Close)
	for name, c := range map[string]struct {
		url, roots            string
		state, check, message string
		exit                  int
	}{
		"good":                  {good, roots, works, "relay", "ready", exitDone},
		"plain, on loopback":    {plain.url, roots, works, "clock", "agrees", exitDone},
		"nobody's certificate":  {good, otherRoots, trouble, "relay", "from nobody whom this device trusts", exitNoPath},
		"another's certificate": {other, otherRoots, trouble, "relay", "for another name", exitNoPath},
		"a certificate of then": {old, oldRoots, trouble, "relay", "this device's clock says", exitNoPath},
		"a closed port":         {gone.url, roots, trouble, "relay", "nothing listens there", exitNoPath},
		"no TLS":                {strings.Replace(web.URL, "http", "https", 1), roots, trouble, "relay", "no TLS", exitNoPath},
		"a web server":          {webServer(t, c, http.StatusOK), c.Roots, trouble, "relay", "no sparekey relay", exitNoPath},
		"a bare web server":     {webServer(t, c, http.StatusNotFound), c.Roots, trouble, "relay", "no sparekey relay", exitNoPath},
		"no name":               {"https://relay.invalid", roots, trouble, "relay", "", exitNoPath},
		"no address":            {"ftp://relay", roots, trouble, "relay", "can't be a relay", exitNoPath},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			network, subject := "", ""
			if u, err := url.Parse(c.url); err == nil && c.check == "relay" && u.Scheme != "ftp" {
				subject = u.Host
			}
			if name == "no name" {
				network = "ip link set lo up" // where no name server is
			}
			e := examine(t, network, filepath.Join(t.TempDir(), "home"), []string{"SSL_CERT_FILE=" + c.roots, "SSL_CERT_DIR=" + os.DevNull}, "--paths", "relay", "--relay", c.url)
			e.finds(c.state, c.check, subject, c.message)
			if name == "nobody's certificate" && !strings.Contains(e.text, "SSL_CERT_FILE") {
				t.Errorf("it doesn't say how a certificate of one's own is trusted\n%s", e.text)
			}
			word := "no_path"
			if c.exit == exitDone {
				word = "relay"
			}
			e.ends(c.exit, word)
		})
	}
}

// TestDoctorComparesTheClockWithTheRelays: an honest relay, whose answers a proxy dates
// otherwise.
func TestDoctorComparesTheClockWithTheRelays(t *testing.T) {
	t.Parallel()
	relay, err := url.Parse(newRelay(t).url)
	if err != nil {
		t.Fatal(err)
	}
	for off, want := range map[time.Duration]struct{ state, words string }{
		0:                {works, "agrees"},
		-240 * time.Hour: {trouble, "ahead of the relay's"},
		240 * time.Hour:  {trouble, "behind the relay's"},
	} {
		p := httputil.NewSingleHostReverseProxy(relay)
		both := new(http.Protocols)
		both.SetUnencryptedHTTP2(true)
		p.Transport = &http.Transport{Protocols: both}
		p.ModifyResponse = func(r *http.Response) error {
			r.Header.Set("Date", time.Now().Add(off).UTC().Format(http.TimeFormat))
			return nil
		}
		s := httptest.NewUnstartedServer(p)
		s.Config.Protocols = both
		s.Start()
		e := examine(t, "", filepath.Join(t.TempDir(), "home"), nil, "--paths", "relay", "--relay", s.URL)
		e.finds(want.state, "clock", "", want.words)
		e.ends(exitDone, "relay")
		s.Close()
	}
}

// TestDoctorTellsThatTheFirstShareCantMakeItsVault: in words and with an end that are
// the share's own.
func TestDoctorTellsThatTheFirstShareCantMakeItsVault(t *testing.T) {
	t.Parallel()
	r := newRelay(t)
	dir := t.TempDir()
	file, nowhere := filepath.Join(dir, "file"), filepath.Join(dir, "link")
	if err := errors.Join(os.WriteFile(file, []byte(spare), 0o600), os.Symlink(filepath.Join(dir, "not", "there"), nowhere)); err != nil {
		t.Fatal(err)
	}
	for home, words := range map[string]string{
		"/proc/sparekey/home":          "can't be made", // where nobody can make anything
		filepath.Join(nowhere, "home"): "can't be made",
	} {
		e := examine(t, "", home, nil, "--paths", "relay", "--relay", r.url)
		e.finds(trouble, "vault", "", words)
		e.finds(trouble, "vault", "", home)
		e.ends(exitCantWrite, "storage")
		p := (&device{t: t, home: home, out: dir}).start("share", file, "--yes", "--relay", r.url)
		p.exits(exitCantWrite)
	}
	home := filepath.Join(dir, "home")
	e := examine(t, "", home, []string{"SPAREKEY_VAULT_KEY_FILE=" + filepath.Join(dir, "no-key")}, "--paths", "relay", "--relay", r.url)
	e.finds(trouble, "vault", "", "no-key")
	e.ends(exitVault, "no_key")
}

func TestDoctorLooksAtTheVaultAndItsKey(t *testing.T) {
	t.Parallel()
	r := newRelay(t)
	look := func(d *device) *examination {
		return examine(t, "", d.home, nil, "--paths", "relay", "--relay", r.url)
	}
	d := newDevice(t)
	e := look(d)
	e.finds(note, "vault", "", "there is none yet")
	if left, err := os.ReadDir(filepath.Dir(d.home)); err != nil || len(left) != 1 { // the folder for what is received
		t.Errorf("looking has made %v: %v", left, err)
	}
	d.offered(r.url)
	e = look(d)
	e.finds(works, "vault", "", "opens, with 1 share")
	e.finds(works, "key", "", "only you can read")
	e.ends(exitDone, "relay")
	if locks, _ := filepath.Glob(filepath.Join(d.home, "shares", "*.lock")); len(locks) > 1 {
		t.Errorf("looking has left %q", locks)
	}

	key := filepath.Join(d.home, "key")
	if err := errors.Join(os.Chmod(d.home, 0o755), os.Chmod(key, 0o644)); err != nil {
		t.Fatal(err)
	}
	e = look(d)
	e.finds(trouble, "vault", "", "others on this machine can get at "+d.home)
	e.finds(trouble, "key", "", "others on this machine can get at "+key)
	e.ends(exitDone, "relay")

	shares, err := filepath.Glob(filepath.Join(d.home, "shares", "????????"))
	if err != nil || len(shares) != 1 {
		t.Fatalf("%q: %v", shares, err)
	}
	if err := os.Truncate(shares[0], 20); err != nil {
		t.Fatal(err)
	}
	e = look(d)
	e.finds(trouble, "vault", filepath.Base(shares[0]), "can't be read")
	e.ends(exitDone, "relay")

	if err := os.WriteFile(key, []byte(fmt.Sprintln(strings.Repeat("A", 43)+"=")), 0o600); err != nil {
		t.Fatal(err)
	}
	e = look(d)
	e.finds(trouble, "vault", "", "doesn't open it")
	e.ends(exitVault, "vault_locked")
}

// TestAFolderThatTakesNoSocketsIsStorage, to whoever holds a share and to doctor, and no defect.
func TestAFolderThatTakesNoSocketsIsStorage(t *testing.T) {
	t.Parallel()
	r := newRelay(t)
	d := newDevice(t)
	d.offered(r.url)
	run := filepath.Join(d.home, "run")
	if err := errors.Join(os.Remove(run), os.Symlink("/proc", run)); err != nil { // where nobody can make anything
		t.Fatal(err)
	}
	for _, args := range [][]string{{"resume"}, {"share", filepath.Join(d.out, "spare.key"), "--yes", "--relay", r.url}} {
		p := d.start(args...)
		p.exits(exitCantWrite)
		if all := p.events(); all[len(all)-1].Code != "storage" || !strings.Contains(p.said(), run) {
			t.Errorf("%s", p.said())
		}
	}
	e := examine(t, "", d.home, nil, "--paths", "relay", "--relay", r.url)
	e.finds(trouble, "vault", "", run)
	e.ends(exitCantWrite, "storage")
}

// TestDoctorsLastHintIsAboutTheReason why no path can be gone by, whatever else is the matter.
func TestDoctorsLastHintIsAboutTheReason(t *testing.T) {
	t.Parallel()
	r := newRelay(t)
	d := newDevice(t)
	d.offered(r.url)
	if err := os.Chmod(filepath.Join(d.home, "key"), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		relay, hint string
	}{
		{"", "set SPAREKEY_RELAY"},
		{"http://127.0.0.1:1", "see that the port is right"},
	} {
		e := examine(t, network, d.home, nil, "--paths", "relay", "--relay", c.relay)
		e.finds(trouble, "key", "", "others on this machine can get at")
		e.ends(exitNoPath, "no_path")
		if last := e.all[len(e.all)-1]; !strings.Contains(last.Hint, c.hint) {
			t.Errorf("its hint is %q, and not to %s", last.Hint, c.hint)
		}
	}
}
