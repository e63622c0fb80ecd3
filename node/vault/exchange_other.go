//go:build !linux

package vault

import "os"

func exchange(draft, path string) error { return os.Rename(draft, path) }

func syncData(f *os.File) error { return f.Sync() }
