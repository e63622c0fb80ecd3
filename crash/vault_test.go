package main

import (
	"bytes"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/sparekey/sparekey/node/link"
	"github.com/sparekey/sparekey/node/vault"
)

// TestVLT01TwoProcessesOnOneVaultShareItOrTheSecondSaysWhoHasIt: two that make
// shares in a vault that isn't there yet, and two that want the same share.
func TestVLT01TwoProcessesOnOneVaultShareItOrTheSecondSaysWhoHasIt(t *testing.T) {
	sc := &scenario{name: "handover", open: told, ends: []string{"done/done"}, play: func(w *world, s *job) error {
		id, err := w.id("sender")
		if err != nil {
			return err
		}
		code, _, events, err := w.sparekey("looker-sender", "resume", id)
		if err != nil || code != exitHeld || len(events) == 0 || events[len(events)-1].Code != "held" {
			t.Errorf("the second process of a share got exit code %d, %+v, %v; want to be told who has it", code, events, err)
		}
		r := w.receive("receiver")
		if err := r.wait(done); err != nil {
			return err
		}
		return s.wait(done)
	}}
	if o := newLab(t).run(t.Context(), sc, nil, nil); o.err != nil {
		t.Fatalf("%v\n%s", o.err, logs(o.log))
	}
	plays(t, "cancel", func(w *world) {
		home := filepath.Join(w.dir, "new")
		var both sync.WaitGroup
		for range 4 {
			both.Go(func() {
				args := []string{"share", filepath.Join(w.dir, "key.txt"), "--yes", "--no-wait", "--relay", "http://127.0.0.1:1", "--timeout", "1s", "--home", home}
				p, err := w.start("other", "sparekey", args, func(string) {})
				if err != nil {
					t.Error(err)
					return
				}
				<-p.exited // there is no relay: it is saved, and the time is up
				if p.code != 8 {
					t.Errorf("a share in a vault that four make at once ends with exit code %d", p.code)
				}
			})
		}
		both.Wait()
		if all := records(t, home); len(all) != 4 {
			t.Errorf("%d of 4 shares can be read", len(all))
		}
	})
}

// records opens all records of a vault.
func records(t *testing.T, home string) (all [][]byte) {
	t.Helper()
	v, err := vault.Open(home, vault.Options{Rand: rand.Reader})
	if err != nil {
		t.Fatal(err)
	}
	ids, err := v.IDs()
	if err != nil {
		t.Fatal(err)
	}
	for _, id := range ids {
		b, err := v.Load(id)
		if err != nil {
			t.Error(err)
			continue
		}
		all = append(all, b)
	}
	return all
}

// TestVLT03EndedShareIsInNoFileOfTheVault opens what is sealed, for it may be
// read by whoever has the key later.
func TestVLT03EndedShareIsInNoFileOfTheVault(t *testing.T) {
	for _, name := range []string{"handover", "cancel", "cancel-claimed", "decline", "relinquish", "expiry"} {
		plays(t, name, func(w *world) {
			l, err := link.Parse(w.link)
			if err != nil {
				t.Fatal(err)
			}
			k := l.Keys()
			secrets := map[string][]byte{
				"the credential": w.content, "a part of it": w.content[:32], "the credential in base64": []byte(base64.StdEncoding.EncodeToString(w.content))[:40],
				"the secret": l.Secret[:], "the secret as text": []byte(strings.SplitN(w.link, "#", 2)[1]),
				"the psk": k.PSK[:], "the offer key": k.Offer[:], "the path key": k.Path[:], "the topic": k.Topic[:], "the link capability": k.View[:],
			}
			for _, actor := range w.devices() {
				files := records(t, w.home(actor))
				if actor == "sender" && len(files) != 1 {
					t.Errorf("%s: the sender has %d records", name, len(files))
				}
				err := filepath.WalkDir(w.home(actor), func(path string, d fs.DirEntry, err error) error {
					if err != nil || !d.Type().IsRegular() {
						return err
					}
					b, err := os.ReadFile(path)
					files = append(files, b)
					return err
				})
				if err != nil {
					t.Fatal(err)
				}
				for what, secret := range secrets {
					for _, b := range files {
						if bytes.Contains(b, secret) {
							t.Errorf("%s: %s is left with the %s", name, what, actor)
						}
					}
				}
			}
		})
	}
}

// TestVLT04CopiedVaultsLiveSharesAreUnresolvedAndSayWhy uses a copy after the
// original is gone, with a claim waiting that must never be pinned there.
func TestVLT04CopiedVaultsLiveSharesAreUnresolvedAndSayWhy(t *testing.T) {
	plays(t, "copy", func(w *world) {
		s, err := w.standing("copy")
		if err != nil || s.State != "unresolved" {
			t.Errorf("it stands at %q, %v", s.State, err)
		}
		if !strings.Contains(s.Reason, "copy or a restored backup") {
			t.Errorf("the reason is %q", s.Reason)
		}
		b, _ := json.Marshal(s)
		if strings.Contains(string(b), "peer") {
			t.Errorf("somebody was pinned: %s", b)
		}
	})
}
