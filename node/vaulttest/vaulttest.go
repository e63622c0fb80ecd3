// Package vaulttest has a vault in memory, for tests, as a wallet would give its own.
package vaulttest

import (
	"bytes"
	"errors"
	"sync"
)

// Memory is a vault whose records are gone with it. Its zero value is empty.
type Memory struct {
	mu      sync.Mutex
	records map[string][]byte
}

// Save keeps a record in place of the one before.
func (m *Memory) Save(id string, record []byte) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.records == nil {
		m.records = map[string][]byte{}
	}
	m.records[id] = bytes.Clone(record)
	return nil
}

// Load returns a record.
func (m *Memory) Load(id string) ([]byte, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if b, ok := m.records[id]; ok {
		return b, nil
	}
	return nil, errors.New("no such share")
}

// Len returns how many records there are.
func (m *Memory) Len() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.records)
}
