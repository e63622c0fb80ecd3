// Package link is a share's invitation: the link that a sender gives away, and
// what its secret derives. It is pure, and knows nothing of the rest.
//
// A link holds a relay, a share id (16 bytes) and a secret (16 bytes), both as
// 22 characters of unpadded base64url:
//
//	https://RELAY/s/ID#SECRET       the usual one; ?v=VERTICAL may stand before #
//	http://127.0.0.1:PORT/s/ID#…    a relay on this very machine, for trials
//	sparekey://RELAY/s/ID#SECRET    opened by sparekey alone, never by a browser
//	sparekey:///s/ID#SECRET         no relay: for two devices in one room
//
// RELAY is host[:port] in lower case. A sparekey link to this very machine leads
// to a relay of plain http, any other to https. Base64url is canonical: bits that
// carry nothing are zero. A path of s and a number, s2 say, and a scheme that
// starts with sparekey are kept for later versions.
//
// What stands behind # is never sent to the relay. Links are ASCII; beside the
// relay's host a link has at most 100 characters.
//
// From the secret six keys are derived by HKDF-SHA256 (RFC 5869): salt is the
// share id, info is "sparekey v1 " and one of psk, offer key, view, topic, path,
// unattended; 32 bytes each.
package link

import (
	"crypto/hkdf"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"log/slog"
)

const appScheme = "sparekey"

// A Link is a share's invitation. Who has it can claim the share: printing one
// with fmt or slog shows no secret, URL does.
type Link struct {
	Relay    string // base URL, "https://host[:port]", or plain http on loopback; empty: no relay
	ID       [16]byte
	Secret   [16]byte
	Vertical string // what ?v= said: a hint where to open it, trusted for nothing
	App      bool   // of the scheme that only sparekey opens
}

// URL returns the link itself, secret and all.
func (l Link) URL() string { return l.address() + "#" + text(l.Secret[:]) }

// String returns the link without its secret.
func (l Link) String() string { return l.address() + "#" + redacted }

// Format prints the link without its secret, whatever the verb.
func (l Link) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, l.String()) }

// MarshalText returns the link without its secret: it is not how links are kept.
func (l Link) MarshalText() ([]byte, error) { return []byte(l.String()), nil }

// LogValue returns the link without its secret and id.
func (l Link) LogValue() slog.Value { return slog.StringValue("[link redacted]") }

func (l Link) address() string {
	base := l.Relay
	if l.App || base == "" {
		base = appScheme + "://" + l.Host()
	}
	query := ""
	if l.Vertical != "" {
		query = "?v=" + l.Vertical
	}
	return base + "/s/" + text(l.ID[:]) + query
}

// Keys are what a link's secret derives.
type Keys struct {
	PSK        [32]byte // the handshake's
	Offer      [32]byte // seals offers
	View       [32]byte // the link capability: view and claim at the relay
	Topic      [32]byte // found under, on direct paths
	Path       [32]byte // proves direct paths
	Unattended [32]byte // seals what is left at a relay
}

// Format prints no key, whatever the verb.
func (Keys) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, redacted) }

// LogValue returns no key.
func (Keys) LogValue() slog.Value { return slog.StringValue(redacted) }

// MarshalText returns no key.
func (Keys) MarshalText() ([]byte, error) { return []byte(redacted), nil }

const redacted = "[redacted]"

// Keys derives the link's keys.
func (l Link) Keys() Keys {
	prk, err := hkdf.Extract(sha256.New, l.Secret[:], l.ID[:])
	if err != nil {
		panic(err) // only in FIPS mode, for keys that are too short; ours has a fixed length
	}
	derive := func(label string) [32]byte {
		b, err := hkdf.Expand(sha256.New, prk, "sparekey v1 "+label, 32)
		if err != nil {
			panic(err)
		}
		return [32]byte(b)
	}
	return Keys{
		PSK: derive("psk"), Offer: derive("offer key"), View: derive("view"),
		Topic: derive("topic"), Path: derive("path"), Unattended: derive("unattended"),
	}
}

func text(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

// untext reads canonical base64url of 16 bytes. Its error shows no character of it.
func untext(s string) ([16]byte, error) {
	b, err := base64.RawURLEncoding.Strict().DecodeString(s)
	switch {
	case len(s) != textLen:
		return [16]byte{}, fmt.Errorf("has %d characters instead of %d", len(s), textLen)
	case err != nil:
		return [16]byte{}, errors.New("has a character that can't be")
	}
	return [16]byte(b), nil
}

// textLen is how long 16 bytes are as text.
const textLen = 22
