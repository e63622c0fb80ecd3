package main

import (
	"encoding/json"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"
)

// exitHeld is sparekey's exit code for a share that another process works on.
const exitHeld = 3

// A job is a command that is given again when its process was killed, or when
// another process had the share.
type job struct {
	w       *world
	actor   string
	program string
	args    func(try int) ([]string, error)
	line    func(string)
	stop    chan struct{} // closed by interrupt
	over    chan struct{}

	mu       sync.Mutex
	p        *process
	stopping bool
	code     int
	err      error
}

// keep begins a job.
func (w *world) keep(actor, program string, args func(try int) ([]string, error), line func(string)) *job {
	if line == nil {
		line = func(string) {}
	}
	j := &job{w: w, actor: actor, program: program, args: args, line: line, stop: make(chan struct{}), over: make(chan struct{})}
	w.mu.Lock()
	w.running = append(w.running, j)
	w.mu.Unlock()
	go func() {
		defer close(j.over)
		j.run()
	}()
	return j
}

func (j *job) run() {
	for try := 0; ; try++ {
		args, err := j.args(try)
		if err == nil {
			err = j.begin(args)
		}
		if err != nil {
			j.end(0, err)
			return
		}
		p := j.p
		if p == nil {
			return // it was to stop before it began
		}
		<-p.exited
		j.mu.Lock()
		stopping := j.stopping
		j.mu.Unlock()
		switch {
		case stopping:
			j.end(p.code, nil)
			return
		case p.killed && j.w.strike != nil && j.w.strike.process == p.name:
		case p.code == exitHeld && j.program == "sparekey":
			j.letGo(p) // then the command is given again
		case j.program == "sparekey-relay":
			j.end(p.code, fmt.Errorf("the relay ended by itself, with exit code %d", p.code))
			return
		default:
			j.end(p.code, j.w.broken(p))
			return
		}
	}
}

// holdTime bounds the wait for a process that holds a share and goes on: it may be
// reached the next time.
const holdTime = 10 * time.Second

// letGo waits until a process that was held up may not be any more: another one of
// the same vault has ended since it began.
func (j *job) letGo(p *process) {
	w, enough := j.w, time.After(holdTime)
	for {
		w.mu.Lock()
		free := slices.ContainsFunc(w.lived[p.before:], func(l life) bool {
			actor, _, _ := strings.Cut(l.process, ".")
			return l.process != p.name && w.home(actor) == p.home
		})
		ended := w.ended
		w.mu.Unlock()
		if free {
			return
		}
		select {
		case <-ended:
		case <-enough:
			return
		case <-j.stop:
			return
		case <-w.ctx.Done():
			return
		}
	}
}

func (j *job) begin(args []string) (err error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.p = nil; j.stopping {
		return nil
	}
	j.p, err = j.w.start(j.actor, j.program, args, j.line)
	return err
}

func (j *job) end(code int, err error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.code, j.err = code, err
}

func (j *job) failure() error {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.err
}

// interrupt ends a job as Ctrl-C does.
func (j *job) interrupt() error {
	j.mu.Lock()
	if !j.stopping {
		close(j.stop)
	}
	j.stopping = true
	if j.p != nil {
		j.p.cmd.Process.Signal(syscall.SIGINT)
	}
	j.mu.Unlock()
	<-j.over
	return j.failure()
}

// wait waits for the end of a job and wants one of these exit codes.
func (j *job) wait(codes ...int) error {
	<-j.over
	if err := j.failure(); err != nil {
		return err
	}
	for _, c := range codes {
		if c == j.code {
			return nil
		}
	}
	return fmt.Errorf("%s %s ended with exit code %d, want one of %v", j.actor, j.program, j.code, codes)
}

// command begins a command of a device. again is what is given after a crash.
func (w *world) command(actor string, args, again []string) *job {
	return w.keep(actor, "sparekey", func(try int) ([]string, error) {
		if try > 0 {
			args = again
		}
		return append(args[:len(args):len(args)], "--json", "--home", w.home(actor)), nil
	}, nil)
}

// do gives a command, again after each crash, and wants one of these exit codes.
func (w *world) do(codes []int, actor string, args ...string) error {
	if err := w.command(actor, args, args).wait(codes...); err != nil {
		return fmt.Errorf("%v: %w", args, err)
	}
	return nil
}

// share begins to share the credential, and returns when the link is known. What
// was cut off before it could tell a link is cancelled, as a person would do.
func (w *world) share(flags ...string) (*job, error) {
	told := make(chan struct{})
	var once sync.Once
	id := ""
	j := w.keep("sender", "sparekey", func(try int) ([]string, error) {
		home := []string{"--json", "--home", w.home("sender")}
		select {
		case <-told:
			return append([]string{"resume", id}, home...), nil
		default:
		}
		if try > 0 {
			if err := w.cancelUntold(); err != nil {
				return nil, err
			}
		}
		args := append([]string{"share", filepath.Join(w.dir, "key.txt"), "--yes", "--qr", "never", "--relay", w.relayURL()}, home...)
		return append(args, flags...), nil
	}, func(line string) {
		var e event
		if json.Unmarshal([]byte(line), &e) == nil && e.Type == "share.offered" {
			once.Do(func() {
				w.link, id = e.Link, e.ID
				close(told)
			})
		}
	})
	select {
	case <-told:
		return j, nil
	case <-j.over:
		select {
		case <-told:
			return j, nil
		default:
			return nil, fmt.Errorf("share ended without a link: exit code %d, %w", j.code, j.failure())
		}
	case <-w.ctx.Done():
		return nil, w.timeUp("a link")
	}
}

// cancelUntold cancels shares of whose link nobody has heard.
func (w *world) cancelUntold() error {
	all, err := w.shares("sender")
	if err != nil {
		return err
	}
	for _, s := range all {
		if _, _, _, err := w.sparekey("looker-sender", "cancel", s.ID); err != nil {
			return err
		}
		w.mu.Lock()
		w.untold[s.ID] = true
		w.mu.Unlock()
	}
	return nil
}

// receive begins to receive, by the same command again after a crash.
func (w *world) receive(actor string, flags ...string) *job {
	args := append([]string{"receive", w.link, "--yes", "-o", filepath.Join(w.out(actor), "key.txt")}, flags...)
	return w.command(actor, args, args)
}

// look views the link from a device that takes no part, and so waits until the
// relay has the offer. It wants one of these exit codes.
func (w *world) look(codes ...int) error { return w.do(codes, "looker", "view", w.link) }
