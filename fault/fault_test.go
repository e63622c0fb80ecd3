//go:build faults

package fault

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
)

func TestAProcessDiesAtItsPointAndNoLater(t *testing.T) {
	if os.Getenv("SPAREKEY_FAULT") != "" {
		for range 3 {
			Point("test", "one")
			Point("test", "two")
		}
		return
	}
	file := filepath.Join(t.TempDir(), "log")
	c := exec.Command(os.Args[0], "-test.run=^"+t.Name()+"$")
	c.Env = append(os.Environ(), "SPAREKEY_FAULT=test.one#2", "SPAREKEY_FAULT_LOG="+file)
	var exit *exec.ExitError
	if err := c.Run(); !errors.As(err, &exit) || exit.Sys().(syscall.WaitStatus).Signal() != syscall.SIGKILL {
		t.Fatalf("it ended with %v, want SIGKILL", err)
	}
	b, err := os.ReadFile(file)
	if want := "test.one#1\ntest.two#1\ntest.one#2\n"; err != nil || string(b) != want {
		t.Errorf("logged %q, %v; want %q", b, err, want)
	}
}
