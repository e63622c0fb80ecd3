package main

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestACommandLineThatCantBeReadIsAnsweredAsItAsks: who asked for JSON reads JSON,
// wherever the fault stands, and who didn't reads prose.
func TestACommandLineThatCantBeReadIsAnsweredAsItAsks(t *testing.T) {
	for line, asked := range map[string]bool{
		"frobnicate --json":       true,
		"--json":                  true,
		"--json frobnicate":       true,
		"share --json":            true,
		"show a b --json":         true,
		"list --nope --json":      true,
		"--timeout x list --json": true,
		"--json=true share":       true,
		"share":                   false,
		"--json=false share":      false,
		"--json --json=0 share":   false,
		"show -- a --json":        false,
	} {
		t.Run(line, func(t *testing.T) {
			t.Setenv("XDG_CONFIG_HOME", t.TempDir())
			var stdout, stderr bytes.Buffer
			exit := run(t.Context(), strings.Fields(line), nil, &stdout, &stderr)
			if exit != exitUsage {
				t.Errorf("it ends with %d, not %d", exit, exitUsage)
			}
			data, prose := stdout.String(), stderr.String()
			if !asked {
				if data != "" || !strings.HasSuffix(prose, "  code: usage\n") {
					t.Errorf("stdout has %q, stderr %q", data, prose)
				}
				return
			}
			var e event
			if err := json.Unmarshal([]byte(data), &e); err != nil || e.Type != "error" || e.Code != "usage" || prose != "" {
				t.Errorf("stdout has %q, stderr %q (%v)", data, prose, err)
			}
		})
	}
}

// TestJSONHasNamesInSmallLetters, in what each command that needs no share prints.
func TestJSONHasNamesInSmallLetters(t *testing.T) {
	for _, command := range []string{"version", "formats", "list", "frobnicate"} {
		t.Setenv("XDG_CONFIG_HOME", t.TempDir())
		var stdout, stderr bytes.Buffer
		run(t.Context(), []string{command, "--json", "--home", t.TempDir()}, nil, &stdout, &stderr)
		names := 0
		for line := range strings.Lines(stdout.String()) {
			var v any
			if err := json.Unmarshal([]byte(line), &v); err != nil {
				t.Fatalf("%s: %v in %q", command, err, line)
			}
			names += smallNames(t, command, v)
		}
		if names < 3 {
			t.Errorf("%s: %d names in %q, %q", command, names, stdout.String(), stderr.String())
		}
	}
}

func smallNames(t *testing.T, command string, v any) (n int) {
	object, _ := v.(map[string]any)
	for name, v := range object {
		if name != strings.ToLower(name) {
			t.Errorf("%s: a name is %q", command, name)
		}
		n += 1 + smallNames(t, command, v)
	}
	return n
}

// TestAValueThatAFlagDoesntHaveIsRefused before anything is made, with the values that there are.
func TestAValueThatAFlagDoesntHaveIsRefused(t *testing.T) {
	for line, says := range map[string]string{
		"--qr sometimes --paths lan":  "auto, always or never",
		"--link mail --paths lan":     "https or app",
		"--paths lan,pigeon":          "lan,relay",
		"--relay relay.example":       "https://HOST",
		"--relay https://h.example/x": "https://HOST",
	} {
		t.Run(line, func(t *testing.T) {
			home := t.TempDir()
			t.Setenv("XDG_CONFIG_HOME", home)
			ctx, stop := context.WithTimeout(t.Context(), patience) // a share that is made waits for a receiver
			defer stop()
			var stdout, stderr bytes.Buffer
			exit := run(ctx, append([]string{"share", os.DevNull, "--yes", "--home", filepath.Join(home, "vault")}, strings.Fields(line)...), nil, &stdout, &stderr)
			if exit != exitUsage || !strings.Contains(stderr.String(), says) || stdout.Len() > 0 {
				t.Errorf("exit %d, stdout %q, stderr %q", exit, &stdout, &stderr)
			}
			if made, _ := os.ReadDir(home); len(made) > 0 {
				t.Errorf("it has made %v", made)
			}
		})
	}
}

// TestARelayThatCannotBeOneIsNotCalledALink: there is none yet.
func TestARelayThatCannotBeOneIsNotCalledALink(t *testing.T) {
	for relay, says := range map[string]string{
		"relay.example":         "it isn't the address of one",
		"http://192.0.2.1:8443": "plain http is for a relay on this very machine",
		"https://h.example:0":   "port",
	} {
		t.Setenv("XDG_CONFIG_HOME", t.TempDir())
		var stderr bytes.Buffer
		exit := run(t.Context(), []string{"share", os.DevNull, "--yes", "--home", t.TempDir(), "--relay", relay}, nil, &record{}, &stderr)
		if said := stderr.String(); exit != exitUsage || !strings.Contains(said, says) || strings.Contains(said, "link") {
			t.Errorf("%s: exit %d, %s", relay, exit, said)
		}
	}
}
