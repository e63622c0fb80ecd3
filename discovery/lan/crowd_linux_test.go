package lan_test

import (
	"bufio"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/sparekey/sparekey/discovery"
	"github.com/sparekey/sparekey/discovery/lan"
	"github.com/sparekey/sparekey/node"
	"github.com/sparekey/sparekey/node/credential"
	"github.com/sparekey/sparekey/node/link"
	"github.com/sparekey/sparekey/node/share"
	"github.com/sparekey/sparekey/node/vaulttest"
)

// TestMain lets this program stand in for a process of a crowd.
func TestMain(m *testing.M) {
	play, ok := map[string]func() error{"machine": crowdMachine, "receivers": crowdReceivers}[os.Getenv("SPAREKEY_CROWD")]
	if !ok {
		goleak.VerifyTestMain(m)
		return
	}
	if err := play(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// A thousand shares at once between two processes on one machine all end, and
// neither process keeps a goroutine, a socket or memory of them.
func TestManySharesAtOnceLeaveNothingBehind(t *testing.T) {
	c := exec.Command(os.Args[0])
	c.Env = append(os.Environ(), "SPAREKEY_CROWD=machine")
	c.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET, Pdeathsig: syscall.SIGKILL}
	out, err := c.CombinedOutput()
	if err != nil {
		t.Fatalf("%v (network namespaces need root)\n%s", err, out)
	}
	t.Logf("\n%s", out)
	if n := strings.Count(string(out), fmt.Sprintf("%d of %d", crowd, crowd)); n != 2 {
		t.Errorf("not all shares have ended on both sides")
	}
}

// crowdMachine is a machine with a network of its own: senders here, receivers in
// a process that it starts.
func crowdMachine() error {
	if err := makeRoom(); err != nil {
		return err
	}
	c := exec.Command(os.Args[0])
	c.Env = append(os.Environ(), "SPAREKEY_CROWD=receivers")
	c.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	c.Stdout, c.Stderr = os.Stdout, os.Stderr
	links, err := c.StdinPipe()
	if err != nil {
		return err
	}
	if err := c.Start(); err != nil {
		return err
	}
	err = crowdOf("senders", func(d *node.Device, id string, _ int) (*node.Live, error) {
		r, err := d.Offer(context.Background(), id, node.Offer{Preview: share.Preview{Format: "thing", Title: id}, Opening: []byte("one")})
		if err != nil {
			return nil, err
		}
		defer fmt.Fprintln(links, r.Link().URL())
		return d.Start(context.Background(), id, r, nil)
	})
	links.Close()
	return errors.Join(err, c.Wait())
}

// crowdReceivers receives what the links on standard input lead to.
func crowdReceivers() error {
	in := bufio.NewScanner(os.Stdin)
	return crowdOf("receivers", func(d *node.Device, id string, _ int) (*node.Live, error) {
		if !in.Scan() {
			return nil, errors.New("the links have ended")
		}
		l, err := link.Parse(in.Text())
		if err != nil {
			return nil, err
		}
		r, err := d.Open(l)
		if err != nil {
			return nil, err
		}
		seen := make(chan struct{}, 1)
		live, err := d.Start(context.Background(), id, r, func(u node.Update) {
			if u.Notice != nil && u.Notice.Kind == share.NoticePreview {
				seen <- struct{}{}
			}
		})
		if err == nil {
			go func() {
				<-seen
				live.Accept(context.Background(), nil, "crowd")
			}()
		}
		return live, err
	})
}

// crowdOf runs one side of all shares, and says what it has left behind.
func crowdOf(who string, start func(d *node.Device, id string, n int) (*node.Live, error)) error {
	before := measure()
	began := time.Now()
	room := lan.New(lan.Config{})
	d := &node.Device{
		Vault: &vaulttest.Memory{}, Formats: things{}, Finders: []discovery.Finder{room}, Rand: rand.Reader,
		Now:       func() share.Time { return share.Time{Boot: [16]byte{1}, Up: time.Since(began)} },
		Authorize: func(context.Context, share.Preview) error { return nil },
	}
	var lives []*node.Live
	for n := range crowd {
		l, err := start(d, strconv.Itoa(n), n)
		if err != nil {
			return fmt.Errorf("%s, share %d: %w", who, n, err)
		}
		lives = append(lives, l)
	}
	most := measure()
	ended, patience := 0, time.After(5*time.Minute)
	for n, l := range lives {
		select {
		case <-l.Done():
			if err := l.Wait(); err != nil {
				return fmt.Errorf("%s, share %d: %w", who, n, err)
			}
			ended++
		case <-patience:
			return fmt.Errorf("%s: share %d has not ended; %d have", who, n, ended)
		}
	}
	took := time.Since(began)
	if err := room.Close(); err != nil {
		return err
	}
	lives, d = nil, nil
	if err := goleak.Find(); err != nil {
		return err
	}
	after := measure()
	fmt.Printf("%s: %d of %d ended in %v; goroutines %d, at most %d, %d in the end; files %d, %d, %d; heap in the end %d kB more than before\n", who, ended, crowd, took.Round(time.Millisecond),
		before.goroutines, most.goroutines, after.goroutines, before.files, most.files, after.files, (after.heap-before.heap)/1000)
	// Of goroutines goleak has judged: a count may catch the runtime's own at work.
	if after.files > before.files || after.heap > before.heap+maxKept {
		return fmt.Errorf("%s: something was left behind", who)
	}
	return nil
}

// maxKept is what a process may keep once all shares have ended: caches of the
// libraries and of the runtime, not the shares.
const maxKept = 8 << 20

type use struct {
	goroutines, files int
	heap              int64
}

func measure() (u use) {
	runtime.GC()
	runtime.GC() // what finalizers and pools held
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	files, _ := os.ReadDir("/proc/self/fd")
	return use{runtime.NumGoroutine(), len(files), int64(m.HeapAlloc)}
}

// A thing is a credential of one message, which is put nowhere.
type thing struct{}

func (thing) Name() string { return "thing" }
func (thing) Computed()    {}

func (thing) Send(_ context.Context, t credential.Turn) (credential.Answer, error) {
	return credential.Answer{Out: [][]byte{t.State}, Grants: true, Done: true}, nil
}

func (thing) Receive(_ context.Context, t credential.Turn) (credential.Answer, error) {
	return credential.Answer{State: t.In, Done: true}, nil
}

func (thing) Provision(context.Context, string, []byte) error { return nil }

func (thing) Provisioned(context.Context, string, []byte) (bool, error) { return false, nil }

type things struct{}

func (things) Lookup(string) (credential.Format, error) { return thing{}, nil }
