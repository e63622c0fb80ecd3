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
