package lan_test

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/sparekey/sparekey/discovery"
	"github.com/sparekey/sparekey/discovery/lan"
	"github.com/sparekey/sparekey/discovery/lan/beacon"
	"github.com/sparekey/sparekey/discovery/lan/quicpath"
	"github.com/sparekey/sparekey/noise/frame"
)

// patience bounds every wait of these tests, on the slowest machine.
const patience = time.Minute

// alone runs a test in a process that has a network of its own, with an interface
// that leads nowhere. It reports whether this is that process.
func alone(t *testing.T) bool {
	t.Helper()
	if os.Getenv("SPAREKEY_ALONE") == t.Name() {
		if err := makeRoom(); err != nil {
			t.Fatal(err)
		}
		return true
	}
	c := exec.Command(os.Args[0], "-test.run", "^"+t.Name()+"$", "-test.timeout", "3m", "-test.parallel", "16", "-test.v")
	c.Env = append(os.Environ(), "SPAREKEY_ALONE="+t.Name())
	c.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET, Pdeathsig: syscall.SIGKILL}
	out, err := c.CombinedOutput()
	if exit := new(exec.ExitError); errors.As(err, &exit) {
		t.Fatalf("in a network of its own: %v\n%s", err, out)
	}
	if err != nil {
		t.Fatalf("%v (network namespaces need root)", err)
	}
	return false
}

// makeRoom gives this process's network an interface like a machine's.
func makeRoom() error {
	for _, args := range []string{
		"link set lo up", "link add room type veth peer name wall", "link set room up", "link set wall up", "addr add 10.0.0.1/24 dev room",
	} {
		if out, err := exec.Command("ip", strings.Fields(args)...).CombinedOutput(); err != nil {
			return fmt.Errorf("ip %s: %w: %s (on Debian, iproute2 has it)", args, err, out)
		}
	}
	return nil
}

// A side is one side of a share in the room, without a share.
type side struct {
	room  *lan.LAN
	paths chan discovery.Path
	stop  func()
}

func enter(t *testing.T, r discovery.Role, first ...frame.Frame) *side {
	t.Helper()
	return enterFor(t, discovery.Meeting{Role: r, Topic: [32]byte{1}, Key: [32]byte{2}, First: func() []frame.Frame { return first }})
}

func enterFor(t *testing.T, m discovery.Meeting) *side {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	s := &side{room: lan.New(lan.Config{}), paths: make(chan discovery.Path, 16)}
	var finding sync.WaitGroup
	finding.Go(func() {
		if err := s.room.Find(ctx, m, func(p discovery.Path) { s.paths <- p }); err != nil {
			t.Error(err)
		}
	})
	s.stop = sync.OnceFunc(func() {
		cancel()
		finding.Wait()
		s.room.Close()
	})
	t.Cleanup(s.stop)
	return s
}

// path waits for a path.
func (s *side) path(t *testing.T) discovery.Direct {
	t.Helper()
	select {
	case p := <-s.paths:
		return p.(discovery.Direct)
	case <-time.After(patience):
		t.Fatal("no path was found")
		return nil
	}
}

// carries sends a frame by a path and takes it at the other end.
func carries(t *testing.T, from, to discovery.Direct, f frame.Frame) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	sent := make(chan error, 1)
	go func() { sent <- from.Send(ctx, f) }()
	got, err := to.Receive(ctx)
	if err != nil || len(got) != 1 || string(got[0]) != string(f) {
		t.Fatalf("received %v: %v", got, err)
	}
	to.Taken(true)
	if err := <-sent; err != nil {
		t.Fatal("sent: ", err)
	}
}

var (
	offer = frame.New(frame.Offer, frame.Candidate{}, 0, make([]byte, 64))
	data  = frame.New(frame.Data, frame.Candidate{1}, 1, make([]byte, 64))
)

func TestTwoDevicesInARoomFindEachOtherAndAgainWhenAPathHasDied(t *testing.T) {
	if !alone(t) {
		return
	}
	sender, receiver := enter(t, discovery.Sender, offer), enter(t, discovery.Receiver)
	for range 3 {
		here, there := receiver.path(t), sender.path(t)
		if early := there.(discovery.Early).Early(); len(early) != 1 {
			t.Errorf("the sender isn't told that its offer went with the first flight: %v", early)
		}
		first, err := here.Receive(t.Context())
		if err != nil || len(first) != 1 || string(first[0]) != string(offer) {
			t.Fatalf("the first flight brought %v: %v", first, err)
		}
		here.Taken(true)
		carries(t, here, there, data)
		carries(t, there, here, data)
		here.Close()
		there.Close()
	}
}

// A sender that has more to say than its offer asks for its receiver, which here
// only answers. So does one whose receiver has taken all, and believes in a path of
// before.
func TestASenderThatComesBackAsksForItsReceiver(t *testing.T) {
	if !alone(t) {
		return
	}
	for _, m := range []discovery.Meeting{
		{First: func() []frame.Frame { return []frame.Frame{offer, data} }},
		{First: func() []frame.Frame { return []frame.Frame{offer} }, Chosen: func() bool { return true }},
	} {
		m.Role, m.Topic, m.Key = discovery.Sender, [32]byte{1}, [32]byte{2}
		asksForItsReceiver(t, m)
	}
}

// LAN-01: a sender that has a path, and whose words nobody acknowledges, finds the
// receiver beside whoever is at the end of it.
func TestLAN01ASenderThatAnImpostorHoldsUpFindsItsReceiver(t *testing.T) {
	if !alone(t) {
		return
	}
	socket, air := neighbour(t)
	var waits atomic.Int64
	sender := enterFor(t, discovery.Meeting{
		Role: discovery.Sender, Topic: [32]byte{1}, Key: [32]byte{2}, Chosen: func() bool { return true },
		First: func() []frame.Frame { return []frame.Frame{offer, data} },
		Waits: func() time.Duration { return time.Duration(waits.Load()) },
	})
	impostor := enter(t, discovery.Receiver) // it has one path, for it has been found or has asked
	sender.path(t)
	impostor.path(t)
	tag := lan.TagOf([32]byte{1}, discovery.Receiver)
	found := make(chan discovery.Path, 16)
	defer socket.Serve(quicpath.Share{Own: tag, Key: [32]byte{2}, Role: discovery.Receiver}, func(p discovery.Path) { found <- p })()
	defer air.Answer(tag.String(), func(net.Interface) []byte {
		return lan.TextOf([32]byte{1}, [32]byte{2}, discovery.Receiver, netip.AddrPortFrom(netip.MustParseAddr("10.0.0.1"), socket.Port()))
	})()
	waits.Store(int64(time.Minute)) // from now on
	there := within(t, found, "the sender").(discovery.Direct)
	here := sender.path(t)
	for here.(quicpath.Path).Remote().Port() != socket.Port() { // to the impostor, by another of its addresses
		here = sender.path(t)
	}
	carries(t, here, there, data)
}

func asksForItsReceiver(t *testing.T, m discovery.Meeting) {
	socket, air := neighbour(t)
	tag := lan.TagOf([32]byte{1}, discovery.Receiver)
	found := make(chan discovery.Path, 16)
	defer socket.Serve(quicpath.Share{Own: tag, Key: [32]byte{2}, Role: discovery.Receiver}, func(p discovery.Path) { found <- p })()
	defer air.Answer(tag.String(), func(net.Interface) []byte {
		return lan.TextOf([32]byte{1}, [32]byte{2}, discovery.Receiver, netip.AddrPortFrom(netip.MustParseAddr("10.0.0.1"), socket.Port()))
	})()
	sender := enterFor(t, m)
	defer sender.stop()
	carries(t, sender.path(t), (<-found).(discovery.Direct), data)
}

// LAN-03: a sender that waits for its receiver is silent, whatever else is asked and
// answered in the room.
func TestLAN03ASenderThatNobodyAsksForAsksForNobody(t *testing.T) {
	if !alone(t) {
		return
	}
	air := beacon.New(beacon.Config{})
	defer air.Close()
	asked := make(chan struct{}, 1)
	defer air.Answer(lan.TagOf([32]byte{1}, discovery.Receiver).String(), func(net.Interface) []byte {
		asked <- struct{}{}
		return nil
	})()
	enter(t, discovery.Sender, offer)
	other := lan.TagOf([32]byte{9}, discovery.Receiver).String()
	again := make(chan struct{}, 100)
	defer air.Answer(other, func(net.Interface) []byte {
		again <- struct{}{}
		return nil
	})()
	asks(t, air, other)
	for start := time.Now(); time.Since(start) < 2*time.Second; { // an asked sender would ask after one
		within(t, again, "a question for another share")
	}
	select {
	case <-asked:
		t.Error("it has asked")
	default:
	}
}

// Whom a firewall keeps from coming in asks and isn't reached by who hears of it: so who
// is asked in vain asks, too, and dials.
func TestASenderThatIsAskedInVainDialsItsReceiver(t *testing.T) {
	if !alone(t) {
		return
	}
	socket, air := neighbour(t)
	tag := lan.TagOf([32]byte{1}, discovery.Receiver)
	found := make(chan discovery.Path, 16)
	defer socket.Serve(quicpath.Share{Own: tag, Key: [32]byte{2}, Role: discovery.Receiver}, func(p discovery.Path) { found <- p })()
	defer air.Answer(tag.String(), func(net.Interface) []byte {
		return lan.TextOf([32]byte{1}, [32]byte{2}, discovery.Receiver, netip.AddrPortFrom(netip.MustParseAddr("10.0.0.1"), socket.Port()))
	})()
	sender := enter(t, discovery.Sender, offer)
	asks(t, air, lan.TagOf([32]byte{1}, discovery.Sender).String())
	carries(t, sender.path(t), within(t, found, "the sender").(discovery.Direct), data)
}

// neighbour is a device that is up to the test, until that ends: what it carries by, and
// what it asks and answers by.
func neighbour(t *testing.T) (*quicpath.Socket, *beacon.Beacon) {
	t.Helper()
	socket, err := quicpath.Listen(quicpath.Config{})
	if err != nil {
		t.Fatal(err)
	}
	air := beacon.New(beacon.Config{})
	t.Cleanup(func() {
		air.Close()
		socket.Close()
	})
	return socket, air
}

// asks asks for a tag until the test ends, and dials nobody.
func asks(t *testing.T, air *beacon.Beacon, tag string) {
	ctx, cancel := context.WithCancel(context.Background())
	var asking sync.WaitGroup
	asking.Go(func() { air.Ask(ctx, tag, func([]byte, net.Interface, netip.Addr) {}) })
	t.Cleanup(func() { cancel(); asking.Wait() })
}

// LAN-01: who answers for a share it doesn't know costs nothing but the answer; an
// address where somebody else now listens costs a dial, and is then left alone.
func TestLAN01ANeighbourThatAnswersForTheTagIsDroppedAndTheTruePeerFound(t *testing.T) {
	if !alone(t) {
		return
	}
	stranger, air := neighbour(t)
	tag := lan.TagOf([32]byte{1}, discovery.Sender)
	// It listens for the very tag, with a key of its own.
	defer stranger.Serve(quicpath.Share{Own: tag, Key: [32]byte{66}, Role: discovery.Sender}, func(p discovery.Path) { t.Error("a stranger has a path") })()
	asked := make(chan struct{}, 100)
	var n atomic.Int32 // it is asked on several interfaces at once
	defer air.Answer(tag.String(), func(ifi net.Interface) []byte {
		asked <- struct{}{}
		if n.Add(1)%2 == 0 {
			b := make([]byte, 168)
			rand.Read(b)
			return b
		}
		// A true text of earlier, when the sender was where the stranger is now.
		return lan.TextOf([32]byte{1}, [32]byte{2}, discovery.Sender, netip.AddrPortFrom(netip.MustParseAddr("10.0.0.1"), stranger.Port()))
	})()
	receiver := enter(t, discovery.Receiver)
	for range 2 { // it has been lied to in both ways before the true one comes
		select {
		case <-asked:
		case <-time.After(patience):
			t.Fatal("nobody asked")
		}
	}
	sender := enter(t, discovery.Sender, offer)
	here, there := receiver.path(t), sender.path(t)
	if _, err := here.Receive(t.Context()); err != nil {
		t.Fatal(err)
	}
	here.Taken(true)
	carries(t, here, there, data)
	if strings.HasSuffix(here.String(), fmt.Sprint(":", stranger.Port())) {
		t.Errorf("the path leads to the stranger: %v", here)
	}
}

// LAN-01: a neighbour that holds the link names addresses where nobody asked for
// packets: here this machine's own, in no room.
func TestLAN01ANeighbourWithTheLinkCannotHaveADeviceSendPacketsOutOfTheRoom(t *testing.T) {
	if !alone(t) {
		return
	}
	if out, err := exec.Command("ip", "addr", "add", "10.0.0.9/24", "dev", "room").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	victim, lure := listens(t, "127.0.0.1"), listens(t, "10.0.0.9")
	air := beacon.New(beacon.Config{})
	defer air.Close()
	tag := lan.TagOf([32]byte{1}, discovery.Sender)
	defer air.Answer(tag.String(), func(net.Interface) []byte {
		return lan.TextOf([32]byte{1}, [32]byte{2}, discovery.Sender, victim.at, lure.at)
	})()
	enter(t, discovery.Receiver)
	select {
	case <-lure.heard:
	case <-time.After(patience):
		t.Fatal("what is in the room is not dialled")
	}
	select {
	case <-victim.heard: // it is named first, so it would have been dialled before
		t.Error("a device has sent packets out of the room")
	default:
	}
}

// An ear hears packets.
type ear struct {
	at    netip.AddrPort
	heard chan struct{}
}

func listens(t *testing.T, ip string) ear {
	t.Helper()
	c, err := net.ListenUDP("udp4", net.UDPAddrFromAddrPort(netip.AddrPortFrom(netip.MustParseAddr(ip), 0)))
	if err != nil {
		t.Fatal(err)
	}
	e := ear{c.LocalAddr().(*net.UDPAddr).AddrPort(), make(chan struct{}, 1)}
	var hearing sync.WaitGroup
	hearing.Go(func() {
		for {
			if _, _, err := c.ReadFrom(make([]byte, 2048)); err != nil {
				return
			}
			select {
			case e.heard <- struct{}{}:
			default:
			}
		}
	})
	t.Cleanup(func() { c.Close(); hearing.Wait() })
	return e
}
