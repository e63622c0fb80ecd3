//go:build linux

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// aheadVariable says by how many seconds the wall clock of a program is ahead.
const aheadVariable = "WALL_AHEAD"

// What is changed in Go's package time so that every reading of the wall clock is
// ahead, that of TLS too. A time namespace of Linux leaves the wall clock alone.
const (
	clockFile   = "time/time.go"
	clockRead   = "\tsec, nsec, mono := runtimeNow()\n"
	clockAhead  = clockRead + "\tsec += wallAhead\n"
	clockImport = "import (\n"
	clockEnd    = `
var wallAhead = func() (sec int64) {
	text, _ := syscall.Getenv("` + aheadVariable + `")
	sign := int64(1)
	for _, c := range text {
		if c == '-' {
			sign = -1
		} else {
			sec = sec*10 + int64(c-'0')
		}
	}
	return sign * sec
}()
`
)

// buildWithWrongClock builds sparekey, unchanged, on a package time whose wall
// clock can be ahead, and returns the program.
func buildWithWrongClock(ctx context.Context, dir string) (program string, err error) {
	root, err := exec.CommandContext(ctx, "go", "env", "GOROOT").Output()
	if err != nil {
		return "", fmt.Errorf("wrong clocks need Go, to build a sparekey that has one: %w", err)
	}
	original := filepath.Join(strings.TrimSpace(string(root)), "src", clockFile)
	b, err := os.ReadFile(original)
	if err != nil {
		return "", err
	}
	text := string(b)
	if strings.Count(text, clockRead) != 1 {
		return "", fmt.Errorf("%s reads the clock in another way than this program knows", original)
	}
	text = strings.Replace(text, clockRead, clockAhead, 1) + clockEnd
	text = strings.Replace(text, clockImport, clockImport+"\t\"syscall\"\n", 1)
	changed, overlay, program := filepath.Join(dir, "time.go"), filepath.Join(dir, "overlay.json"), filepath.Join(dir, "sparekey-wrong-clock")
	list, err := json.Marshal(map[string]any{"Replace": map[string]string{original: changed}})
	if err := errors.Join(err, os.WriteFile(changed, []byte(text), 0o600), os.WriteFile(overlay, list, 0o600)); err != nil {
		return "", err
	}
	c := exec.CommandContext(ctx, "go", "build", "-overlay", overlay, "-o", program, "github.com/sparekey/sparekey/cmd/sparekey")
	c.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := c.CombinedOutput(); err != nil {
		return "", fmt.Errorf("sparekey can't be built with a clock that is wrong: %w\n%s", err, out)
	}
	return program, nil
}
