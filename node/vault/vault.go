// Package vault keeps records in sealed files, one a share, in a folder that one
// device has for itself. It knows nothing of what is in a record.
//
//	HOME/key             32 bytes in base64, mode 0600, unless the key is elsewhere
//	HOME/mark            sealed: the instance mark, below
//	HOME/lock            held by the process that opens the vault, for that moment (flock)
//	HOME/shares/ID       sealed: one record
//	HOME/shares/ID.lock  held by the process that drives the share (flock)
//	HOME/run/ID.sock     where that process listens
//
// # A sealed file
//
//	0                8          32                              n
//	+----------------+----------+-------------------------------+
//	| "sparekv" 0x01 | nonce    | XChaCha20-Poly1305            |
//	+----------------+----------+-------------------------------+
//	   magic, version   24         ad: magic, version, file name
//
// The key is HKDF-SHA256 of the vault's key, info "sparekey vault v1". So a file
// can't be read, changed or passed off as another one. A record is replaced as a
// whole: a draft is written and synced, changes places with the record, the folder
// is synced, the draft written over with zeros. A crash leaves the old one or the
// new one, and perhaps something in the draft, which goes when the vault is opened
// next; a share that nobody holds has no draft.
//
// # The instance mark
//
// A vault that is copied or restored from a backup knows less than it seems to:
// its shares may have gone on elsewhere. The mark holds the machine's id and the
// folder's inode and birth time; if they differ, Copied says so, and the caller
// must take live shares for unresolved. So must it where the mark is gone and
// there are shares. What keeps all three (a snapshot of a whole virtual machine,
// older files put back into the very same folder) is not noticed by the mark.
//
// # Making a vault
//
// The folders are made and synced, then the key, then the mark. As long as there
// is no share, what a crash has left of key and mark is made anew. A key that is
// gone while there are shares is never replaced: nothing would open them any more.
// A key that is kept elsewhere is never made, and is read before anything else is.
package vault

import (
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha256"
	"crypto/sha3"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/crypto/chacha20poly1305"

	"github.com/sparekey/sparekey/fault"
)

// What can be wrong with a vault.
var (
	ErrLocked    = errors.New("the vault is locked: its key doesn't open it")
	ErrNotFound  = errors.New("no such share")
	ErrHeld      = errors.New("another sparekey process holds this share")
	ErrAmbiguous = errors.New("more than one share begins like this")
)

// A DamagedError says which file can't be used, and why. It is left as it was.
type DamagedError struct{ File, Reason string }

func (e *DamagedError) Error() string {
	return fmt.Sprintf("%s is damaged: %s", e.File, e.Reason)
}

// A KeyFileError says why the key file that Options name can't be used. Nothing was made
// or changed. Where there is a vault, it is ErrLocked.
type KeyFileError struct {
	File, Reason string
	New          bool // there is no vault yet
	cause        error
}

func (e *KeyFileError) Error() string {
	if e.New {
		return fmt.Sprintf("the vault's key file %s %s", e.File, e.Reason)
	}
	return fmt.Sprintf("the vault is locked: its key file %s %s", e.File, e.Reason)
}

// Is implements errors.Is.
func (e *KeyFileError) Is(target error) bool { return target == ErrLocked && !e.New }

// Unwrap returns why the file can't be read, if it is that.
func (e *KeyFileError) Unwrap() error { return e.cause }

// Options say how a vault is opened.
type Options struct {
	KeyFile string    // where the key is, which is never made there; empty: HOME/key, which is made if there is no vault yet
	Rand    io.Reader // must not fail; crypto/rand.Reader in a device
}

// A Vault is an open vault.
type Vault struct {
	home   string
	aead   cipher.AEAD
	rnd    io.Reader
	copied bool
}

// Open opens the vault in a folder, or makes one. Of several processes that open
// it at once, one makes it and the others find it made.
func Open(home string, o Options) (*Vault, error) {
	v := &Vault{home: home, rnd: o.Rand}
	key, err := v.keyElsewhere(o.KeyFile)
	if err != nil {
		return nil, err
	}
	if err := v.makeFolders(); err != nil {
		return nil, fmt.Errorf("the vault's folder can't be made: %w", err)
	}
	gate, err := v.gate()
	if err != nil {
		return nil, err
	}
	defer gate.Close()
	if err := v.removeDrafts(); err != nil {
		return nil, fmt.Errorf("what a crash has left in the vault can't be removed: %w", err)
	}
	ids, err := v.IDs()
	if err != nil {
		return nil, err
	}
	if key == nil {
		if key, err = v.key(ids); err != nil {
			return nil, err
		}
	}
	derived, err := hkdf.Key(sha256.New, key, nil, "sparekey vault v1", chacha20poly1305.KeySize)
	if err != nil {
		return nil, err
	}
	if v.aead, err = chacha20poly1305.NewX(derived); err != nil {
		return nil, err
	}
	return v, v.checkMark(ids)
}

// keyElsewhere reads the key from the file that is named for it; nil if none is.
func (v *Vault) keyElsewhere(file string) ([]byte, error) {
	if file == "" {
		return nil, nil
	}
	b, err := os.ReadFile(file)
	key := parseKey(b)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, &KeyFileError{file, "is not there", v.isNew(), err}
	case err != nil:
		return nil, &KeyFileError{file, "can't be read (" + reason(err) + ")", v.isNew(), err}
	case key == nil:
		return nil, &KeyFileError{file, "holds no key (32 bytes in base64)", v.isNew(), nil}
	}
	return key, nil
}

// isNew reports whether there is nothing yet that a key could open.
func (v *Vault) isNew() bool {
	_, err := os.Lstat(v.mark())
	ids, _ := v.IDs()
	return errors.Is(err, fs.ErrNotExist) && len(ids) == 0
}

// reason is why a file can't be read, without its name.
func reason(err error) string {
	var path *fs.PathError
	if errors.As(err, &path) {
		err = path.Err
	}
	return err.Error()
}

// key reads the key in the vault's folder, or makes one for a vault without shares.
func (v *Vault) key(ids []string) ([]byte, error) {
	path := filepath.Join(v.home, "key")
	b, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		if len(ids) > 0 {
			return nil, fmt.Errorf("%w: %s is gone, and there are shares that only it opens", ErrLocked, path)
		}
		return v.makeKey(path)
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrLocked, err)
	}
	key := parseKey(b)
	if key == nil {
		return nil, fmt.Errorf("%w: %s holds no key (32 bytes in base64)", ErrLocked, path)
	}
	return key, nil
}

// parseKey reads a key file's text; nil: it is none.
func parseKey(text []byte) []byte {
	key, err := base64.StdEncoding.Strict().DecodeString(strings.TrimSpace(string(text)))
	if err != nil || len(key) != 32 {
		return nil
	}
	return key
}

// makeKey makes the key. A mark that is there already was sealed with a key that
// is lost; it goes first, or a crash in between would leave a mark that the new
// key doesn't open.
func (v *Vault) makeKey(path string) ([]byte, error) {
	if err := os.Remove(v.mark()); err == nil {
		err = syncFolder(v.home)
		if err != nil {
			return nil, err
		}
	} else if !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	key := make([]byte, 32)
	if _, err := io.ReadFull(v.rnd, key); err != nil {
		return nil, err
	}
	return key, replace("vault.key", path, []byte(base64.StdEncoding.EncodeToString(key)+"\n"))
}

const magic = "sparekv\x01"

func (v *Vault) seal(name string, plain []byte) ([]byte, error) {
	b := make([]byte, len(magic)+v.aead.NonceSize(), len(magic)+v.aead.NonceSize()+len(plain)+v.aead.Overhead())
	copy(b, magic)
	nonce := b[len(magic):]
	if _, err := io.ReadFull(v.rnd, nonce); err != nil {
		return nil, err
	}
	return v.aead.Seal(b, nonce, plain, []byte(magic+name)), nil
}

func (v *Vault) open(name string, b []byte) ([]byte, error) {
	head := len(magic) + v.aead.NonceSize()
	switch {
	case len(b) < head+v.aead.Overhead():
		return nil, &DamagedError{name, "it is cut off"}
	case string(b[:len(magic)-1]) != magic[:len(magic)-1]:
		return nil, &DamagedError{name, "it is no file of a vault"}
	case b[len(magic)-1] != magic[len(magic)-1]:
		return nil, &DamagedError{name, fmt.Sprintf("it is of version %d, this program knows version 1", b[len(magic)-1])}
	}
	plain, err := v.aead.Open(nil, b[len(magic):head], b[head:], []byte(magic+name))
	if err != nil {
		return nil, &DamagedError{name, "it was changed, or sealed with another key"}
	}
	return plain, nil
}

func (v *Vault) share(id string) string { return filepath.Join(v.home, "shares", id) }

// Save replaces the record of a share. When it returns nil the record is on disk.
// Only who holds the share's lock may call it.
func (v *Vault) Save(id string, record []byte) error {
	b, err := v.seal("shares/"+id, record)
	if err != nil {
		return err
	}
	if err := replace("vault.save", v.share(id), b); err != nil {
		return fmt.Errorf("the share can't be saved: %w", err)
	}
	return nil
}

// Load returns the record of a share.
func (v *Vault) Load(id string) ([]byte, error) {
	b, err := os.ReadFile(v.share(id))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%w: %s", ErrNotFound, id)
	}
	if err != nil {
		return nil, err
	}
	return v.open("shares/"+id, b)
}

// Remove forgets a share. Only who holds its lock may call it.
func (v *Vault) Remove(id string) error {
	fault.Point("vault.remove", "begin")
	err := os.Remove(v.share(id))
	fault.Point("vault.remove", "unlinked")
	if err == nil {
		err = syncFolder(filepath.Join(v.home, "shares"))
	}
	os.Remove(v.share(id) + ".lock") // may be all that there is, of a share that was never saved
	fault.Point("vault.remove", "end")
	return err
}

// IDs returns all shares that there are, damaged ones too.
func (v *Vault) IDs() ([]string, error) {
	entries, err := os.ReadDir(filepath.Join(v.home, "shares"))
	if err != nil {
		return nil, err
	}
	var ids []string
	for _, e := range entries {
		if isID(e.Name()) {
			ids = append(ids, e.Name())
		}
	}
	return ids, nil
}

// alphabet is what ids are written in: nothing that looks like something else.
const (
	alphabet = "abcdefghijkmnopqrstuvwxyz"
	idLength = 8
)

func isID(s string) bool { return len(s) == idLength && strings.Trim(s, alphabet) == "" }

// NewID returns an id that no share here has.
func (v *Vault) NewID() (string, error) { return v.unused(v.rnd) }

// IDOf returns an id that no share here has, and is the same in every process for the
// same secret: so the lock keeps two of them from taking up one share at once that
// neither has saved yet. It tells nothing of the secret.
func (v *Vault) IDOf(secret []byte) (string, error) {
	h := sha3.NewSHAKE256()
	h.Write([]byte("sparekey vault id v1"))
	h.Write(secret)
	return v.unused(h)
}

// unused draws ids until one is of no share here.
func (v *Vault) unused(rnd io.Reader) (string, error) {
	for {
		id := make([]byte, 0, idLength)
		for len(id) < idLength {
			var b [1]byte
			if _, err := io.ReadFull(rnd, b[:]); err != nil {
				return "", err
			}
			if n := int(b[0]); n < 256/len(alphabet)*len(alphabet) { // no letter likelier than another
				id = append(id, alphabet[n%len(alphabet)])
			}
		}
		if _, err := os.Lstat(v.share(string(id))); errors.Is(err, fs.ErrNotExist) {
			return string(id), nil
		}
	}
}

// Find returns the one share whose id begins with prefix.
func (v *Vault) Find(prefix string) (string, error) {
	ids, err := v.IDs()
	if err != nil {
		return "", err
	}
	ids = slices.DeleteFunc(ids, func(id string) bool { return !strings.HasPrefix(id, strings.ToLower(prefix)) })
	switch len(ids) {
	case 0:
		return "", fmt.Errorf("%w: %s", ErrNotFound, prefix)
	case 1:
		return ids[0], nil
	}
	return "", fmt.Errorf("%w: %s (%s)", ErrAmbiguous, prefix, strings.Join(ids, ", "))
}
