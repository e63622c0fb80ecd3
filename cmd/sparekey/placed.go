package main

import (
	"context"
	"errors"
	"sync"

	"github.com/sparekey/sparekey/node/credential"
)

// A placing knows formats, and remembers where one of them has put a credential,
// so that the person can be told.
type placing struct {
	*credential.Registry
	never bool // nothing is put in its place in this run: the person is declining it
	mu    sync.Mutex
	path  string
}

// errDeclining is why a credential isn't put in its place by the command that
// declines it, even if what stood in the way has gone.
var errDeclining = errors.New("it is being declined")

// Lookup implements node.Formats.
func (p *placing) Lookup(name string) (credential.Format, error) {
	f, err := p.Registry.Lookup(name)
	if err != nil {
		return nil, err
	}
	if _, ok := f.(credential.Computed); ok {
		return computingPlacer{placer{f, p}}, nil
	}
	return placer{f, p}, nil
}

func (p *placing) note(state []byte) {
	path, err := credential.Target(state)
	if err != nil {
		return // the format puts nothing into a file
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.path = path
}

// where returns the file that was written in this run; empty: none.
func (p *placing) where() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.path
}

type placer struct {
	credential.Format
	to *placing
}

// A computingPlacer stands for a format that only computes: package node asks for that.
type computingPlacer struct{ placer }

// Computed implements credential.Computed.
func (computingPlacer) Computed() {}

func (p placer) Provision(ctx context.Context, key string, state []byte) error {
	if p.to.never {
		return errDeclining
	}
	err := p.Format.Provision(ctx, key, state)
	if err == nil {
		p.to.note(state)
	}
	return err
}

func (p placer) Provisioned(ctx context.Context, key string, state []byte) (bool, error) {
	there, err := p.Format.Provisioned(ctx, key, state)
	if there && err == nil {
		p.to.note(state)
	}
	return there, err
}
