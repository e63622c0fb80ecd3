package quicpath

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/sparekey/sparekey/discovery"
	"github.com/sparekey/sparekey/noise/frame"
)

func TestAThousandSharesOnTwoSocketsLeaveNothing(t *testing.T) {
	const n = 1000
	carry(t, 10, "warm up") // what a process has once
	goroutines, files, heap := runtime.NumGoroutine(), openFiles(t), heapInUse()
	carry(t, n, "share")
	// What has ended returns soon, and QUIC answers late packets of connections for a
	// moment after they have ended.
	left := func() string {
		switch g, f, h := runtime.NumGoroutine(), openFiles(t), heapInUse(); {
		case g > goroutines:
			return fmt.Sprintf("%d goroutines", g-goroutines)
		case f > files:
			return fmt.Sprintf("%d files", f-files)
		case h > heap+4<<20:
			return fmt.Sprintf("%d kB of memory", (h-heap)>>10)
		}
		return ""
	}
	for deadline := time.Now().Add(5 * patience); left() != ""; {
		if time.Now().After(deadline) {
			t.Fatalf("left over: %s", left())
		}
	}
}

// carry has n shares at once on two sockets, each with frames both ways, and closes
// the sockets.
func carry(t *testing.T, n int, name string) {
	t.Helper()
	files := openFiles(t)
	a, err := Listen(Config{})
	if err != nil {
		t.Fatal(err)
	}
	b, err := Listen(Config{})
	if err != nil {
		t.Fatal(err)
	}
	before := heapInUse()
	ctx, cancel := context.WithTimeout(t.Context(), 5*patience) // for all together, on a slow machine
	defer cancel()
	var dialling, taking sync.WaitGroup
	defer taking.Wait()
	defer a.Close()
	defer b.Close()
	for i := range n {
		sender, receiver := pair(fmt.Sprint(name, i))
		sender.First = func() []frame.Frame { return frames(100) }
		defer a.Serve(sender, func(p discovery.Path) { taking.Go(func() { takeAll(ctx, p.(discovery.Direct)) }) })()
		dialling.Go(func() {
			for ctx.Err() == nil { // as a finder does: a busy machine may be too slow for one dial
				if err := ask(ctx, b, at(a), receiver); err == nil {
					return
				}
			}
			t.Errorf("share %d: not in %v", i, 5*patience)
		})
	}
	dialling.Wait()
	if got := openFiles(t) - files; got > 4 {
		t.Errorf("%d shares have %d sockets open", n, got)
	}
	t.Logf("%d shares: %d goroutines, %d kB of memory a share, both ends", n, runtime.NumGoroutine(), (heapInUse()-before)>>10/uint64(n))
}

// takeAll takes all that comes, while the path is there.
func takeAll(ctx context.Context, p discovery.Direct) {
	for {
		if _, err := p.Receive(ctx); err != nil {
			return
		}
		p.Taken(true)
	}
}

// ask dials, takes the first flight, and sends a piece. The path stays open.
func ask(ctx context.Context, b *Socket, to netip.AddrPort, sh Share) error {
	p, err := b.Dial(ctx, to, sh)
	if err != nil {
		return err
	}
	if _, err := p.Receive(ctx); err != nil {
		return err
	}
	return p.Send(ctx, frames(500)...)
}

func openFiles(t *testing.T) int {
	t.Helper()
	open, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(open)
}

func heapInUse() uint64 {
	runtime.GC()
	runtime.GC() // pools keep what they hold for one more
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}
