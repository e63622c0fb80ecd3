package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"
)

// A process is one run of a program.
type process struct {
	name   string // "sender.1"
	home   string // the actor's vault
	before int    // how many processes had ended before it began
	cmd    *exec.Cmd
	timer  *time.Timer
	exited chan struct{}
	code   int  // after exited; -1: it was killed
	killed bool // by SIGKILL, which only a strike does before the end
}

// start starts a program of an actor. Each line of its output is logged and given to line.
func (w *world) start(actor, program string, args []string, line func(string)) (*process, error) {
	w.mu.Lock()
	name := fmt.Sprintf("%s.%d", actor, w.commands[actor])
	w.commands[actor]++
	before := len(w.lived)
	w.mu.Unlock()
	log, err := os.Create(filepath.Join(w.dir, "logs", name))
	if err != nil {
		return nil, err
	}
	p := &process{name: name, home: w.home(actor), before: before, exited: make(chan struct{}), cmd: exec.CommandContext(w.ctx, filepath.Join(w.bin, program), args...)}
	p.cmd.Dir = w.dir
	p.cmd.Env = append(os.Environ(), "HOME="+w.dir, "XDG_CONFIG_HOME="+w.dir, "SPAREKEY_PATHS=relay", "SPAREKEY_FAULT_LOG="+w.points(name))
	s := w.strike
	if s != nil && s.process == name && s.point != "" {
		p.cmd.Env = append(p.cmd.Env, "SPAREKEY_FAULT="+s.point)
	}
	out, in := io.Pipe()
	p.cmd.Stdout, p.cmd.Stderr = in, in
	fmt.Fprintf(log, "%s %s\n", program, strings.Join(args, " "))
	began := time.Now()
	if err := p.cmd.Start(); err != nil {
		return nil, err
	}
	if s != nil && s.process == name && s.point == "" {
		p.timer = time.AfterFunc(s.after, func() { p.cmd.Process.Kill() })
	}
	read := make(chan struct{})
	go func() {
		defer close(read)
		for lines := bufio.NewScanner(out); lines.Scan(); {
			fmt.Fprintln(log, lines.Text())
			line(lines.Text())
		}
		io.Copy(io.Discard, out)
	}()
	go func() {
		p.cmd.Wait()
		in.Close()
		<-read
		w.bury(p, time.Since(began))
		fmt.Fprintf(log, "exit %d after %v\n", p.code, time.Since(began).Round(time.Millisecond))
		log.Close()
		close(p.exited)
	}()
	return p, nil
}

// bury notes how a process has ended.
func (w *world) bury(p *process, lived time.Duration) {
	if p.timer != nil {
		p.timer.Stop()
	}
	p.code = p.cmd.ProcessState.ExitCode()
	status, ok := p.cmd.ProcessState.Sys().(syscall.WaitStatus)
	if p.killed = ok && status.Signal() == syscall.SIGKILL; p.killed && w.ctx.Err() == nil && w.strike != nil && w.strike.process == p.name {
		w.struck.Store(true)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.lived = append(w.lived, life{p.name, lived})
	close(w.ended)
	w.ended = make(chan struct{})
}

type life struct {
	process string
	lived   time.Duration
}

// points is the file to which a process logs the points that it passes.
func (w *world) points(process string) string { return filepath.Join(w.dir, "points", process) }

// passed counts how often an actor's processes have passed a point.
func (w *world) passed(actor, point string) (n int) {
	files, _ := filepath.Glob(w.points(actor + ".*"))
	for _, f := range files {
		b, _ := os.ReadFile(f)
		n += strings.Count(string(b), "\n"+point+"#") + strings.Count(string(b[:min(len(b), len(point)+1)]), point+"#")
	}
	return n
}

// seen returns what a run without a kill has passed.
func (w *world) seen(sc *scenario) (all []seen) {
	for _, l := range w.lived {
		b, err := os.ReadFile(w.points(l.process))
		if err != nil || kindOf(l.process) == "looker" {
			continue
		}
		all = append(all, seen{sc, l.process, strings.Fields(string(b)), l.lived})
	}
	slices.SortFunc(all, func(a, b seen) int { return strings.Compare(a.process, b.process) })
	return all
}

// An event is a line of --json.
type event struct {
	Type  string `json:"type"`
	ID    string `json:"id"`
	State string `json:"state"`
	Link  string `json:"link"`
	Code  string `json:"code"`

	Reason string `json:"reason"`
	Peer   string `json:"peer,omitempty"`
}

// sparekey runs a command to its end.
func (w *world) sparekey(actor string, args ...string) (code int, killed bool, events []event, err error) {
	p, err := w.start(actor, "sparekey", append(args, "--json", "--home", w.home(actor)), func(line string) {
		var e event
		if json.Unmarshal([]byte(line), &e) == nil {
			events = append(events, e)
		}
	})
	if err != nil {
		return 0, false, nil, err
	}
	<-p.exited
	return p.code, p.killed, events, w.broken(p)
}

// broken is the error of a process that ended as none should.
func (w *world) broken(p *process) error {
	switch {
	case w.ctx.Err() != nil:
		return w.timeUp("the end of " + p.name)
	case p.killed && (w.strike == nil || w.strike.process != p.name):
		return fmt.Errorf("%s was killed by somebody else", p.name)
	case !p.killed && (p.code < 0 || slices.Contains([]int{1, 2, 11}, p.code)):
		return fmt.Errorf("%s ended with exit code %d", p.name, p.code)
	}
	return nil
}

// address returns an address of loopback that nobody else has: a relay that is
// killed must find it free again. Ports that the system gives out lie higher.
func address() string {
	return fmt.Sprintf("127.%d.%d.%d:20000", 1+rnd(254), rnd(256), 1+rnd(254))
}
