package main

import (
	"context"
	"errors"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sparekey/sparekey/node"
	"github.com/sparekey/sparekey/node/credential"
	"github.com/sparekey/sparekey/node/share"
)

// offeredAgo makes a share in a vault some time ago; nothing is sent.
func offeredAgo(t *testing.T, a *app, ago time.Duration) (id string) {
	t.Helper()
	dev := a.device()
	dev.Now = func() share.Time {
		then := now()
		then.Up -= ago
		then.Wall -= ago
		return then
	}
	dev.Authorize = func(context.Context, share.Preview) error { return nil }
	opening, err := credential.OfferFile("key", 0o600, []byte(spare))
	id, idErr := a.vault.NewID()
	_, offerErr := dev.Offer(t.Context(), id, node.Offer{Preview: share.Preview{Format: "file", Title: "key", Life: 60}, Opening: opening, Relay: "http://127.0.0.1:1"})
	if err := errors.Join(err, idErr, offerErr); err != nil {
		t.Fatal(err)
	}
	return id
}

// TestASharesTimeThatIsUpIsSpokenOfBeforeAnybodyTakesItUp, and looking changes nothing.
func TestASharesTimeThatIsUpIsSpokenOfBeforeAnybodyTakesItUp(t *testing.T) {
	t.Setenv("XDG_CONFIG_HOME", t.TempDir())
	home := filepath.Join(t.TempDir(), "home")
	id := offeredAgo(t, newApp(t, home), 2*time.Minute)
	for range 2 {
		for _, c := range []struct {
			args   []string
			wanted string
		}{
			{[]string{"list"}, `offered       "key" (file): its time is up, and nobody has been told yet`},
			{[]string{"show", id}, "its time is up, and nobody has been told yet: sparekey resume " + id},
			{[]string{"show", id, "--json"}, `"state":"offered","relay":"http://127.0.0.1:1","time_up":true}`},
		} {
			var stdout record
			exit := run(t.Context(), append(c.args, "--home", home), nil, &stdout, &record{})
			if said := stdout.String(); exit != exitDone || !strings.Contains(said, c.wanted) || strings.Contains(said, "until") || strings.Contains(said, "expires_at") {
				t.Errorf("%q says %s", c.args, said)
			}
		}
	}
}

// TestShowSaysWhatAShareWaitsForUntilItsTimeIsUp: for a claim, or a day longer for an answer.
func TestShowSaysWhatAShareWaitsForUntilItsTimeIsUp(t *testing.T) {
	t.Parallel()
	p := newLiar(t, newRelay(t).url)
	alice, bob := newDevice(t), newDevice(t)
	until := func(d *device, what string) time.Time {
		t.Helper()
		if code, said := sparekey(d.home, "show", d.id()); code != exitDone || !strings.Contains(said, "Z ("+what+")\n") {
			t.Errorf("show ends with %d: %s", code, said)
		}
		show := d.start("show", d.id())
		show.exits(exitDone)
		at, err := time.Parse(time.RFC3339, show.comes("share").ExpiresAt)
		if err != nil {
			t.Fatal(err)
		}
		return at
	}
	link := alice.offered(p.URL(), "--expires", "1h")
	claim := until(alice, "it can be claimed")
	bob.claims(p, p.URL(), link)
	answer := until(bob, "the sender's answer is waited for")
	sender := alice.start("resume")
	sender.comes("share.granted")
	sender.kill()
	confirmed := until(alice, "the receiver's answer is waited for")
	for _, at := range []time.Time{answer, confirmed} {
		if more := at.Sub(claim); more < 23*time.Hour || more > 25*time.Hour {
			t.Errorf("an answer is waited for %v longer than a claim", more)
		}
	}
}

// lapsed makes a share whose time is up by the relay's word, while its sender is away.
func lapsed(t *testing.T, looker *device) (link string) {
	t.Helper()
	link = newDevice(t).offered(newRelay(t).url, "--expires", "1s")
	for began := time.Now(); time.Since(began) < patience; {
		p := looker.start("view", link)
		p.exits(exitDone)
		if e := p.comes("share.viewed"); e.TimeUp {
			if e.ExpiresAt != "" {
				t.Errorf("its time is up, and it expires at %s", e.ExpiresAt)
			}
			return link
		}
	}
	t.Fatal("by the relay's word its time isn't up")
	return ""
}

// TestALookSaysThatTheTimeIsUpByTheRelaysWord, which the device doesn't take for the sender's.
func TestALookSaysThatTheTimeIsUpByTheRelaysWord(t *testing.T) {
	t.Parallel()
	bob := newDevice(t)
	code, said := sparekey(bob.home, "view", lapsed(t, bob))
	if code != exitDone || !strings.Contains(said, itsTimeIsUp) || strings.Contains(said, "until") {
		t.Errorf("view ends with %d: %s", code, said)
	}
}
