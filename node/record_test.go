package node

import (
	"bytes"
	"errors"
	"testing"
	"time"

	"github.com/sparekey/sparekey/discovery"
	"github.com/sparekey/sparekey/node/share"
	"github.com/sparekey/sparekey/noise"
)

// FuzzRecord: what isn't a record is refused as one, and of what is read all that a
// list shows can be told, without a panic, and it reads back.
func FuzzRecord(f *testing.F) {
	receiver := Record{Version: recordVersion, Role: discovery.Receiver, Created: time.Unix(1, 0), ID: [16]byte{1}, Secret: [16]byte{2}, Relay: "https://r.example"}
	receiver.Machine = share.NewReceiver(noise.Secrets{ID: receiver.ID, PSK: [32]byte{1}, OfferKey: [32]byte{1}}).Marshal()
	ended := receiver
	ended.erase(time.Unix(2, 0), true)
	older := receiver
	older.Version = 0
	for _, r := range []Record{receiver, ended, older, {}} {
		b, err := r.Encode()
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := DecodeRecord(b)
		if err != nil {
			if !errors.Is(err, ErrRecord) {
				t.Fatalf("refused with %v, which is no ErrRecord", err)
			}
			return
		}
		if _, _, _, err := r.State(); err != nil && !errors.Is(err, ErrRecord) {
			t.Fatalf("its state is refused with %v, which is no ErrRecord", err)
		}
		r.Left(share.Time{Up: time.Hour})
		r.Waiting()
		made, err := r.Encode()
		if err != nil {
			t.Fatalf("it is read and can't be written: %v", err)
		}
		if again, err := DecodeRecord(made); err != nil {
			t.Fatalf("it doesn't read back: %v", err)
		} else if twice, err := again.Encode(); err != nil || !bytes.Equal(twice, made) {
			t.Fatalf("it comes back as another: %v", err)
		}
	})
}
