package main

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"net"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sparekey/sparekey/discovery"
	"github.com/sparekey/sparekey/node"
	"github.com/sparekey/sparekey/node/credential"
	"github.com/sparekey/sparekey/node/share"
	"github.com/sparekey/sparekey/noise"
)

// granted returns a receiver's record of a share that has come, and is to be put in
// its place.
func granted(t *testing.T, a *app) (id string, r node.Record) {
	t.Helper()
	_, sent := offered(t, a)
	s, err := share.UnmarshalSender(sent.Machine)
	if err != nil {
		t.Fatal(err)
	}
	id, err = a.vault.NewID()
	if err != nil {
		t.Fatal(err)
	}
	if r, err = a.device().Open(sent.Link()); err != nil {
		t.Fatal(err)
	}
	keys := sent.Link().Keys()
	v := share.NewReceiver(noise.Secrets{ID: sent.ID, PSK: keys.PSK, OfferKey: keys.Offer})
	v, _ = v.Step(now(), rand.Reader, share.Arrived{Frames: s.Outbox()})
	v, _ = v.Step(now(), rand.Reader, share.Accept{Claim: r.Claim()})
	s, _ = s.Step(now(), rand.Reader, share.Arrived{Frames: v.Outbox()})
	task, _ := s.Task()
	s, _ = s.Step(now(), rand.Reader, share.Answered{Key: task.Key, Answer: share.Answer{Out: [][]byte{{1}}, Grants: true, Done: true}})
	v, _ = v.Step(now(), rand.Reader, share.Arrived{Frames: s.Outbox()})
	if task, _ = v.Task(); v.State != share.Provisioning {
		t.Fatalf("the receiver stands at %s", v.State)
	}
	v, _ = v.Step(now(), rand.Reader, share.Answered{Key: task.Key, Answer: share.Answer{State: []byte("{}"), Done: true}})
	r.Preview, r.Machine = sent.Preview, v.Marshal()
	b, err := r.Encode()
	if err = errors.Join(err, a.vault.Save(id, b)); err != nil {
		t.Fatal(err)
	}
	return id, r
}

// slow is a format whose place answers late: what it says is up to a test.
type slow struct {
	credential.Format
	there func() (bool, error)
}

func (s slow) Lookup(string) (credential.Format, error) { return s, nil }

func (s slow) Provisioned(context.Context, string, []byte) (bool, error) { return s.there() }

func (s slow) Provision(context.Context, string, []byte) error { return errors.New("no space left") }

// driven drives a granted share in a bubble, without a network.
func driven(t *testing.T, home string, there func() (bool, error), first ...share.Event) *drive {
	t.Helper()
	a := newApp(t, home)
	id, r := granted(t, a)
	lock, err := a.hold(id)
	if err != nil {
		t.Fatal(err)
	}
	dev := a.device()
	dev.Finders, dev.Formats = []discovery.Finder{}, slow{there: there}
	d := &drive{a: a, id: id, lock: lock, updates: make(chan node.Update, 256), socket: make(pipes)}
	d.ctx, d.stop = context.WithCancel(t.Context())
	d.last.State = share.Provisioning
	if d.live, err = dev.Start(d.ctx, id, r, d.tell, first...); err != nil {
		t.Fatal(err)
	}
	d.served.Go(d.serve)
	return d
}

// TestOrderThatWaitsForASlowPlaceIsToldSoAndCarriedOut: to another terminal.
func TestOrderThatWaitsForASlowPlaceIsToldSoAndCarriedOut(t *testing.T) {
	home := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		d := driven(t, home, func() (bool, error) { time.Sleep(time.Minute); return false, nil })
		defer d.close()
		ours, theirs := net.Pipe()
		defer ours.Close()
		d.socket.(pipes) <- theirs
		var w word
		if err := errors.Join(json.NewEncoder(ours).Encode(order{Do: "decline"}), json.NewDecoder(ours).Decode(&w)); err != nil {
			t.Fatal(err)
		}
		if w.Failed == nil || w.Failed.Code != "busy" || w.Failed.Exit != exitTaken || !strings.Contains(w.Failed.Hint, "show "+d.id) {
			t.Errorf("the order is answered %+v, %+v", w, w.Failed)
		}
		for u := range d.updates {
			if u.State == share.Declined {
				return
			}
		}
	})
}

// TestWhatAHolderAnswersIsHowTheCommandEnds, with the code and the advice of the holder.
func TestWhatAHolderAnswersIsHowTheCommandEnds(t *testing.T) {
	t.Parallel()
	home := filepath.Join(t.TempDir(), "home")
	a := newApp(t, home)
	id, _ := granted(t, a)
	lock, err := a.hold(id)
	if err != nil {
		t.Fatal(err)
	}
	defer lock.Release()
	socket, err := a.vault.Listen(id)
	if err != nil {
		t.Fatal(err)
	}
	defer socket.Close()
	go func() {
		c, err := socket.Accept()
		if err != nil {
			return
		}
		defer c.Close()
		var o order
		json.NewDecoder(c).Decode(&o)
		json.NewEncoder(c).Encode(word{State: share.Provisioning, Failed: busy(id)})
	}()
	if code, out := sparekey(home, "decline", id); code != exitTaken || !strings.Contains(out, "code: busy") || !strings.Contains(out, "show "+id) {
		t.Errorf("decline ends with %d: %s", code, out)
	}
}

// TestOrderOfAProcessThatTakesTheShareUpWaitsForASlowPlace: until its own time is up.
func TestOrderOfAProcessThatTakesTheShareUpWaitsForASlowPlace(t *testing.T) {
	trouble := errors.New("no wallet")
	for name, c := range map[string]struct {
		there   func() (bool, error)
		timeout time.Duration
		code    string
		state   share.State
	}{
		"that answers":         {func() (bool, error) { time.Sleep(time.Minute); return false, nil }, time.Hour, "", share.Declined},
		"that has it":          {func() (bool, error) { time.Sleep(time.Minute); return true, nil }, time.Hour, "too_late", share.Provisioned},
		"that can't tell":      {func() (bool, error) { return false, trouble }, time.Hour, "cant_tell", share.Provisioning},
		"that doesn't in time": {func() (bool, error) { time.Sleep(time.Hour); return false, nil }, time.Minute, "timeout", share.Provisioning},
	} {
		t.Run(name, func(t *testing.T) {
			home := t.TempDir()
			synctest.Test(t, func(t *testing.T) {
				o := order{Do: "decline"}
				d := driven(t, home, c.there, o.event())
				defer d.close()
				ctx, cancel := context.WithTimeout(t.Context(), c.timeout)
				defer cancel()
				code := ""
				if err := d.order(ctx, o); err != nil {
					code = asFailure(err).Code
				}
				if got := d.latest().State; code != c.code || got != c.state {
					t.Errorf("it ends with %q at %s, want %q at %s", code, got, c.code, c.state)
				}
			})
		})
	}
}
