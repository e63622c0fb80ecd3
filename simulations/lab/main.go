//go:build linux

package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"text/tabwriter"
	"time"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "lab:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context) (err error) {
	bin := flag.String("bin", "bin", "`folder` of the programs")
	only := flag.String("only", "", "run only the cells whose name has this `text`")
	times := flag.Int("shares", 5, "how often each cell is run")
	workers := flag.Int("workers", 2, "rooms at once")
	seed := flag.Uint64("seed", uint64(time.Now().UnixNano()), "of what gets lost, doubled and late")
	verbose := flag.Bool("v", false, "tell what the programs say in every room, not only where it fails")
	flag.Parse()
	l, err := newLab(*bin, *seed)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, l.close()) }()
	some := slices.DeleteFunc(slices.Clone(cells), func(c *cell) bool { return !strings.Contains(c.name, *only) })
	fmt.Printf("seed %d\n", *seed)
	all, err := l.run(ctx, some, *times, *workers, func(c *cell, o outcome) {
		if o.err != nil || *verbose {
			fmt.Fprintf(os.Stderr, "%s: %v, %v\n%s", c.name, o.took.Round(time.Millisecond), o.err, o.story)
		}
	})
	if err != nil {
		return err
	}
	err = table(os.Stdout, all)
	if *only == "" || strings.Contains("capture", *only) {
		err = errors.Join(err, l.capture(ctx, os.Stdout, plan{noRelay: true}), l.capture(ctx, os.Stdout, plan{}))
	}
	return err
}

// table prints what became of all cells, and is an error if any share was lost.
func table(w io.Writer, all []*result) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "cell\tshares\tprovisioned\tby\tmedian\tcut to next frame\t")
	lost := 0
	for _, r := range all {
		shares, provisioned, ways := 0, 0, map[string]int{}
		var took []time.Duration
		gap, failed := "", 0
		for _, o := range r.outs {
			shares, provisioned = shares+o.shares, provisioned+o.provisioned
			took = append(took, o.took)
			for _, w := range o.ways {
				ways[w]++
			}
			if o.gap > 0 {
				gap = fmt.Sprintf("%s %v", gap, o.gap.Round(time.Millisecond))
			}
			if o.err != nil {
				failed++
			}
		}
		slices.Sort(took)
		verdict := ""
		if lost += failed; failed > 0 {
			verdict = "FAILED"
		}
		fmt.Fprintf(t, "%s\t%d\t%d\t%s\t%v\t%s\t%s\n", r.cell.name, shares, provisioned, counts(ways), took[len(took)/2].Round(time.Millisecond), strings.TrimSpace(gap), verdict)
	}
	t.Flush()
	if lost > 0 {
		return fmt.Errorf("%d runs failed", lost)
	}
	return nil
}

// counts prints how often each way was taken.
func counts(ways map[string]int) string {
	var all []string
	for w, n := range ways {
		all = append(all, fmt.Sprintf("%s %d", w, n))
	}
	slices.Sort(all)
	return strings.Join(all, ", ")
}
