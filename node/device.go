package node

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/sparekey/sparekey/discovery"
	"github.com/sparekey/sparekey/node/credential"
	"github.com/sparekey/sparekey/node/link"
	"github.com/sparekey/sparekey/node/share"
	"github.com/sparekey/sparekey/noise"
	"github.com/sparekey/sparekey/noise/frame"
)

// A Vault keeps records. Save returns when the record would survive a power
// cut; it replaces the one before as a whole.
type Vault interface {
	Save(id string, record []byte) error
	Load(id string) ([]byte, error)
}

// Formats finds a format by its name.
type Formats interface {
	Lookup(name string) (credential.Format, error)
}

// A Device makes and takes in shares. Its fields are not changed once it is in use.
type Device struct {
	Vault   Vault
	Formats Formats
	Finders []discovery.Finder
	Now     func() share.Time
	Rand    io.Reader // must not fail; crypto/rand.Reader in a device

	// Authorize is asked before anything is made or sent for a new share: the
	// sender's intent (a prompt, a biometric check). nil refuses every share.
	Authorize func(context.Context, share.Preview) error

	// Encapsulate replaces the standard library's where runs must repeat.
	Encapsulate noise.Encapsulate
}

// ErrNotAuthorized is returned by Offer where nobody has agreed to share.
var ErrNotAuthorized = errors.New("the share was not authorized")

// An Offer says what is to be shared.
type Offer struct {
	Preview share.Preview // Life 0: 24 h. Grace is set by Offer
	Opening []byte        // the format's first state: the credential
	Relay   string        // base URL of the mailbox; empty: none
	App     bool          // a link that only sparekey opens
	Ways    []string      // kept in the record, for whoever picks the Finders
}

// DefaultLife is how long an offer can be claimed unless said otherwise.
const DefaultLife = 24 * time.Hour

// Offer makes a share and saves it under id. Nothing is sent yet, and the link
// is good at once: see Record.Link and Start.
func (d *Device) Offer(ctx context.Context, id string, o Offer) (Record, error) {
	p := o.Preview
	if p.Life == 0 {
		p.Life = uint32(DefaultLife / time.Second)
	}
	p.Grace = uint32(share.Grace / time.Second)
	preview, err := p.Encode()
	if err != nil {
		return Record{}, err
	}
	if p, err = share.DecodePreview(preview); err != nil {
		return Record{}, err
	}
	if err := d.authorize(ctx, p); err != nil {
		return Record{}, err
	}
	r := Record{Version: recordVersion, Role: discovery.Sender, Created: time.Now(), Relay: o.Relay, App: o.App, Ways: o.Ways, Preview: p}
	var seed [32]byte
	if err := draw(d.Rand, r.Secret[:], seed[:]); err != nil {
		return Record{}, err
	}
	keys := noise.NewKeys(seed)
	r.Preimage, _ = keys.Commit(preview)
	r.ID, r.Token = frame.ID(r.Preimage), keys.Capability()
	m, err := share.NewSender(d.Now(), secrets(r), seed, preview, o.Opening)
	if err != nil {
		return Record{}, err
	}
	r.Machine = m.Marshal()
	return r, save(d.Vault, id, r)
}

func (d *Device) authorize(ctx context.Context, p share.Preview) error {
	if d.Authorize == nil {
		return fmt.Errorf("%w: nothing asks the person on this device", ErrNotAuthorized)
	}
	if err := d.Authorize(ctx, p); err != nil {
		return fmt.Errorf("%w: %w", ErrNotAuthorized, err)
	}
	return nil
}

// Open returns the record of a share that this device may receive. Nothing is
// saved until the person accepts.
func (d *Device) Open(l link.Link) (Record, error) {
	r := Record{Version: recordVersion, Role: discovery.Receiver, Created: time.Now(), Relay: l.Relay, App: l.App, ID: l.ID, Secret: l.Secret}
	if err := draw(d.Rand, r.Token[:]); err != nil {
		return Record{}, err
	}
	r.Machine = share.NewReceiver(secrets(r)).Marshal()
	return r, nil
}

// Load returns the record saved under id.
func (d *Device) Load(id string) (Record, error) {
	b, err := d.Vault.Load(id)
	if err != nil {
		return Record{}, err
	}
	return DecodeRecord(b)
}

func save(v Vault, id string, r Record) error {
	b, err := r.Encode()
	if err != nil {
		return err
	}
	return v.Save(id, b)
}

func draw(rnd io.Reader, into ...[]byte) error {
	for _, b := range into {
		if _, err := io.ReadFull(rnd, b); err != nil {
			return fmt.Errorf("no randomness: %w", err)
		}
	}
	return nil
}

func secrets(r Record) noise.Secrets {
	k := r.Link().Keys()
	return noise.Secrets{ID: r.ID, PSK: k.PSK, OfferKey: k.Offer}
}

// Claim is the hash of a receiver's device claim, which rides in its claim.
func (r Record) Claim() [32]byte { return sha256.Sum256(r.Token[:]) }
