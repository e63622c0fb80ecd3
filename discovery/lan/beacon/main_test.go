//go:build linux

package beacon

import (
	"os"
	"testing"

	"go.uber.org/goleak"
)

// TestMain also is the device that the tests start, see device_test.go.
func TestMain(m *testing.M) {
	if os.Getenv(beDevice) != "" {
		os.Exit(device())
	}
	goleak.VerifyTestMain(m)
}
