//go:build linux

package main

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
)

// install puts programs where they are measured, as they lie where people have
// installed them: written in one go. What a linker has just written lies in memory
// page by page, and is slower to start.
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
