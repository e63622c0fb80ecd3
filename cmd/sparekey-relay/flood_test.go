package main

import (
	"crypto/rand"
	"fmt"
	"net/http"
	"strconv"
	"testing"
	"time"

	"github.com/sparekey/sparekey/noise/frame"
	"github.com/sparekey/sparekey/relay/wire"
)

// A flood is a client that fills a relay.
type flood struct {
	t     *testing.T
	p     *process
	names int // made up
	made  []*marked
	taken int // megabytes
}

// rise makes mailboxes and writes up to three megabytes into each, until so many
// are taken, or the relay has no room.
func (f *flood) rise(most int) {
	f.t.Helper()
	for f.taken < most {
		f.names++
		m := newMarked(f.t, f.p, fmt.Sprint("flood", f.names), time.Hour)
		if !m.fill() {
			return
		}
		f.made = append(f.made, m)
		for seq := uint64(1); seq < 52 && f.taken < most; seq += 17 {
			at := wire.Path{Place: wire.Entry, ID: m.id, Lane: m.lanes[0].name, Side: wire.Sender, Seq: seq}
			switch got := m.do("PUT", at, &m.send, nil, megabyte(m.lanes[0].name, seq)); got {
			case http.StatusNoContent:
				f.taken++
			case http.StatusInsufficientStorage:
				return
			default:
				f.t.Fatal("an append:", got)
			}
		}
	}
}

// megabyte is a body of frames, the first at seq, that can't be packed.
func megabyte(lane frame.Candidate, seq uint64) []byte {
	var out []byte
	for i := range uint64(17) {
		sealed := make([]byte, 61_000)
		rand.Read(sealed)
		out = frame.Append(out, frame.New(frame.Data, lane, seq+i, sealed))
	}
	return out
}

// TestQTA04ADiskFullOfWhatIsErasedSoonTakesSharesAgain: a client fills a relay and
// ends all its shares. Others don't wait until the time of a scrub has come.
func TestQTA04ADiskFullOfWhatIsErasedSoonTakesSharesAgain(t *testing.T) {
	t.Parallel()
	const size = 24 // MiB
	p := start(t, t.TempDir(), "--max-bytes", strconv.Itoa(size<<20), "--erase-after", "7m", "--max-creates", "-1")
	f := &flood{t: t, p: p}
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for refused := 0; refused < 150; refused++ { // for a while there is no room where files are being put together
		before := f.taken
		if f.rise(4 * size); f.taken > before {
			refused = 0
		}
		<-tick.C
	}
	if f.taken < size/2 || f.taken == 4*size {
		t.Fatalf("a relay of %d MiB takes %d MB: this would show nothing", size, f.taken)
	}
	for _, m := range f.made {
		if got := m.delete(); got != http.StatusNoContent {
			t.Fatal("a delete on a full disk:", got)
		}
	}
	again := &flood{t: t, p: p, names: f.names}
	want := f.taken - size/4 // an eighth may be erased and wait, and as much be written at the moment
	eventually(t, fmt.Sprintf("%d MB are taken again", want), func() string {
		if again.rise(want); again.taken < want {
			return fmt.Sprintf("room for %d", again.taken)
		}
		return ""
	})
}
