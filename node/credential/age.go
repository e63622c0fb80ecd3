package credential

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"

	"filippo.io/age"
)

// AgeIdentity is the format of identities of the age file encryption: who has
// one can decrypt what was encrypted to its recipient. One message. It can't be
// revoked; files have to be encrypted anew to other recipients.
//
// The content is {"name": text, "identities": text}, the latter an identity file
// as age-keygen writes it, checked on both sides.
type AgeIdentity struct{}

type ageContent struct {
	Name       string `json:"name"`
	Identities string `json:"identities"`
}

// OfferAge returns the first state of a sender that shares an identity file.
func OfferAge(name string, data []byte) ([]byte, error) {
	if err := checkAge(data); err != nil {
		return nil, err
	}
	return EncodeInfo(AgeIdentity{}.Name(), ageContent{cleanName(name), string(data)})
}

func checkAge(data []byte) error {
	ids, err := age.ParseIdentities(bytes.NewReader(data))
	if err != nil || len(ids) == 0 {
		// the parser's own error may show the line, and so the secret
		return fmt.Errorf("%w: it holds no age identity (a line AGE-SECRET-KEY-…)", ErrFinal)
	}
	return nil
}

// IsAge reports whether a file is one of age identities.
func IsAge(data []byte) bool {
	return bytes.Contains(data, []byte("AGE-SECRET-KEY-")) && checkAge(data) == nil
}

// Name implements Format.
func (AgeIdentity) Name() string { return "age-identity" }

// Describe implements Describer.
func (AgeIdentity) Describe() Description {
	return Description{
		Name: "age-identity", Title: "age identity", Unattended: false,
		Provision:    "writes the identity file, mode 0600; never over another unless --force is given",
		AlreadyThere: "a file of that name has just these bytes",
	}
}

// Computed implements Computed.
func (AgeIdentity) Computed() {}

// Send implements Format.
func (AgeIdentity) Send(_ context.Context, t Turn) (Answer, error) { return sendOnce(t) }

// Receive implements Format.
func (f AgeIdentity) Receive(_ context.Context, t Turn) (Answer, error) {
	var c fields
	if err := DecodeInfo(t.In, f.Name(), &c); err != nil {
		return Answer{}, err
	}
	name, noName := c.text("name")
	identities, noIdentities := c.text("identities")
	if err := cmp.Or(noName, noIdentities); err != nil {
		return Answer{}, err
	}
	if err := checkAge([]byte(identities)); err != nil {
		return Answer{}, err
	}
	return receiveFile(t, cleanName(name), 0o600, []byte(identities))
}

// Provision implements Format.
func (AgeIdentity) Provision(_ context.Context, key string, state []byte) error {
	return provisionFile(key, state)
}

// Provisioned implements Format.
func (AgeIdentity) Provisioned(_ context.Context, key string, state []byte) (bool, error) {
	return fileProvisioned(key, state)
}

// Recipients returns the public keys of an identity file: what to encrypt to.
func Recipients(data []byte) (all []string, err error) {
	ids, err := age.ParseIdentities(bytes.NewReader(data))
	if err != nil {
		return nil, errors.New("no age identities")
	}
	for _, id := range ids {
		switch id := id.(type) {
		case *age.X25519Identity:
			all = append(all, id.Recipient().String())
		case interface{ Recipient() *age.HybridRecipient }:
			all = append(all, strings.TrimSpace(id.Recipient().String()))
		}
	}
	return all, nil
}
