package main

import (
	"io"
	"maps"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"
)

func TestWhatARelayCannotPromiseOrMustNotDoIsRefusedAtTheStart(t *testing.T) {
	for _, c := range []struct{ args, says string }{
		{"--memory --plain-http --erase-after 8m", "at most 7m"},
		{"--memory --plain-http --erase-after 0s", "more than 0"},
		{"--memory --plain-http --erase-after -1s", "more than 0"},
		{"--memory --plain-http --listen 0.0.0.0:0", "would show capabilities"},
		{"--memory --listen 127.0.0.1:0", "--tls-cert"},
		{"--memory --plain-http --tls-cert x --listen 127.0.0.1:0", "contradict"},
		{"--memory --data x --plain-http --listen 127.0.0.1:0", "contradict"},
		{"--plain-http --listen 127.0.0.1:0", "--data"},
		{"--memory --plain-http --max-bytes -1 --listen 127.0.0.1:0", "--max-bytes can't be -1"},
	} {
		root := command(io.Discard)
		root.SetArgs(append([]string{"serve"}, strings.Fields(c.args)...))
		root.SetErr(io.Discard)
		if err := root.ExecuteContext(t.Context()); err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("serve %s: got %v, want it refused with %q", c.args, err, c.says)
		}
	}
}

// TestThePageOfCommandsNamesEveryBoundOfARelayAndItsDefault compares the page
// with what the flags say of themselves.
func TestThePageOfCommandsNamesEveryBoundOfARelayAndItsDefault(t *testing.T) {
	page, err := os.ReadFile("../../docs/commands.md")
	if err != nil {
		t.Fatal(err)
	}
	told, flags := map[string]string{}, map[string]string{}
	for _, row := range regexp.MustCompile("(?m)^\\| `--(max-[a-z-]+)` \\| ([^|]+) \\|").FindAllStringSubmatch(string(page), -1) {
		told[row[1]] = row[2]
	}
	serve, _, err := command(io.Discard).Find([]string{"serve"})
	if err != nil {
		t.Fatal(err)
	}
	for _, flag := range regexp.MustCompile(`--(max-[a-z-]+) .*\(0: ((?:[^,)]|,\d)+)`).FindAllStringSubmatch(serve.Flags().FlagUsages(), -1) {
		flags[flag[1]] = flag[2]
	}
	if len(flags) < 7 || !maps.Equal(told, flags) {
		t.Errorf("the page tells %v, the flags %v", told, flags)
	}
}

// TestABoundThatMeansNothingIsRefusedByItsName: -1 is one of these where the help
// doesn't say that it stands for no bound. Without a folder or a certificate none starts.
func TestABoundThatMeansNothingIsRefusedByItsName(t *testing.T) {
	serve, _, err := command(io.Discard).Find([]string{"serve"})
	if err != nil {
		t.Fatal(err)
	}
	bounds := regexp.MustCompile(`(?m)^ +--(max-[a-z-]+) .*$`).FindAllStringSubmatch(serve.Flags().FlagUsages(), -1)
	if len(bounds) < 7 {
		t.Fatalf("only %d bounds are found: this test looks in the wrong place", len(bounds))
	}
	for _, b := range bounds {
		usage, flag := b[0], "--"+b[1]
		for value, refused := range map[string]bool{"-2": true, "-1": !strings.Contains(usage, "-1: no bound"), "0": false, "1": false} {
			root := command(io.Discard)
			root.SetArgs([]string{"serve", flag, value})
			err := root.ExecuteContext(t.Context())
			if err == nil || strings.Contains(err.Error(), flag+" can't be "+value) != refused {
				t.Errorf("%s %s: got %v, want it refused by its name: %v", flag, value, err, refused)
			}
		}
	}
}

func TestWhatARelayNeedsIsSaidAllAtOnceWithAnExample(t *testing.T) {
	for args, says := range map[string][]string{
		"serve":                    {"--data", "--memory", "--tls-cert", "--tls-key", "--plain-http", "sparekey-relay serve "},
		"serve --tls-cert x":       {"--data", "--tls-key", "sparekey-relay serve "},
		"serve --memory":           {"--tls-cert", "sparekey-relay serve "},
		"serve --plain-http":       {"--data", "sparekey-relay serve "},
		"check 127.0.0.1:8443":     {"http://"},
		"check --url localhost:80": {"http://"},
		"check http://a --url b":   {"twice"},
	} {
		root := command(io.Discard)
		root.SetArgs(strings.Fields(args))
		err := root.ExecuteContext(t.Context())
		for _, word := range says {
			if err == nil || !strings.Contains(err.Error(), word) {
				t.Errorf("%s: got %v, want it to say %s", args, err, word)
			}
		}
	}
}

// TestARelayIsAskedByItsURLAsAnArgumentAndByTheFlag asks a real one.
func TestARelayIsAskedByItsURLAsAnArgumentAndByTheFlag(t *testing.T) {
	t.Parallel()
	p := start(t, t.TempDir())
	for _, args := range [][]string{{"check", p.url}, {"check", "--url", p.url}} {
		if out, err := exec.Command(relayBinary, args...).CombinedOutput(); err != nil || string(out) != "ready\n" {
			t.Errorf("%q: %v, %s", args, err, out)
		}
	}
	p.stop()
	for _, args := range [][]string{{"check", p.url}, {"check", "--url", p.url}} {
		if out, err := exec.Command(relayBinary, args...).CombinedOutput(); err == nil {
			t.Errorf("%q of a relay that has ended: %s", args, out)
		}
	}
}

// TestARelayWithoutRoomSaysSoAtTheStart: a bound that is smaller than an empty store.
func TestARelayWithoutRoomSaysSoAtTheStart(t *testing.T) {
	t.Parallel()
	const says = "no room for another mailbox"
	for bound, told := range map[string]bool{"1": true, "0": false} {
		p := start(t, t.TempDir(), "--max-bytes", bound)
		p.stop()
		if strings.Contains(p.log.String(), says) != told {
			t.Errorf("--max-bytes %s: it says %q: %v, want it said: %v", bound, says, p.log, told)
		}
	}
}
