//go:build linux

package programs

import (
	"bufio"
	"fmt"
	"io"
	"os/exec"
	"path/filepath"
	"strings"
)

// A Relay is a sparekey-relay that serves.
type Relay struct {
	URL string

	cmd     *exec.Cmd
	drained chan struct{}
}

// Serve starts a relay on a host, with its mailboxes in a folder, and returns
// when it serves. It doesn't count what one address asks for: all devices here
// may have the same.
func Serve(h Host, bin, listen, data string, args ...string) (*Relay, error) {
	args = append([]string{"serve", "--listen", listen, "--data", data, "--max-creates", "-1", "--max-guesses", "-1"}, args...)
	r := &Relay{cmd: exec.Command(filepath.Join(bin, "sparekey-relay"), args...), drained: make(chan struct{})}
	stderr, err := r.cmd.StderrPipe()
	if err != nil {
		return nil, err
	}
	if err := h.Start(r.cmd); err != nil {
		return nil, err
	}
	lines := bufio.NewScanner(stderr)
	last := ""
	for r.URL == "" && lines.Scan() {
		last = lines.Text()
		r.URL, _ = strings.CutPrefix(last, "sparekey-relay: serving ")
		if r.URL == last {
			r.URL = ""
		}
	}
	go func() {
		defer close(r.drained)
		io.Copy(io.Discard, stderr)
	}()
	if r.URL == "" {
		r.Kill()
		return nil, fmt.Errorf("the relay did not start: %s", last)
	}
	return r, nil
}

// Kill kills the relay, and waits until it is gone.
func (r *Relay) Kill() {
	r.cmd.Process.Kill()
	<-r.drained
	r.cmd.Wait()
}
