//go:build linux

package main

import (
	"bytes"
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"github.com/sparekey/sparekey/simulations/programs"
	"github.com/sparekey/sparekey/simulations/wire"
)

// device returns a device whose vault is in home.
func (s *setting) device(bin, home string) programs.Device {
	return programs.Device{Bin: bin, Home: home, User: s.dir, Roots: s.certificates.Roots}
}

// relay starts a relay on a host, with a store of its own.
func (s *setting) relay(h *wire.Host, bin string, args ...string) (*programs.Relay, error) {
	data, err := os.MkdirTemp(s.dir, "relay-")
	if err != nil {
		return nil, err
	}
	return programs.Serve(h, bin, h.Addr.String()+":0", data, args...)
}

// A watch sees a file appear in a folder.
type watch struct{ f *os.File }

func watchFolder(dir string) (*watch, error) {
	fd, err := unix.InotifyInit1(unix.IN_CLOEXEC | unix.IN_NONBLOCK)
	if err != nil {
		return nil, err
	}
	if _, err := unix.InotifyAddWatch(fd, dir, unix.IN_CREATE|unix.IN_MOVED_TO); err != nil {
		unix.Close(fd)
		return nil, err
	}
	return &watch{os.NewFile(uintptr(fd), "inotify")}, nil
}

// appeared returns when a file of that name did.
func (w *watch) appeared(name string) (time.Time, error) {
	defer w.f.Close()
	b := make([]byte, 4096)
	for {
		n, err := w.f.Read(b)
		if err != nil {
			return time.Time{}, fmt.Errorf("the credential did not appear: %w", err)
		}
		if bytes.Contains(b[:n], append([]byte(name), 0)) {
			return time.Now(), nil
		}
	}
}
