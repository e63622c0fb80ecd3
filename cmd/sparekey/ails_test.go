package main

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sparekey/sparekey/discovery"
	"github.com/sparekey/sparekey/discovery/lan"
)

// An ailing room reports that nobody can be found in it, that they can again, and then
// something about another path, which people hear of in any case.
type ailing struct{}

func (ailing) Find(ctx context.Context, m discovery.Meeting, _ func(discovery.Path)) error {
	m.Report(discovery.Report{Path: lan.Room, State: discovery.Failing, Err: errors.New("the room ails")})
	m.Report(discovery.Report{Path: lan.Room, State: discovery.Living})
	m.Report(discovery.Report{Path: "another path", State: discovery.Busy})
	<-ctx.Done()
	return nil
}

// A bell rings once some words have been said.
type bell struct {
	record
	words string
	once  sync.Once
	rings chan struct{}
}

func (b *bell) Write(p []byte) (int, error) {
	n, err := b.record.Write(p)
	if strings.Contains(b.String(), b.words) {
		b.once.Do(func() { close(b.rings) })
	}
	return n, err
}

// TestARoomThatCantWorkIsToldToWhoHasNothingElse: and to who asks what paths report.
// Whom it doesn't concern, for the share may go by a relay, it doesn't alarm.
func TestARoomThatCantWorkIsToldToWhoHasNothingElse(t *testing.T) {
	t.Setenv("SPAREKEY_PATHS", "")
	relay := newRelay(t).url
	for name, c := range map[string]struct {
		args []string
		told bool
	}{
		"by the room alone":                {[]string{"--paths", "lan"}, true},
		"by both":                          {[]string{"--relay", relay}, false},
		"by both, to who asks what's said": {[]string{"--relay", relay, "-v"}, true},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			file := filepath.Join(dir, "key")
			if err := os.WriteFile(file, []byte(spare), 0o600); err != nil {
				t.Fatal(err)
			}
			said := &bell{words: "another path is busy", rings: make(chan struct{})}
			a := assemble(nil, io.Discard, said)
			a.room = ailing{}
			ctx, leave := context.WithCancel(t.Context())
			exit := make(chan int, 1)
			go func() {
				exit <- a.run(ctx, append([]string{"share", file, "--yes", "--qr", "never", "--home", filepath.Join(dir, "home"), "--config", os.DevNull}, c.args...))
			}()
			select {
			case <-said.rings:
			case <-time.After(patience):
				t.Errorf("it hasn't told what the paths report")
			}
			leave()
			ends(t, exit, exitInterrupted, &said.record)
			text := said.String()
			for _, line := range []string{"  the room ails; trying again. `sparekey doctor` says what to do.\n", "  The local network works now.\n"} {
				if strings.Contains(text, line) != c.told {
					t.Errorf("told: %v, want %v: %q in\n%s", !c.told, c.told, line, text)
				}
			}
		})
	}
}

// TestALookThatTheRoomCutOffIsNotBlamedOnARelay, which it never asked.
func TestALookThatTheRoomCutOffIsNotBlamedOnARelay(t *testing.T) {
	ctx, cancel := context.WithDeadline(t.Context(), time.Now())
	defer cancel()
	<-ctx.Done()
	for path, code := range map[string]string{lan.Room: "no_path", "relay.example.org": "relay_unreachable"} {
		err := unseen(ctx, &discovery.Report{Path: path, State: discovery.Failing, Err: errors.New("it ails")}, ctx.Err())
		if f := asFailure(err); f.Code != code || f.Exit != exitNoPath {
			t.Errorf("%s: %q, exit %d, want %q", path, f.Code, f.Exit, code)
		}
	}
}
