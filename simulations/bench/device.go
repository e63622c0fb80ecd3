//go:build linux

package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/sparekey/sparekey/simulations/wire"
)

// A device is a sparekey process on a host.
type device struct {
	cmd    *exec.Cmd
	lines  *bufio.Scanner
	stderr bytes.Buffer
	began  time.Time
}

// program returns a command of sparekey's for a device whose vault is in home.
func (s *setting) program(bin, home string, args ...string) *exec.Cmd {
	c := exec.Command(filepath.Join(bin, "sparekey"), append([]string{"--json", "--home", home}, args...)...)
	c.Env = []string{"HOME=" + s.dir, "XDG_CONFIG_HOME=" + filepath.Join(s.dir, "config"), "SSL_CERT_FILE=" + s.rootsFile(), "PATH=" + os.Getenv("PATH")}
	return c
}

// start starts sparekey on a host; what it says is read line by line.
func (s *setting) start(h *wire.Host, bin, home string, args ...string) (*device, error) {
	d := &device{cmd: s.program(bin, home, args...)}
	out, err := d.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	d.cmd.Stderr = &d.stderr
	d.lines = bufio.NewScanner(out)
	d.lines.Buffer(nil, 1<<20)
	d.began = time.Now()
	return d, h.Start(d.cmd)
}

// said waits for a line of a type and returns when it came, with the link in it.
func (d *device) said(kind string) (when time.Time, link string, err error) {
	for d.lines.Scan() {
		when = time.Now()
		var line struct{ Type, Link, Message string }
		if err := json.Unmarshal(d.lines.Bytes(), &line); err != nil {
			return when, "", fmt.Errorf("sparekey said what is no JSON: %s", d.lines.Bytes())
		}
		switch line.Type {
		case kind:
			return when, line.Link, nil
		case "error":
			return when, "", fmt.Errorf("sparekey failed: %s", line.Message)
		}
	}
	return when, "", fmt.Errorf("sparekey ended before it said %s: %s", kind, d.stderr.String())
}

// end waits for the process.
func (d *device) end() error {
	for d.lines.Scan() {
	}
	if err := d.cmd.Wait(); err != nil {
		return fmt.Errorf("sparekey ended with %w: %s", err, d.stderr.String())
	}
	return nil
}

// A relay is a sparekey-relay process on a host.
type relay struct {
	cmd *exec.Cmd
	url string
}

func (s *setting) relay(h *wire.Host, bin string, args ...string) (*relay, error) {
	data, err := os.MkdirTemp(s.dir, "relay-")
	if err != nil {
		return nil, err
	}
	args = append([]string{"serve", "--listen", h.Addr.String() + ":0", "--data", data, "--max-creates", "-1", "--max-guesses", "-1"}, args...)
	r := &relay{cmd: exec.Command(filepath.Join(bin, "sparekey-relay"), args...)}
	stderr, err := r.cmd.StderrPipe()
	if err != nil {
		return nil, err
	}
	if err := h.Start(r.cmd); err != nil {
		return nil, err
	}
	lines := bufio.NewScanner(stderr)
	for lines.Scan() {
		if url, ok := strings.CutPrefix(lines.Text(), "sparekey-relay: serving "); ok {
			r.url = url
			go func() {
				for lines.Scan() {
				}
			}()
			return r, nil
		}
	}
	r.stop()
	return nil, fmt.Errorf("the relay did not start: %s", lines.Text())
}

func (r *relay) stop() {
	r.cmd.Process.Kill()
	r.cmd.Wait()
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
