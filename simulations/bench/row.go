//go:build linux

package main

import (
	"encoding/json"
	"fmt"
	"io"
	"math"
	"os"
	"strings"
	"text/tabwriter"
)

// A row is one figure, with what it is compared with.
type row struct {
	Name    string             `json:"name"`
	Value   float64            `json:"value"`
	Unit    string             `json:"unit"`
	Goal    *float64           `json:"goal,omitempty"`     // nil: none is set, it is shown beside others
	AtLeast bool               `json:"at_least,omitempty"` // the goal is a lower bound
	Met     *bool              `json:"met,omitempty"`
	Beside  map[string]float64 `json:"beside,omitempty"` // what was measured with it, by name and unit
	Between string             `json:"between,omitempty"`
	Command string             `json:"command"` // runs this row alone
}

// atMost and atLeast judge a row by a goal.
func (r row) atMost(goal float64) row  { return r.judged(goal, r.Value <= goal) }
func (r row) atLeast(goal float64) row { r.AtLeast = true; return r.judged(goal, r.Value >= goal) }

func (r row) judged(goal float64, met bool) row {
	r.Goal, r.Met = &goal, &met
	if !met {
		r.Between = between[r.Name]
	}
	return r
}

// table writes rows for people.
func table(w io.Writer, rows []row) {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "row\tfigure\tgoal\t\tbeside")
	for _, r := range rows {
		goal, verdict := "", ""
		if r.Goal != nil {
			sign, words := "≤", map[bool]string{true: "reached", false: "NOT REACHED"}
			if r.AtLeast {
				sign = "≥"
			}
			goal, verdict = sign+" "+short(*r.Goal), words[*r.Met]
		}
		fmt.Fprintf(t, "%s\t%s %s\t%s\t%s\t%s\n", r.Name, short(r.Value), r.Unit, goal, verdict, beside(r.Beside))
	}
	t.Flush()
	for _, r := range rows {
		if r.Between != "" {
			fmt.Fprintf(w, "\n%s: between it and the goal stands %s\n", r.Name, r.Between)
		}
	}
}

func beside(m map[string]float64) string {
	var out []string
	for _, k := range sortedKeys(m) {
		out = append(out, k+" "+short(m[k]))
	}
	return strings.Join(out, ", ")
}

// short writes a figure with three digits that count.
func short(v float64) string {
	if v == 0 || math.IsNaN(v) || math.IsInf(v, 0) {
		return fmt.Sprint(v)
	}
	digits := max(0, 2-int(math.Floor(math.Log10(math.Abs(v)))))
	return fmt.Sprintf("%.*f", min(digits, 3), v)
}

// A report is bench.json.
type report struct {
	Schema  string `json:"schema"`
	Machine string `json:"machine"`
	Load    string `json:"load"` // average of 1, 5 and 15 minutes at the end; bench's own work is in it
	Short   bool   `json:"short"`
	Rows    []row  `json:"rows"`
}

func (r report) write(path string) error {
	b, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(path, append(b, '\n'), 0o644)
}
