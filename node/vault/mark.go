package vault

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
)

// checkMark compares the instance mark, or makes one for a vault that is new. It
// is also what shows that the key is the right one.
func (v *Vault) checkMark() error {
	path := filepath.Join(v.home, "mark")
	b, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return v.Adopt()
	}
	if err != nil {
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

// Copied reports whether this vault is a copy of the one that was saved here, or
// a restored backup: its live shares may have gone on elsewhere.
func (v *Vault) Copied() bool { return v.copied }

// Adopt marks the vault as this instance's own. Call it once no live share is
// left in it.
func (v *Vault) Adopt() error {
	is, err := instance(v.home)
	if err != nil {
		return err
	}
	b, err := v.seal("mark", []byte(is))
	if err != nil {
		return err
	}
	v.copied = false
	return v.replace(filepath.Join(v.home, "mark"), b)
}
