package main

import (
	"io"
	"maps"
	"os"
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
