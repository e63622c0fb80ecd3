package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"golang.org/x/term"
)

// A terminal asks a person. Without one, a prompt is a usage error that names
// the flag to give instead.
type terminal struct {
	in  *os.File // nil: there is nobody to ask
	out io.Writer
}

// newTerminal returns the terminal of a process, if its input is one.
func newTerminal(in *os.File, out io.Writer, never bool) *terminal {
	if never || in == nil || !term.IsTerminal(int(in.Fd())) {
		return &terminal{out: out}
	}
	return &terminal{in, out}
}

func (t *terminal) present() bool { return t.in != nil }

func (t *terminal) absent(flag string) error {
	return fail(exitUsage, "no_terminal", "this needs an answer, and there is no terminal to ask on. Nothing was sent.", "give "+flag)
}

// confirm asks a yes-or-no question; flag is what to give instead.
func (t *terminal) confirm(ctx context.Context, question string, def bool, flag string) (bool, error) {
	choice := "[y/N]"
	if def {
		choice = "[Y/n]"
	}
	for {
		answer, err := t.line(ctx, fmt.Sprintf("%s %s ", question, choice), flag)
		if err != nil {
			return false, err
		}
		switch strings.ToLower(strings.TrimSpace(answer)) {
		case "":
			return def, nil
		case "y", "yes":
			return true, nil
		case "n", "no":
			return false, nil
		}
	}
}

// line asks for a line of text.
func (t *terminal) line(ctx context.Context, prompt, flag string) (string, error) {
	return t.ask(ctx, prompt, flag, func() (string, error) {
		s, err := bufio.NewReader(oneByte{t.in}).ReadString('\n')
		if err == io.EOF && s != "" {
			err = nil
		}
		return strings.TrimRight(s, "\r\n"), err
	})
}

// secret asks for a line that isn't shown.
func (t *terminal) secret(ctx context.Context, prompt, flag string) (string, error) {
	state, _ := term.GetState(t.fd())
	s, err := t.ask(ctx, prompt, flag, func() (string, error) {
		b, err := term.ReadPassword(t.fd())
		return string(b), err
	})
	if state != nil {
		term.Restore(t.fd(), state) // an interrupted read leaves the echo off
		fmt.Fprintln(t.out)
	}
	return s, err
}

func (t *terminal) fd() int {
	if t.in == nil {
		return -1
	}
	return int(t.in.Fd())
}

// ask prints a prompt and waits for read, or for ctx. A read that is cut off
// stays behind in the process, which is about to end.
func (t *terminal) ask(ctx context.Context, prompt, flag string, read func() (string, error)) (string, error) {
	if !t.present() {
		return "", t.absent(flag)
	}
	fmt.Fprint(t.out, prompt)
	type answer struct {
		text string
		err  error
	}
	got := make(chan answer, 1)
	go func() {
		s, err := read()
		got <- answer{s, err}
	}()
	select {
	case a := <-got:
		if a.err != nil {
			return "", fail(exitRefused, "no_answer", "there was no answer. Nothing was sent.", "run it again").because(a.err)
		}
		return a.text, nil
	case <-ctx.Done():
		fmt.Fprintln(t.out)
		return "", unasked(ctx)
	}
}

// unasked is the failure of a question that was cut off. Nothing is done before its answer.
func unasked(ctx context.Context) error {
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return fail(exitNoPath, "timeout", "the time given by --timeout is up, and there was no answer. Nothing was done.", "run it again, or give it more time").because(ctx.Err())
	}
	return fail(exitInterrupted, "interrupted", "interrupted at the question. Nothing was done.", "").because(ctx.Err())
}

// oneByte keeps a reader from taking more than a line off the terminal.
type oneByte struct{ r io.Reader }

func (o oneByte) Read(p []byte) (int, error) {
	if len(p) > 1 {
		p = p[:1]
	}
	return o.r.Read(p)
}
