package relaybench

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sparekey/sparekey/noise/frame"
	"github.com/sparekey/sparekey/relay"
	"github.com/sparekey/sparekey/relay/wire"
)

var errStatus = errors.New("a request wasn't answered with success")

// Sizes of sealed parts, as devices make them.
const (
	offerSealed = frame.SealSize + 2048
	smallSealed = frame.SealSize + 256 // a short message, padded
	helloSealed = 1088 + 48
)

var shares atomic.Uint64

// A share is what its sender and its receiver know, as far as a relay is concerned.
type share struct {
	id                  frame.ShareID
	preimage            [32]byte
	proof               frame.Proof
	link, sender, claim [32]byte
	lane                frame.Candidate
}

func newShare() share {
	n := shares.Add(1)
	word := func(label string) [32]byte { return sha256.Sum256(fmt.Append(nil, label, n)) }
	s := share{proof: frame.Proof{H: word("h"), Over: word("over")}, link: word("link"), sender: word("sender"), claim: word("claim")}
	s.preimage = frame.Preimage(s.proof.H, sha256.Sum256(s.proof.Over[:]))
	s.id = frame.ID(s.preimage)
	s.lane = frame.Candidate(s.claim[:8])
	return s
}

// sealed returns bytes that compress as little as sealed ones do.
func (s share) sealed(n int) []byte {
	var b []byte
	for i := byte(0); len(b) < n; i++ {
		sum := sha256.Sum256(append(s.id[:], i))
		b = append(b, sum[:]...)
	}
	return b[:n]
}

func (s share) offer() frame.Frame {
	return frame.New(frame.Offer, frame.Candidate{}, 0, s.sealed(offerSealed))
}

func (s share) mailbox() relay.Mailbox {
	return relay.Mailbox{
		Offer: s.offer(), View: sha256.Sum256(s.link[:]), Sender: sha256.Sum256(s.sender[:]),
		Lanes: 4, TTL: time.Hour, Expires: time.Now().Add(time.Hour),
	}
}

func (s share) hello() []frame.Frame {
	return []frame.Frame{
		frame.New(frame.Handshake, s.lane, 0, s.sealed(helloSealed)),
		frame.New(frame.Data, s.lane, 1, s.sealed(smallSealed)),
	}
}

func (s share) create() []byte {
	return wire.Create{
		Preimage: s.preimage, Offer: s.offer(), View: sha256.Sum256(s.link[:]), Sender: sha256.Sum256(s.sender[:]), TTL: time.Hour,
	}.Body()
}

// put puts the share into a store, with its lane open.
func (s share) put(b *testing.B, store relay.Store) {
	b.Helper()
	err := store.Create(b.Context(), s.id, s.mailbox())
	if err == nil {
		err = store.Open(b.Context(), s.id, s.lane, sha256.Sum256(s.claim[:]), s.hello())
	}
	if err != nil {
		b.Fatal(err)
	}
}

// appends makes the sender's appends to the share's lane, one frame each.
func (s share) appends() maker {
	body := frame.Append(nil, frame.New(frame.Data, s.lane, 0, s.sealed(smallSealed)))
	bearer := wire.Bearer(s.sender)
	return func(n int) ([]byte, []byte) {
		binary.BigEndian.PutUint64(body[4+9:], uint64(n))
		p := wire.Path{Place: wire.Entry, ID: s.id, Lane: s.lane, Side: wire.Sender, Seq: uint64(n)}
		return header("PUT", p.String(), len(body), bearer, ""), body
	}
}

// creates makes creates, each of another mailbox.
func creates() maker {
	var s share
	body := newShare().create()
	at := bytes.Index(body, []byte(`"preimage":"`)) + len(`"preimage":"`)
	return func(int) ([]byte, []byte) {
		binary.BigEndian.PutUint64(s.preimage[:], shares.Add(1))
		copy(body[at:], wire.Text(s.preimage[:]))
		return header("PUT", wire.Path{Place: wire.Mailbox, ID: frame.ID(s.preimage)}.String(), len(body), "", ""), body
	}
}

var crowdSizes = []int{1, 16, 256}

// BenchmarkAppends: goal at 256 clients 5,000 durable appends a second.
func BenchmarkAppends(b *testing.B) {
	throughput(b, func(b *testing.B, stores ...relay.Store) maker {
		s := newShare()
		for _, store := range stores {
			s.put(b, store)
		}
		return s.appends()
	})
}

// BenchmarkCreates: goal at 256 clients 0.7 times what the store in memory does.
func BenchmarkCreates(b *testing.B) {
	throughput(b, func(*testing.B, ...relay.Store) maker { return creates() })
}

func throughput(b *testing.B, client func(*testing.B, ...relay.Store) maker) {
	for _, n := range crowdSizes {
		b.Run(fmt.Sprintf("clients=%d", n), func(b *testing.B) {
			store, _ := durable(b)
			memory := relay.NewMemory(nil, limits)
			var crowds []*crowd
			for _, c := range []struct {
				addr  string
				store []relay.Store
			}{{serve(b, store), []relay.Store{store}}, {serve(b, memory), []relay.Store{memory}}, {serveNothing(b), nil}} {
				var clients []maker
				for range n {
					clients = append(clients, client(b, c.store...))
				}
				crowds = append(crowds, newCrowd(b, c.addr, clients))
			}
			v := compare(b, crowds...)
			report(b, v[0], "disk-ops/s")
			report(b, v[1], "memory-ops/s")
			report(b, v[2], "empty-ops/s")
			report(b, v[0]/v[1], "disk/memory")
			report(b, v[0]/v[2], "disk/empty")
		})
	}
}
