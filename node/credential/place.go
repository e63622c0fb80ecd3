package credential

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"unicode"

	"golang.org/x/text/unicode/norm"

	"github.com/sparekey/sparekey/fault"
)

// Options are where a receiver wants a credential that becomes a file. They are
// a receiver's first state, in JSON.
type Options struct {
	Dir   string `json:"dir,omitempty"`   // the folder; the name comes from the sender, cleaned
	Path  string `json:"path,omitempty"`  // the file itself; goes before Dir
	Force bool   `json:"force,omitempty"` // write over what is there
}

// Encode returns the options as a receiver's first state.
func (o Options) Encode() []byte { b, _ := json.Marshal(o); return b } // strings and a bool: it can't fail

// Retarget returns the state of a placement with other options. Without Dir and Path
// the file stays where it was to go.
func Retarget(state []byte, o Options) ([]byte, error) {
	p, err := decodePlacement(state)
	if err != nil {
		return nil, err
	}
	if o.Dir == "" && o.Path == "" {
		o.Dir, o.Path = p.Dir, p.Path
	}
	p.Options = o
	return p.encode(), nil
}

// Target returns the path that a placement's state leads to.
func Target(state []byte) (string, error) {
	p, err := decodePlacement(state)
	if err != nil {
		return "", err
	}
	return p.target(), nil
}

// An ExistsError says that a credential was not placed because something is
// there. The share is kept.
type ExistsError struct {
	Path string
	Odd  bool // it is a folder, a link or a device: it isn't written over at all
}

func (e *ExistsError) Error() string {
	if e.Odd {
		return e.Path + " is there and is no plain file, so nothing is written over it"
	}
	return e.Path + " exists, and is not written over unasked"
}

// A placement is a file that is to be put in its place.
//
// It is written under a temporary name made of the key, synced, and then linked
// to its name, which fails if that exists. So it is there whole or not at all.
// Whether it has been done is told by the bytes: a file of that name with just
// these bytes is the credential in its place, whoever put it there.
type placement struct {
	Options
	Name string      `json:"name"` // cleaned
	Mode fs.FileMode `json:"mode"`
	Data []byte      `json:"data"`
}

func (p placement) encode() []byte { b, _ := json.Marshal(p); return b } // strings, bytes and numbers: it can't fail

func decodePlacement(state []byte) (placement, error) {
	var p placement
	if err := json.Unmarshal(state, &p); err != nil {
		return placement{}, fmt.Errorf("%w: the state of a placement can't be read", ErrFinal)
	}
	return p, nil
}

func (p placement) target() string {
	if p.Path != "" {
		return filepath.Clean(p.Path)
	}
	return filepath.Join(p.Dir, p.Name)
}

// temp is the name under which the file of a key is written first.
func (p placement) temp(key string) string {
	sum := sha256.Sum256([]byte(key))
	return filepath.Join(filepath.Dir(p.target()), fmt.Sprintf(".sparekey-%x", sum[:8]))
}

// there reports whether the file is in its place, to stay there: what a killed
// process has linked, or somebody else has put there, may not be on the disk yet.
//
// The temporary file that a killed process has left goes first: it holds the
// credential, and another place or a decline may be what comes next.
func (p placement) there(key string) (bool, error) {
	os.Remove(p.temp(key))
	info, err := os.Lstat(p.target())
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR) || errors.Is(err, syscall.ENAMETOOLONG) {
		return false, nil
	}
	if err != nil || !info.Mode().IsRegular() || info.Size() != int64(len(p.Data)) {
		return false, err
	}
	f, err := os.Open(p.target())
	if err != nil {
		return false, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, info.Size()+1))
	if err != nil || !bytes.Equal(b, p.Data) {
		return false, err
	}
	if err := errors.Join(f.Sync(), syncFolder(filepath.Dir(p.target()))); err != nil {
		return false, err
	}
	return true, nil
}

// syncFolder makes the names in a folder durable, if it is one that may be read:
// else there is no way to. Tests watch it.
var syncFolder = func(dir string) error {
	d, err := os.Open(dir)
	if errors.Is(err, fs.ErrPermission) {
		return nil
	}
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// place puts the file in its place.
func (p placement) place(key string) (err error) {
	target := p.target()
	if info, err := os.Lstat(target); err == nil && (!p.Force || !info.Mode().IsRegular()) {
		return &ExistsError{target, !info.Mode().IsRegular()}
	}
	temp := p.temp(key)
	os.Remove(temp) // what a crash left
	f, err := os.OpenFile(temp, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return p.unwritten(err)
	}
	defer os.Remove(temp)
	fault.Point("credential.place", "created")
	_, err = f.Write(p.Data)
	fault.Point("credential.place", "written")
	if err = errors.Join(err, f.Chmod(p.Mode.Perm()&0o700|0o400), f.Sync(), f.Close()); err != nil {
		return p.unwritten(err)
	}
	move := os.Link // fails if something is there by now
	if p.Force {
		move = os.Rename
	}
	fault.Point("credential.place", "synced")
	if err := move(temp, target); err != nil {
		if errors.Is(err, fs.ErrExist) {
			return &ExistsError{Path: target}
		}
		return p.unwritten(err)
	}
	fault.Point("credential.place", "linked")
	err = syncFolder(filepath.Dir(target))
	fault.Point("credential.place", "end")
	return err
}

// unwritten names the file that was to be, and not the one that it is written as first.
func (p placement) unwritten(err error) error {
	var path *fs.PathError
	var link *os.LinkError
	switch {
	case errors.As(err, &path):
		err = &fs.PathError{Op: path.Op, Path: p.target(), Err: path.Err}
	case errors.As(err, &link):
		err = &fs.PathError{Op: link.Op, Path: p.target(), Err: link.Err}
	}
	return fmt.Errorf("the credential can't be written: %w", err)
}

// cleanName makes a file name of a sender's: no path, nothing hidden, nothing
// that a terminal or another system would take for something else.
func cleanName(s string) string {
	s = norm.NFC.String(s)
	s = s[strings.LastIndexAny(s, `/\`)+1:]
	s = strings.Map(func(r rune) rune {
		switch {
		case !unicode.IsPrint(r), r == unicode.ReplacementChar, strings.ContainsRune(`<>:"|?*`, r):
			return '_'
		}
		return r
	}, s)
	s = strings.TrimRight(strings.TrimLeft(s, ".- "), ". ")
	for len(s) > 200 {
		s = s[:len(s)-1]
	}
	s = strings.ToValidUTF8(s, "")
	base, _, _ := strings.Cut(strings.ToUpper(s), ".")
	if s == "" || reserved[base] {
		return "credential" + map[bool]string{true: "-" + s}[s != ""]
	}
	return s
}

// reserved are names that Windows keeps for devices.
var reserved = func() map[string]bool {
	m := map[string]bool{"CON": true, "PRN": true, "AUX": true, "NUL": true}
	for _, n := range "123456789" {
		m["COM"+string(n)], m["LPT"+string(n)] = true, true
	}
	return m
}()
