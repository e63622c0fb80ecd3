//go:build linux

package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.Cleanup(func(code int) {
		os.RemoveAll(built)
		os.Exit(code)
	}))
}

var built string // folder of the programs; empty: none were needed

// builtOnce builds the programs, and returns their folder.
var builtOnce = sync.OnceValues(func() (string, error) {
	bin, err := os.MkdirTemp("", "sparekey-lab-bin-")
	if err != nil {
		return "", err
	}
	built = bin
	c := exec.Command("go", "build", "-o", bin+"/", "github.com/sparekey/sparekey/cmd/...")
	c.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := c.CombinedOutput(); err != nil {
		return "", fmt.Errorf("the programs can't be built: %w\n%s", err, out)
	}
	return bin, nil
})

func newTestLab(t *testing.T) *lab {
	t.Helper()
	bin, err := builtOnce()
	if err != nil {
		t.Fatal(err)
	}
	l, err := newLab(bin, uint64(time.Now().UnixNano()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.close() })
	return l
}

// everyHandsOver runs each cell once; make lab runs them more often.
func everyHandsOver(t *testing.T, cells []*cell) {
	t.Helper()
	l := newTestLab(t)
	all, err := l.run(t.Context(), cells, 1, 3, func(c *cell, o outcome) {
		if o.err != nil {
			t.Errorf("%s: %v\n%s", c.name, o.err, o.story)
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	table(&out, all)
	t.Logf("seed %d\n%s", l.seed, out.String())
}

func TestLAN04RoomsOfEveryKindHandOverOnce(t *testing.T)         { everyHandsOver(t, kinds) }
func TestWhatTheRoomKeepsBackIsGoneRound(t *testing.T)           { everyHandsOver(t, obstacles) }
func TestNSW01NSW02NSW03ChangesMidShareCostNothing(t *testing.T) { everyHandsOver(t, changes) }
func TestCLK01WrongClocksMeetInTheRoom(t *testing.T)             { everyHandsOver(t, clocks) }
func TestWhatDevicesAndPeopleDoLosesNothing(t *testing.T)        { everyHandsOver(t, habits) }

// TestJudgeMissesNothing: a room in which all went well is spoilt in each way that
// the judge should see.
func TestJudgeMissesNothing(t *testing.T) {
	l := newTestLab(t)
	ctx, cancel := context.WithTimeout(t.Context(), runTime)
	defer cancel()
	r, err := newRoom(ctx, l, filepath.Join(l.dir, "room"), &cell{})
	if err != nil {
		t.Fatal(err)
	}
	defer r.close()
	if err := handOver(r); err != nil {
		t.Fatal(err)
	}
	if err := r.judge(either); err != nil {
		t.Fatalf("nothing is wrong, and the judge says %v", err)
	}
	h, out := r.shares[0], r.devices[receiver].Out
	placed := filepath.Join(out, h.name)
	for name, spoil := range map[string]func() error{
		"the credential is lost":           func() error { return os.Remove(placed) },
		"it is another one":                func() error { return os.WriteFile(placed, []byte("another"), 0o600) },
		"it was provisioned twice":         func() error { return os.WriteFile(placed+".1", h.content, 0o600) },
		"a share has been begun and isn't": func() error { r.share(sender, receiver); return nil },
	} {
		if err := spoil(); err != nil {
			t.Fatal(err)
		}
		if err := r.judge(either); err == nil {
			t.Errorf("%s, and the judge sees nothing", name)
		}
		r.shares = r.shares[:1]
		if err := os.RemoveAll(placed + ".1"); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(placed, h.content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := r.judge([]string{"by pigeon"}); err == nil {
		t.Error("it came by another way than was wanted, and the judge sees nothing")
	}
	if err := r.judge(either); err != nil {
		t.Errorf("nothing is wrong any more, and the judge says %v", err)
	}
}
