package main

import (
	"encoding/json"
	"fmt"
	"io"
	"sync"
	"time"
)

// An output is where a command speaks: prose to stderr, data to stdout. With
// --json all that is said goes to stdout, one object a line.
type output struct {
	mu     sync.Mutex
	stdout io.Writer
	stderr io.Writer
	json   bool
	quiet  bool
	err    error // of stdout: whoever read it is gone
	ended  bool  // the last line has been said
}

// schema names the lines of --json. Fields are only ever added.
const schema = "sparekey/v1"

// An event is one line of --json.
type event struct {
	Schema    string `json:"schema"`
	Type      string `json:"type"`
	Time      string `json:"time"`
	ID        string `json:"id,omitempty"`
	Role      string `json:"role,omitempty"`
	Format    string `json:"format,omitempty"`
	Title     string `json:"title,omitempty"`
	Note      string `json:"note,omitempty"`
	Factor    string `json:"factor,omitempty"`
	State     string `json:"state,omitempty"`
	Reason    string `json:"reason,omitempty"`
	Peer      string `json:"peer,omitempty"`
	Label     string `json:"label,omitempty"` // what a receiver calls itself
	Relay     string `json:"relay,omitempty"`
	Link      string `json:"link,omitempty"`
	Path      string `json:"path,omitempty"`
	Steps     []step `json:"steps,omitempty"`
	ExpiresAt string `json:"expires_at,omitempty"`
	TimeUp    bool   `json:"time_up,omitempty"` // in place of ExpiresAt
	Others    int    `json:"others,omitempty"`
	Known     bool   `json:"known,omitempty"`
	Where     string `json:"where,omitempty"`

	Check   string `json:"check,omitempty"`
	Subject string `json:"subject,omitempty"`

	Code      string `json:"code,omitempty"`
	Message   string `json:"message,omitempty"`
	Hint      string `json:"hint,omitempty"`
	Exit      *int   `json:"exit,omitempty"`
	Retryable bool   `json:"retryable,omitempty"`
	Safe      bool   `json:"safe,omitempty"`

	Data any `json:"data,omitempty"`
}

// say prints a line of prose, unless only data or less is wanted.
func (o *output) say(format string, args ...any) {
	if o.json || o.quiet {
		return
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	fmt.Fprintf(o.stderr, format+"\n", args...)
}

// progress prints how things go on now. On a terminal it is written over the last such
// line; elsewhere it is a line of its own, and only wanted where it is fresh.
func (o *output) progress(line string, fresh bool) {
	if s, ok := o.stderr.(*screen); ok && s.terminal != nil && !o.json && !o.quiet {
		s.replace(line)
	} else if fresh {
		o.say("%s", line)
	}
}

// data prints a line that scripts read, also when quiet.
func (o *output) data(format string, args ...any) {
	if o.json {
		return
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if _, err := fmt.Fprintf(o.stdout, format+"\n", args...); err != nil {
		o.err = err
	}
}

// emit prints an event with --json.
func (o *output) emit(e event) {
	if !o.json {
		return
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	o.write(e)
}

// write prints an event; the caller has the lock.
func (o *output) write(e event) {
	e.Schema, e.Time = schema, time.Now().UTC().Format(time.RFC3339)
	b, err := json.Marshal(e)
	if err != nil {
		panic(err) // only types that JSON knows
	}
	o.ended = e.Type == "result" || e.Type == "error"
	if _, err := o.stdout.Write(append(b, '\n')); err != nil {
		o.err = err
	}
}

// failed prints the last line of a command that failed.
func (o *output) failed(f *failure) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.end(f, o.json)
}

// end prints a failure, as the last that is said; the caller has the lock.
func (o *output) end(f *failure, json bool) {
	if o.ended = true; !json {
		f.print(o.stderr)
		return
	}
	o.write(event{Type: "error", Code: f.Code, Message: f.Message, Hint: f.Hint, Exit: &f.Exit, Retryable: f.Retryable, Safe: f.Safe})
}

// last prints a failure beside a command, if that hasn't said its last, and lets nobody
// say anything any more: it keeps the lock, and the process is to end.
func (o *output) last(f *failure, json bool) {
	if o.mu.Lock(); !o.ended {
		o.end(f, json)
	}
}

// broken returns the error of writing to stdout, if there was one.
func (o *output) broken() error {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.err
}
