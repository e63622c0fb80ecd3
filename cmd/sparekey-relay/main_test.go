package main

import (
	"io"
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
