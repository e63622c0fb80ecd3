package quicpath

import (
	"net"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sparekey/sparekey/discovery"
)

// A recorder is an address whose packets somebody keeps.
type recorder struct {
	*packetEnd
	mu   sync.Mutex
	sent [][]byte
}

func (r *recorder) WriteTo(b []byte, to net.Addr) (int, error) {
	r.mu.Lock()
	r.sent = append(r.sent, slices.Clone(b))
	r.mu.Unlock()
	return r.packetEnd.WriteTo(b, to)
}

// TestAWholeConnectionPlayedAgainOpensNothing: neither while the true one lives nor
// after it, neither from another address nor from the dialler's own.
func TestAWholeConnectionPlayedAgainOpensNothing(t *testing.T) {
	for _, c := range []struct {
		from  string
		lives bool // the true connection, meanwhile
	}{{mallory, true}, {mallory, false}, {bob, false}} {
		synctest.Test(t, func(t *testing.T) {
			n := newNetwork(time.Millisecond)
			sender, receiver := pair("again")
			a := n.on(t, alice)
			found := serve(t, a, sender)
			tape := &recorder{packetEnd: n.end(bob)}
			b, err := Listen(Config{Conn: tape})
			if err != nil {
				t.Fatal(err)
			}
			defer b.Close()
			dials := dial(t, b, receiver)
			listens := (<-found).(discovery.Direct)
			came := make(chan int, 100)
			go func() {
				for {
					fs, err := listens.Receive(t.Context())
					if err != nil {
						close(came)
						return
					}
					listens.Taken(true)
					came <- len(fs)
				}
			}()
			if err := dials.Send(t.Context(), frames(100, 200)...); err != nil {
				t.Fatal(err)
			}
			if <-came; !c.lives {
				dials.Close()
				b.Close()
			}
			tape.mu.Lock()
			packets := slices.Clone(tape.sent)
			tape.mu.Unlock()
			again := n.end(c.from)
			for range 3 {
				for _, p := range packets {
					again.WriteTo(p, net.UDPAddrFromAddrPort(aliceAt))
					time.Sleep(2 * time.Millisecond)
				}
			}
			time.Sleep(lifetime)
			nobody(t, a, found)
			for range len(came) {
				if _, open := <-came; open {
					t.Errorf("from %s: a piece came again", c.from)
				}
			}
			if c.lives {
				if err := dials.Send(t.Context(), frames(300)...); err != nil {
					t.Errorf("the true connection goes on: %v", err)
				}
			}
		})
	}
}
