package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// A lab runs scenarios, each in a folder of its own.
type lab struct {
	dir, bin string
	runs     atomic.Int64
}

// A strike is one kill: of which process of which scenario, and when.
type strike struct {
	scenario *scenario
	process  string        // "sender.1" is the sender's second command
	point    string        // of package fault, with its occurrence; or
	after    time.Duration // so long after the process has started
	group    string        // of the plan
}

func (s strike) String() string {
	when := s.point
	if when == "" {
		when = s.after.String()
	}
	return s.scenario.name + "|" + s.process + "|" + when
}

// kind is what the process is: the kinds are counted together.
func (s strike) kind() string { return kindOf(s.process) }

func kindOf(process string) string {
	actor, _, _ := strings.Cut(process, ".")
	switch actor {
	case "second":
		return "receiver"
	case "copy":
		return "sender"
	case "sender", "receiver", "relay":
		return actor
	}
	return "looker"
}

// An outcome is what became of a run.
type outcome struct {
	struck bool   // the process was killed
	what   string // once, ended, unresolved
	err    error
	log    string // the folder of a run that failed
	took   time.Duration
}

// runTime bounds one run, which takes half a second on a machine that is idle.
const runTime = 90 * time.Second

// run runs a scenario and hands its world to look, before it is removed.
func (l *lab) run(ctx context.Context, sc *scenario, s *strike, look func(*world)) outcome {
	ctx, cancel := context.WithTimeoutCause(ctx, runTime, fmt.Errorf("a run takes more than %v", runTime))
	defer cancel()
	n, began := l.runs.Add(1), time.Now()
	w := newWorld(ctx, l.bin, filepath.Join(l.dir, fmt.Sprintf("%04d-%s", n, sc.name)), s)
	what, err := w.run(sc)
	if look != nil && err == nil {
		look(w)
	}
	o := outcome{struck: w.struck.Load(), what: what, err: err, log: w.dir, took: time.Since(began)}
	if err == nil {
		os.RemoveAll(w.dir)
	}
	return o
}

func (l *lab) try(ctx context.Context, s strike) outcome { return l.run(ctx, s.scenario, &s, nil) }

// again runs one strike that was printed before, and keeps its logs.
func (l *lab) again(ctx context.Context, only string) error {
	part := strings.SplitN(only, "|", 3)
	if len(part) != 3 {
		return fmt.Errorf("-only takes SCENARIO|PROCESS|POINT, not %q", only)
	}
	i := slices.IndexFunc(scenarios, func(s *scenario) bool { return s.name == part[0] })
	if i < 0 {
		return fmt.Errorf("there is no scenario %q", part[0])
	}
	s := strike{scenario: scenarios[i], process: part[1], point: part[2]}
	if d, err := time.ParseDuration(part[2]); err == nil {
		s.point, s.after = "", d
	}
	o := l.try(ctx, s)
	fmt.Printf("%v: struck %v, %s, %v\n", s, o.struck, o.what, o.err)
	if o.err != nil {
		return fmt.Errorf("logs are in %s", o.log)
	}
	return nil
}

// A process that a dry run has seen.
type seen struct {
	scenario *scenario
	process  string
	points   []string
	lived    time.Duration
}

// dryRuns runs every scenario once without a kill, and returns what it has seen.
func (l *lab) dryRuns(ctx context.Context, workers int) ([]seen, error) {
	var mu sync.Mutex
	found := map[string][]seen{}
	var failed error
	next := make(chan *scenario)
	var all sync.WaitGroup
	for range workers {
		all.Go(func() {
			for sc := range next {
				o := l.run(ctx, sc, nil, func(w *world) {
					mu.Lock()
					defer mu.Unlock()
					found[sc.name] = w.seen(sc)
				})
				if o.err != nil {
					mu.Lock()
					failed = fmt.Errorf("%s fails without any kill: %w (logs in %s)", sc.name, o.err, o.log)
					mu.Unlock()
				}
			}
		})
	}
	for _, sc := range scenarios {
		next <- sc
	}
	close(next)
	all.Wait()
	var known []seen
	for _, sc := range scenarios {
		known = append(known, found[sc.name]...)
	}
	return known, failed
}
