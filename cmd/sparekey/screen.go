package main

import (
	"io"
	"os"
	"sync"

	"golang.org/x/term"
)

// A screen is where people read. On a terminal its last line may be one that is
// written over by the next of its kind: how things go on now. What else is written
// begins below it.
type screen struct {
	w        io.Writer
	terminal *os.File // nil: what is written stays

	mu   sync.Mutex
	open bool // the last line may be written over
}

// newScreen returns the screen behind a writer.
func newScreen(w io.Writer) *screen {
	s := &screen{w: w}
	if f, ok := w.(*os.File); ok && term.IsTerminal(int(f.Fd())) && os.Getenv("TERM") != "dumb" {
		s.terminal = f
	}
	return s
}

// Write implements io.Writer.
func (s *screen) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.end()
	return s.w.Write(p)
}

func (s *screen) end() {
	if s.open {
		io.WriteString(s.w, "\n")
		s.open = false
	}
}

// close ends a line that could be written over.
func (s *screen) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.end()
}

// erase goes back to a line's beginning and clears it (ECMA-48, EL).
const erase = "\r\x1b[K"

// replace writes a line over the last one of its kind, cut to the terminal's width:
// of one that is wrapped only a part would be written over.
func (s *screen) replace(line string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if width, _, err := term.GetSize(int(s.terminal.Fd())); err == nil && width > 1 {
		if r := []rune(line); len(r) >= width {
			line = string(r[:width-2]) + "…"
		}
	}
	io.WriteString(s.w, erase+line)
	s.open = true
}
