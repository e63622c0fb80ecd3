//go:build linux

package main

import (
	"flag"
	"fmt"
	"os"
	"runtime"
	"strings"
)

// options say what is measured and how often.
type options struct {
	only, bin, vs, out string
	beside             string // what vs was called
	short              bool
	runs               int
}

// parts are the parts of the table, by the name that -only takes.
var parts = []struct {
	name string
	rows func(options) ([]row, error)
}{
	{"share", shares},
	{"room", rooms},
	{"connect", connects},
	{"pulled", pulled},
	{"idle", idle},
	{"relay", crowds},
	{"weight", weights},
	{"session", primitives},
}

func main() {
	var o options
	flag.StringVar(&o.only, "only", "", "measure only the `part` whose name begins so: "+names())
	flag.StringVar(&o.bin, "bin", "bin", "`folder` of the programs")
	flag.StringVar(&o.vs, "vs", "", "`folder` of other programs, to compare shares with run by run")
	flag.StringVar(&o.out, "o", "bench.json", "`file` for the figures")
	flag.BoolVar(&o.short, "short", false, "fewer runs: a few minutes")
	flag.IntVar(&o.runs, "runs", 0, "`shares` of each kind (0: 21, or 7 with -short)")
	flag.Parse()
	if o.runs == 0 {
		o.runs = 21
		if o.short {
			o.runs = 7
		}
	}
	folders.watch()
	err := o.installed(run)
	folders.remove()
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// load is how busy the machine is, as it says itself: a figure that was measured
// among others' work says less.
func load() string {
	b, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return "unknown"
	}
	return strings.Join(strings.Fields(string(b))[:3], " ")
}

func names() string {
	var all []string
	for _, p := range parts {
		all = append(all, p.name)
	}
	return strings.Join(all, ", ")
}

// wants reports whether rows whose names begin so were asked for.
func (o options) wants(name string) bool {
	return strings.HasPrefix(name, o.only) || strings.HasPrefix(o.only, name+" ")
}

func run(o options) error {
	r := report{Schema: "sparekey-bench/1", Machine: fmt.Sprintf("%s/%s, %d processors, %s", runtime.GOOS, runtime.GOARCH, runtime.NumCPU(), runtime.Version()), Short: o.short}
	for _, p := range parts {
		if !o.wants(p.name) {
			continue
		}
		fmt.Fprintf(os.Stderr, "measuring %s …\n", p.name)
		rows, err := p.rows(o)
		if err != nil {
			return fmt.Errorf("%s: %w", p.name, err)
		}
		r.Rows = append(r.Rows, rows...)
	}
	r.Load = load()
	fmt.Printf("%s; load average %s\n", r.Machine, r.Load)
	table(os.Stdout, r.Rows)
	return r.write(o.out)
}
