//go:build linux

package programs

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"sync"
	"time"
)

// A Host is where programs run.
type Host interface{ Start(*exec.Cmd) error }

// A Device is a vault, with the program that works on it.
type Device struct {
	Bin   string // folder of the programs
	Home  string // folder of the vault
	User  string // folder of the person, with their config
	Roots string // file of the roots that the device trusts
	Out   string // folder in which its commands run; empty: this process's
}

// Command returns a command of sparekey's that speaks JSON.
func (d Device) Command(args ...string) *exec.Cmd {
	c := exec.Command(filepath.Join(d.Bin, "sparekey"), append([]string{"--json", "--home", d.Home}, args...)...)
	c.Env = []string{"HOME=" + d.User, "XDG_CONFIG_HOME=" + filepath.Join(d.User, "config"), "SSL_CERT_FILE=" + d.Roots, "PATH=" + os.Getenv("PATH")}
	c.Dir = d.Out
	return c
}

// An Event is a line of --json, as far as anybody here asks for it.
type Event struct {
	Type, ID, State, Reason, Link, Path, Peer, Code, Message string
	Known                                                    bool // of a share that has ended: the other side or the relay knows

	When time.Time `json:"-"` // it was read
}

// A Process is a sparekey that runs.
type Process struct {
	cmd    *exec.Cmd
	Began  time.Time
	ended  chan struct{}
	stderr bytes.Buffer // after ended

	mu    sync.Mutex
	said  []Event
	odd   error         // a line that is no event
	fresh chan struct{} // closed when there is more
}

// Start starts a command of a Device on a host.
func Start(h Host, c *exec.Cmd) (*Process, error) {
	p := &Process{cmd: c, ended: make(chan struct{}), fresh: make(chan struct{})}
	out, err := c.StdoutPipe()
	if err != nil {
		return nil, err
	}
	c.Stderr = &p.stderr
	p.Began = time.Now()
	if err := h.Start(c); err != nil {
		return nil, err
	}
	go func() {
		p.read(out)
		c.Wait()
		close(p.ended)
	}()
	return p, nil
}

// read takes what the process says, until it says no more.
func (p *Process) read(out io.Reader) {
	lines := bufio.NewScanner(out)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		e := Event{When: time.Now()}
		err := json.Unmarshal(lines.Bytes(), &e)
		p.mu.Lock()
		if err != nil {
			p.odd = fmt.Errorf("sparekey said what is no JSON: %s", lines.Bytes())
		}
		p.said = append(p.said, e)
		close(p.fresh)
		p.fresh = make(chan struct{})
		p.mu.Unlock()
	}
	io.Copy(io.Discard, out)
}

// PID returns the process's id, which is its own until End has returned or Kill.
func (p *Process) PID() int { return p.cmd.Process.Pid }

// Events returns what the process has said so far.
func (p *Process) Events() []Event {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.said)
}

// Said returns the first line of a type, and waits for it. A process that fails or
// ends before is an error, and so is the end of ctx.
func (p *Process) Said(ctx context.Context, kind string) (Event, error) {
	for {
		p.mu.Lock()
		said, fresh := p.said, p.fresh
		p.mu.Unlock()
		for _, e := range said {
			switch e.Type {
			case kind:
				return e, nil
			case "error":
				return e, fmt.Errorf("sparekey failed before it said %s: %s (%s)", kind, e.Message, e.Code)
			}
		}
		select {
		case <-fresh:
		case <-p.ended:
			if len(p.Events()) == len(said) {
				return Event{}, fmt.Errorf("sparekey ended before it said %s: %s", kind, p.stderr.String())
			}
		case <-ctx.Done():
			return Event{}, fmt.Errorf("sparekey did not say %s, only %v: %w", kind, p.types(), context.Cause(ctx))
		}
	}
}

// types are the types of what was said, in order.
func (p *Process) types() (all []string) {
	for _, e := range p.Events() {
		all = append(all, e.Type)
	}
	return all
}

// End waits for the process to end by itself, and returns the last that it said.
// Another exit code than 0 is an error.
func (p *Process) End(ctx context.Context) (last Event, err error) {
	select {
	case <-p.ended:
	case <-ctx.Done():
		return last, fmt.Errorf("sparekey did not end, after it said %v: %w", p.types(), context.Cause(ctx))
	}
	if said := p.Events(); len(said) > 0 {
		last = said[len(said)-1]
	}
	err = p.odd
	if code := p.cmd.ProcessState.ExitCode(); code != 0 {
		err = errors.Join(err, fmt.Errorf("sparekey ended with %d, %s (%s): %s", code, last.Message, last.Code, p.stderr.String()))
	}
	return last, err
}

// Signal sends a signal to the process.
func (p *Process) Signal(s os.Signal) error { return p.cmd.Process.Signal(s) }

// Complaints is what the process wrote to its standard error. It has ended.
func (p *Process) Complaints() string {
	<-p.ended
	return p.stderr.String()
}

// Kill kills the process, if it runs, and waits until it is gone.
func (p *Process) Kill() {
	p.cmd.Process.Kill()
	<-p.ended
}
