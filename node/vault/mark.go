package vault

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
)

func (v *Vault) mark() string { return filepath.Join(v.home, "mark") }

// checkMark compares the instance mark, or makes one for a vault that is new. It
// is also what shows that the key is the right one.
func (v *Vault) checkMark(ids []string) error {
	b, err := os.ReadFile(v.mark())
	switch {
	case errors.Is(err, fs.ErrNotExist) && len(ids) == 0:
		return v.writeMark()
	case errors.Is(err, fs.ErrNotExist):
		return v.markGone(ids)
	case err != nil:
		return err
	}
	was, err := v.open("mark", b)
	if err != nil {
		return errors.Join(ErrLocked, err)
	}
	is, err := instance(v.home)
	if err != nil {
		return err
	}
	v.copied = string(was) != is
	return nil
}

// markGone takes a vault whose shares have no mark beside them for a copy: they
// may have been put here by themselves. A key that opens none of them is the
// wrong one.
func (v *Vault) markGone(ids []string) error {
	opens := func(id string) bool { _, err := v.Load(id); return err == nil }
	if !slices.ContainsFunc(ids, opens) {
		return fmt.Errorf("%w: it opens none of the shares, and %s is gone", ErrLocked, v.mark())
	}
	v.copied = true
	return nil
}

// Copied reports whether this vault is a copy of the one that was saved here, or
// a restored backup: its live shares may have gone on elsewhere.
func (v *Vault) Copied() bool { return v.copied }

// Adopt marks the vault as this instance's own. Call it once no live share is
// left in it.
func (v *Vault) Adopt() error {
	gate, err := v.gate()
	if err != nil {
		return err
	}
	defer gate.Close()
	return v.writeMark()
}

// writeMark writes the mark; the caller has the gate.
func (v *Vault) writeMark() error {
	is, err := instance(v.home)
	if err != nil {
		return err
	}
	b, err := v.seal("mark", []byte(is))
	if err != nil {
		return err
	}
	if err := replace("vault.mark", v.mark(), b); err != nil {
		return err
	}
	v.copied = false
	return nil
}
