package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"sync"
	"syscall"
	"time"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "crash:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context) (err error) {
	points := flag.Int("points", 200, "points to kill each kind of process at")
	kills := flag.Int("kills", 300, "kills at random moments")
	seed := flag.Uint64("seed", uint64(time.Now().UnixNano()), "of the random moments and of the sample")
	only := flag.String("only", "", "run one kill again: `SCENARIO|PROCESS|POINT`, as it is printed")
	workers := flag.Int("workers", 3, "runs at once")
	flag.Parse()
	dir, err := os.MkdirTemp("", "sparekey-crash-")
	if err != nil {
		return err
	}
	defer func() {
		if err == nil {
			os.RemoveAll(dir)
		}
	}()
	l := &lab{dir: dir, bin: filepath.Join(dir, "bin")}
	if err := build(ctx, l.bin); err != nil {
		return err
	}
	if *only != "" {
		return l.again(ctx, *only)
	}
	fmt.Printf("seed %d, logs in %s\n", *seed, dir)
	known, err := l.dryRuns(ctx, *workers)
	if err != nil {
		return err
	}
	rnd := rand.New(rand.NewPCG(*seed, 0))
	p := newPlan(known, *points, *kills, rnd)
	var all sync.WaitGroup
	for range *workers {
		all.Go(func() {
			for s, ok := p.next(ctx); ok; s, ok = p.next(ctx) {
				p.done(s, l.try(ctx, s))
			}
		})
	}
	all.Wait()
	p.print(os.Stdout)
	return errors.Join(ctx.Err(), p.verdict())
}

// build builds the programs with their points.
func build(ctx context.Context, dir string) error {
	c := exec.CommandContext(ctx, "go", "build", "-tags", "faults", "-o", dir+"/", "github.com/sparekey/sparekey/cmd/...")
	if out, err := c.CombinedOutput(); err != nil {
		return fmt.Errorf("the programs can't be built: %w\n%s", err, out)
	}
	return nil
}
