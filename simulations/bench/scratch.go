//go:build linux

package main

import (
	"os"
	"os/signal"
	"sync"
	"syscall"
)

// scratch are the folders of this run. They go with it, also when it is interrupted.
type scratch struct {
	mu   sync.Mutex
	dirs []string
}

var folders scratch

// add makes one.
func (s *scratch) add(name string) (dir string, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if dir, err = os.MkdirTemp("", "sparekey-"+name+"-"); err == nil {
		s.dirs = append(s.dirs, dir)
	}
	return dir, err
}

// remove removes them all, and lets no more be made.
func (s *scratch) remove() {
	s.mu.Lock()
	for _, dir := range s.dirs {
		os.RemoveAll(dir)
	}
}

// watch ends the run when somebody interrupts it.
func (s *scratch) watch() {
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	go func() {
		<-signals
		s.remove()
		os.Exit(130)
	}()
}
