//go:build linux

package main

import (
	"errors"
	"io/fs"
	"os"
	"os/signal"
	"path/filepath"
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

// install puts programs where they are measured, as they lie where people have
// installed them: written in one go. What a linker has just written lies in memory
// page by page, and each start of it takes a millisecond or two more for that.
func install(from string) (dir string, err error) {
	if dir, err = folders.add("bin"); err != nil {
		return "", err
	}
	for _, name := range []string{"sparekey", "sparekey-relay", "empty"} {
		b, err := os.ReadFile(filepath.Join(from, name))
		if errors.Is(err, fs.ErrNotExist) && name != "sparekey" {
			continue // not everything is measured of all programs
		}
		if err == nil {
			err = os.WriteFile(filepath.Join(dir, name), b, 0o755)
		}
		if err != nil {
			return "", err
		}
	}
	return dir, nil
}

// installed calls f with the options' programs installed.
func (o options) installed(f func(options) error) (err error) {
	o.beside = o.vs
	for _, bin := range []*string{&o.bin, &o.vs} {
		if *bin == "" {
			continue
		}
		if *bin, err = install(*bin); err != nil {
			return err
		}
	}
	return f(o)
}
