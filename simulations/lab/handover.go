//go:build linux

package main

import (
	"crypto/rand"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"

	"github.com/sparekey/sparekey/simulations/programs"
)

// A handover is one share: from one of the room's devices to the other.
type handover struct {
	r        *room
	from, to *device
	file     string // the credential, as the sender has it
	name     string // what the file is called
	title    string
	secret   []byte // in what it holds
	content  []byte
	link     string

	giver, taker *programs.Process
	person       *os.File         // types at the receiver's terminal
	way          string           // that the receiver's credential came
	earlier      []programs.Event // what a receiver said that was killed since it came
}

// share begins a share from one device to the other.
func (r *room) share(from, to int) *handover {
	h := &handover{r: r, from: r.devices[from], to: r.devices[to], secret: make([]byte, 16), name: fmt.Sprintf("secret-key-%d.txt", len(r.shares))}
	rand.Read(h.secret)
	h.content = fmt.Appendf(slices.Clone(h.secret), " is the secret, and in hex %x\n", h.secret)
	h.title = fmt.Sprintf("a secret title, the %d.", len(r.shares))
	r.shares = append(r.shares, h)
	return h
}

// start starts a command on a device, whose clock is as wrong as the plan says.
func (r *room) start(d *device, stdin *os.File, args ...string) (*programs.Process, error) {
	c := d.Command(args...)
	if stdin != nil {
		c.Stdin = stdin
	}
	if d.ahead != 0 {
		c.Path = r.lab.wrongClock
		c.Env = append(c.Env, fmt.Sprintf("%s=%d", aheadVariable, int64(d.ahead.Seconds())))
	}
	return programs.Start(d, c)
}

// offer starts the sender, and returns when it has told the link.
func (h *handover) offer() (err error) {
	h.file = filepath.Join(h.from.User, h.name)
	if err := os.WriteFile(h.file, h.content, 0o600); err != nil {
		return err
	}
	args := []string{"share", h.file, "--title", h.title, "--yes"}
	if h.giver, err = h.r.start(h.from, nil, append(args, h.r.shareFlags()...)...); err != nil {
		return err
	}
	offered, err := h.giver.Said(h.r.ctx, "share.offered")
	h.link = offered.Link
	return err
}

// look starts the receiver.
func (h *handover) look() error {
	person, tty, err := programs.OpenTerminal()
	if err != nil {
		return err
	}
	defer tty.Close()
	h.leave()
	h.person = person
	args := []string{"receive", h.link, "--name", h.to.label(), "-o", h.to.Out + "/"}
	h.taker, err = h.r.start(h.to, tty, args...)
	return err
}

// viewed waits until the receiver's person is asked.
func (h *handover) viewed() error {
	_, err := h.taker.Said(h.r.ctx, "share.viewed")
	return err
}

// claimed waits until a program knows of the claim.
func (h *handover) claimed(p *programs.Process) error {
	_, err := p.Said(h.r.ctx, "share.claimed")
	return err
}

// yes is the receiver's person's.
func (h *handover) yes() error {
	_, err := io.WriteString(h.person, "y\n")
	return err
}

// finish waits for both programs to end well.
func (h *handover) finish() error {
	got, err := h.taker.End(h.r.ctx)
	if err != nil {
		return fmt.Errorf("receiver: %w", err)
	}
	gave, err := h.giver.End(h.r.ctx)
	if err != nil {
		return fmt.Errorf("sender: %w", err)
	}
	if gave.Type != "result" || gave.State != "done" || got.Type != "result" {
		return fmt.Errorf("the sender ends with %+v, the receiver with %+v; want that both have a result, and the sender's is done", gave, got)
	}
	return nil
}

func (h *handover) close() {
	for _, p := range []*programs.Process{h.giver, h.taker} {
		if p != nil {
			p.Kill()
		}
	}
	h.leave()
}

// leave closes the terminal of the receiver's person.
func (h *handover) leave() {
	if h.person != nil {
		h.person.Close()
	}
}
