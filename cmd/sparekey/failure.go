package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"syscall"
)

// Exit codes; docs/commands.md lists them for scripts.
const (
	exitDone        = 0
	exitInternal    = 1
	exitUsage       = 2
	exitRefused     = 3
	exitNotFound    = 4
	exitCantWrite   = 5
	exitWrongPIN    = 6
	exitOver        = 7
	exitNoPath      = 8
	exitTaken       = 9
	exitUnresolved  = 10
	exitVault       = 11
	exitInterrupted = 130
)

// A failure is an error as a person and a script are told it: what happened
// and whether the credential is safe, what to do, and a stable code.
type failure struct {
	Code      string `json:"code"`
	Message   string `json:"message"`
	Hint      string `json:"hint"`
	Exit      int    `json:"exit"`
	Retryable bool   `json:"retryable"`
	Safe      bool   `json:"safe"` // nothing was lost or used up
	cause     error
}

func (f *failure) Error() string { return f.Message }
func (f *failure) Unwrap() error { return f.cause }

// fail makes a failure that has used nothing up.
func fail(exit int, code, message, hint string) *failure {
	return &failure{Code: code, Message: message, Hint: hint, Exit: exit, Safe: true, Retryable: exit == exitNoPath || exit == exitInterrupted}
}

func (f *failure) because(err error) *failure {
	f.cause = err
	return f
}

// asFailure finds the failure in an error, or makes one of it.
func asFailure(err error) *failure {
	var f *failure
	switch {
	case errors.As(err, &f):
		return f
	case errors.Is(err, context.DeadlineExceeded):
		return fail(exitNoPath, "timeout", "the time given by --timeout is up. Nothing is lost.", "run it again, or give it more time").because(err)
	case errors.Is(err, context.Canceled):
		return fail(exitInterrupted, "interrupted", "interrupted. Nothing is lost.", "run it again").because(err)
	case errors.Is(err, syscall.EPIPE):
		return fail(exitCantWrite, "output_closed", "the program that reads the output has closed it before all was written.", "").because(err)
	}
	if known := vaultFailure(err); known != nil {
		return known
	}
	return fail(exitInternal, "internal", err.Error(), "run it again with -v, and report it if it stays").because(err)
}

// print writes the failure as people read it.
func (f *failure) print(w io.Writer) {
	var b strings.Builder
	fmt.Fprintf(&b, "error: %s\n", f.Message)
	if f.Hint != "" {
		fmt.Fprintf(&b, "  try: %s\n", f.Hint)
	}
	fmt.Fprintf(&b, "  code: %s\n", f.Code)
	io.WriteString(w, b.String())
}

func usage(format string, args ...any) *failure {
	return fail(exitUsage, "usage", fmt.Sprintf(format, args...)+".", "sparekey --help")
}
