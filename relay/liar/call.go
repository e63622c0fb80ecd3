package liar

import (
	"bytes"
	"context"
	"net"
	"net/http"
	"slices"
	"strings"

	"github.com/sparekey/sparekey/noise/frame"
	"github.com/sparekey/sparekey/relay/wire"
)

// A Call is a request as a device made it.
type Call struct {
	Method, Path string // Path with its query
	Header       http.Header
	Body         []byte
	Over         <-chan struct{} // closed when the device has been given all of the answer
}

// Place says what the call's path leads to.
func (c Call) Place() wire.Place {
	path, _, _ := strings.Cut(c.Path, "?")
	return wire.ParsePath(path).Place
}

// Frames returns the frames that the call carries, none if it carries something else.
func (c Call) Frames() []frame.Frame {
	frames, err := frame.NewReader(bytes.NewReader(c.Body)).ReadAll(wire.MaxFrames)
	if err != nil {
		return nil
	}
	return frames
}

func (p *Proxy) note(c Call) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.calls = append(p.calls, c)
	p.wake()
}

// wake wakes those who wait for something to have changed. The caller has the lock.
func (p *Proxy) wake() {
	close(p.heard)
	p.heard = make(chan struct{})
}

func (p *Proxy) count(n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.busy += n
	p.wake()
}

// Quiet waits until no connection is open and no call goes on, or ctx ends: what
// processes that have ended had under way is counted by then.
func (p *Proxy) Quiet(ctx context.Context) error {
	for {
		p.mu.Lock()
		quiet, heard := len(p.conns) == 0 && p.busy == 0, p.heard
		p.mu.Unlock()
		if quiet {
			return nil
		}
		select {
		case <-heard:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// Calls returns all calls that have come, in order.
func (p *Proxy) Calls() []Call {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.calls)
}

// Until waits until a call has come that fits, or ctx ends.
func (p *Proxy) Until(ctx context.Context, fits func(Call) bool) (Call, error) {
	for seen := 0; ; {
		p.mu.Lock()
		calls, heard := p.calls, p.heard
		p.mu.Unlock()
		for ; seen < len(calls); seen++ {
			if fits(calls[seen]) {
				return calls[seen], nil
			}
		}
		select {
		case <-heard:
		case <-ctx.Done():
			return Call{}, ctx.Err()
		}
	}
}

// Again makes a call once more, of the relay at base, and returns its status.
// Of an answer that goes on only the beginning is waited for.
func (p *Proxy) Again(ctx context.Context, base string, c Call) (status int, err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	res, err := p.send(ctx, base, c)
	if err != nil {
		return 0, err
	}
	res.Body.Close()
	return res.StatusCode, nil
}

// maxWire bounds what is kept of the wire: floods aren't worth keeping.
const maxWire = 64 << 20

// Wire returns the bytes that have gone between devices and liar, both ways, as
// they were on the wire: the first 64 MiB of them.
func (p *Proxy) Wire() []byte {
	p.mu.Lock()
	defer p.mu.Unlock()
	return bytes.Clone(p.wire.Bytes())
}

func (p *Proxy) keep(b []byte) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.wire.Write(b[:min(len(b), maxWire-p.wire.Len())])
}

// A listener taps the connections it accepts.
type listener struct {
	net.Listener
	p *Proxy
}

func (l *listener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	t := &tapped{c, l.p}
	l.p.mu.Lock()
	defer l.p.mu.Unlock()
	l.p.conns[t] = true
	return t, nil
}

// A tapped connection keeps what goes over it, and is in the proxy's list while it is open.
type tapped struct {
	net.Conn
	p *Proxy
}

func (t *tapped) Read(b []byte) (int, error) {
	n, err := t.Conn.Read(b)
	t.p.keep(b[:n])
	return n, err
}

func (t *tapped) Write(b []byte) (int, error) {
	n, err := t.Conn.Write(b)
	t.p.keep(b[:n])
	return n, err
}

func (t *tapped) Close() error {
	t.p.mu.Lock()
	delete(t.p.conns, t)
	t.p.wake()
	t.p.mu.Unlock()
	return t.Conn.Close()
}
