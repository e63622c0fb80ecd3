//go:build linux

package beacon

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/hashicorp/mdns"
	"go.uber.org/goleak"
	"golang.org/x/sys/unix"
)

// A device is this test's program, run as another process with a Beacon in it:
// a Beacon belongs to a process, and a process to a network namespace. It is
// told what to do by lines, and says what happens by lines.

const beDevice = "BEACON_TEST_DEVICE" // in the environment: the name of the device

// An event is one line of a device.
type event struct {
	Event             string
	Tag               string `json:",omitempty"`
	Text, Ifi, Source string `json:",omitempty"`
	Took              time.Duration
	Descriptors       int `json:",omitempty"`
	Goroutines        int `json:",omitempty"`
	HeapKiB, CPU      int `json:",omitempty"` // of CPU: milliseconds since the start
}

// device is the program. It ends with its input; 1 says that something was left.
func device() int {
	if err := unix.Sethostname([]byte(os.Getenv(beDevice))); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	log := slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelDebug}))
	d := &deviceState{b: New(Config{Log: log}), out: json.NewEncoder(os.Stdout), stop: make(map[string]func())}
	for in := bufio.NewScanner(os.Stdin); in.Scan(); {
		d.obey(strings.Fields(in.Text()))
	}
	d.b.Close()
	if d.printer != nil {
		d.printer.Shutdown()
	}
	d.asking.Wait()
	if err := goleak.Find(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

type deviceState struct {
	b       *Beacon
	asking  sync.WaitGroup
	printer *mdns.Server      // another program's
	stop    map[string]func() // by "answer TAG" and "ask TAG"

	mu  sync.Mutex
	out *json.Encoder
}

func (d *deviceState) say(e event) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.out.Encode(e)
}

// obey does what a line says: answer TAG TEXT, bytes TAG, ask TAG, stop answer|ask
// TAG, close, weigh; printer SERVICE has it be another program, with a service.
func (d *deviceState) obey(words []string) {
	switch words[0] {
	case "answer":
		text := words[2]
		d.stop["answer "+words[1]] = d.b.Answer(words[1], func(ifi net.Interface) []byte {
			return []byte(strings.ReplaceAll(text, "IFI", ifi.Name))
		})
		d.say(event{Event: "answering", Tag: words[1]})
	case "bytes":
		b := everyByte()
		d.b.Answer(words[1], func(net.Interface) []byte { return b })
		d.say(event{Event: "answering", Tag: words[1]})
	case "ask":
		d.ask(words[1])
	case "stop":
		d.stop[words[1]+" "+words[2]]()
		d.say(event{Event: "stopped", Tag: words[2]})
	case "printer":
		d.printer = printer(words[1])
		d.say(event{Event: "printing"})
	case "close":
		d.b.Close()
	case "weigh":
		d.say(weigh())
	default:
		panic(words[0])
	}
}

// printer is another program's responder, for a service.
func printer(service string) *mdns.Server {
	s, err := mdns.NewMDNSService("printer", service, "", "printer.", 631, []net.IP{{10, 0, 0, 1}}, nil)
	if err != nil {
		panic(err)
	}
	ifi, err := net.InterfaceByName("eth0")
	if err != nil {
		panic(err)
	}
	server, err := mdns.NewServer(&mdns.Config{Zone: s, Iface: ifi})
	if err != nil {
		panic(err)
	}
	return server
}

func (d *deviceState) ask(tag string) {
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	start := time.Now()
	d.asking.Go(func() {
		defer close(ended)
		err := d.b.Ask(ctx, tag, func(text []byte, ifi net.Interface, from netip.Addr) {
			d.say(event{Event: "heard", Tag: tag, Text: printable(text), Ifi: ifi.Name, Source: from.String(), Took: time.Since(start)})
		})
		if err != nil {
			d.say(event{Event: "failed", Tag: tag, Text: err.Error()})
		}
	})
	d.stop["ask "+tag] = func() { cancel(); <-ended }
}

// everyByte is the longest text: the bytes from 1 to 255.
func everyByte() (b []byte) {
	for i := range maxText {
		b = append(b, byte(i+1))
	}
	return b
}

// printable is a text as an event carries it: JSON knows no bytes.
func printable(text []byte) string {
	if s := string(text); strings.Trim(s, "abcdefghijklmnopqrstuvwxyz0123456789-") == "" {
		return s
	}
	return fmt.Sprintf("%x", text)
}

func weigh() event {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	fds, _ := os.ReadDir("/proc/self/fd")
	var u syscall.Rusage
	syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	cpu := (time.Duration(u.Utime.Nano()) + time.Duration(u.Stime.Nano())).Milliseconds()
	return event{Event: "weighed", Descriptors: len(fds), Goroutines: runtime.NumGoroutine(),
		HeapKiB: int(m.HeapAlloc >> 10), CPU: int(cpu)}
}

// A remote is a device as the test sees it.
type remote struct {
	t      testing.TB
	name   string
	in     io.WriteCloser
	events chan event
	seen   []event
	log    bytes.Buffer
}

// start starts a device on the host.
func (h *host) start(name string) *remote {
	h.t.Helper()
	return startDevice(h.t, name, func(c *exec.Cmd) error { h.do(c.Start); return nil })
}

// startDevice starts a device somewhere. It must end leaving nothing behind.
func startDevice(t testing.TB, name string, start func(*exec.Cmd) error) *remote {
	t.Helper()
	r := &remote{t: t, name: name, events: make(chan event, 1<<16)}
	c := exec.Command(os.Args[0])
	c.Env = append(os.Environ(), beDevice+"="+name)
	c.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWUTS}
	c.Stderr = &r.log
	r.in, _ = c.StdinPipe()
	out, _ := c.StdoutPipe()
	if err := start(c); err != nil {
		t.Fatal(err)
	}
	read := make(chan struct{})
	go func() {
		defer close(read)
		for d := json.NewDecoder(out); ; {
			var e event
			if d.Decode(&e) != nil {
				close(r.events)
				return
			}
			r.events <- e
		}
	}()
	t.Cleanup(func() {
		r.in.Close()
		late := time.AfterFunc(patience, func() { c.Process.Kill() })
		defer late.Stop()
		<-read
		if err := c.Wait(); err != nil {
			t.Errorf("device %s: %v\n%s", name, err, r.log.String())
		}
	})
	return r
}

// patience bounds every wait of these tests, on the slowest machine.
const patience = time.Minute

// tell gives the device a line.
func (r *remote) tell(words ...string) {
	r.t.Helper()
	if _, err := fmt.Fprintln(r.in, strings.Join(words, " ")); err != nil {
		r.t.Fatalf("device %s: %v", r.name, err)
	}
}

// await waits for an event.
func (r *remote) await(what string, is func(event) bool) event {
	r.t.Helper()
	late := time.NewTimer(patience)
	defer late.Stop()
	for {
		select {
		case e, ok := <-r.events:
			if !ok {
				r.t.Fatalf("device %s ended before %s", r.name, what)
			}
			r.seen = append(r.seen, e)
			if is(e) {
				return e
			}
		case <-late.C:
			r.t.Fatalf("device %s: no %s in %v; it said %+v", r.name, what, patience, r.seen)
		}
	}
}

func (r *remote) answer(tag, text string) {
	r.t.Helper()
	r.tell("answer", tag, text)
	r.await("answering for "+tag, func(e event) bool { return e.Event == "answering" && e.Tag == tag })
}

func (r *remote) stop(what, tag string) {
	r.t.Helper()
	r.tell("stop", what, tag)
	r.await("end of "+what+" "+tag, func(e event) bool { return e.Event == "stopped" && e.Tag == tag })
}

// hears waits until a text is heard.
func (r *remote) hears(tag, text string) event {
	r.t.Helper()
	return r.await(text+" for "+tag, func(e event) bool { return e.Event == "heard" && e.Tag == tag && e.Text == text })
}

func (r *remote) weigh() event {
	r.t.Helper()
	r.tell("weigh")
	return r.await("weight", func(e event) bool { return e.Event == "weighed" })
}

// holds waits until the device has so many descriptors: the library's goroutines
// close theirs when nobody can see it.
func (r *remote) holds(descriptors int) {
	r.t.Helper()
	for end := time.Now().Add(patience); ; {
		have := r.weigh().Descriptors
		if have == descriptors {
			return
		}
		if time.Now().After(end) {
			r.t.Fatalf("device %s holds %d descriptors, want %d", r.name, have, descriptors)
		}
	}
}

// numbered is one of many tags.
func numbered(i int) (tag string) {
	for range TagLen {
		tag = string('a'+rune(i%26)) + tag
		i /= 26
	}
	return tag
}
