package main

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
)

// TestACommandLineThatCantBeReadIsAnsweredAsItAsks: who asked for JSON reads JSON,
// wherever the fault stands, and who didn't reads prose.
func TestACommandLineThatCantBeReadIsAnsweredAsItAsks(t *testing.T) {
	for line, asked := range map[string]bool{
		"frobnicate --json":       true,
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
