package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sparekey/sparekey/noise/frame"
	"github.com/sparekey/sparekey/relay/wire"
)

// marked is a share whose every part at the relay is a mark to look for.
type marked struct {
	t          *testing.T
	url, name  string
	client     *http.Client
	ttl        time.Duration
	id         frame.ShareID
	preimage   [32]byte
	h, over    [32]byte
	link, send [32]byte
	lanes      []markedLane
}

type markedLane struct {
	name  frame.Candidate
	claim [32]byte
}

// newMarked makes up a share; all of it follows from its name.
func newMarked(t *testing.T, p *process, name string, ttl time.Duration) *marked {
	word := func(s string) [32]byte { return sha256.Sum256([]byte(name + s)) }
	m := &marked{t: t, url: p.url, name: name, ttl: ttl, client: newClient(), h: word("h"), over: word("over"), link: word("link"), send: word("sender")}
	m.preimage = frame.Preimage(m.h, sha256.Sum256(m.over[:]))
	m.id = frame.ID(m.preimage)
	for _, lane := range []string{"kept", "closed", "withdrawn"} {
		w := word(lane)
		m.lanes = append(m.lanes, markedLane{frame.Candidate(w[:8]), sha256.Sum256(w[:])})
	}
	t.Cleanup(m.client.CloseIdleConnections)
	return m
}

// newClient speaks HTTP/2 with prior knowledge, as devices do on loopback.
func newClient() *http.Client {
	var p http.Protocols
	p.SetUnencryptedHTTP2(true)
	return &http.Client{Transport: &http.Transport{Protocols: &p, DisableCompression: true}}
}

// frame makes a frame that says what it is, over and over.
func (m *marked) frame(k frame.Kind, c frame.Candidate, seq uint64, what string) frame.Frame {
	return frame.New(k, c, seq, bytes.Repeat([]byte(m.name+what), 20))
}

func hash(b [32]byte) []byte {
	h := sha256.Sum256(b[:])
	return h[:]
}

// do sends a request and returns the answer's status; of a stream it hears the
// header and hangs up.
func (m *marked) do(method string, path wire.Path, bearer, device *[32]byte, body []byte) int {
	m.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, m.url+path.String(), bytes.NewReader(body))
	if err != nil {
		m.t.Fatal(err)
	}
	if bearer != nil {
		req.Header.Set("Authorization", wire.Bearer(*bearer))
	}
	if device != nil {
		req.Header.Set(wire.HeaderClaim, wire.Text(device[:]))
	}
	res, err := m.client.Do(req)
	if err != nil {
		m.t.Fatalf("%s %s: %v", method, path, err)
	}
	defer res.Body.Close()
	if res.Header.Get("Content-Type") != wire.TypeFrames {
		io.Copy(io.Discard, res.Body)
	}
	return res.StatusCode
}

func (m *marked) at(p wire.Place) wire.Path { return wire.Path{Place: p, ID: m.id} }

func (m *marked) lane(i int) wire.Path {
	return wire.Path{Place: wire.Lane, ID: m.id, Lane: m.lanes[i].name}
}

// fill makes the mailbox and puts something into every field of it. It reports
// false if the mailbox's time was up before that was done, or the relay is full.
func (m *marked) fill() bool {
	m.t.Helper()
	create := wire.Create{
		Preimage: m.preimage, Offer: m.frame(frame.Offer, frame.Candidate{}, 0, "-offer"), View: [32]byte(hash(m.link)), Sender: [32]byte(hash(m.send)),
		Lanes: 4, TTL: m.ttl, Public: []byte(`{"title":"` + m.name + `-public"}`),
	}.Body()
	l := m.lanes
	steps := []struct {
		what           string
		method         string
		path           wire.Path
		bearer, device *[32]byte
		body           []byte
		want           int
	}{
		{"create", "PUT", m.at(wire.Mailbox), nil, nil, create, 201},
		{"a claim", "PUT", m.lane(0), &m.link, &l[0].claim, m.hello(0), 200},
		{"a second claim", "PUT", m.lane(1), &m.link, &l[1].claim, m.hello(1), 200},
		{"a third claim", "PUT", m.lane(2), &m.link, &l[2].claim, m.hello(2), 200},
		{"append", "PUT", wire.Path{Place: wire.Entry, ID: m.id, Lane: l[0].name, Side: wire.Sender}, &m.send, nil, frame.Append(nil, m.frame(frame.Data, l[0].name, 0, "-sender")), 204},
		{"close", "DELETE", m.lane(1), &m.send, nil, frame.Append(nil, m.frame(frame.Taken, l[1].name, 0, "-closing")), 204},
		{"withdraw", "DELETE", m.lane(2), &l[2].claim, nil, nil, 204},
		{"confirm", "PUT", m.at(wire.Confirm), &m.send, nil, wire.Binding{Lane: l[0].name, Claim: [32]byte(hash(l[0].claim))}.Body(), 204},
		{"claims", "GET", m.at(wire.Claims), &m.send, nil, nil, 200},
		{"a view", "GET", m.at(wire.Mailbox), &m.link, nil, nil, 200},
	}
	for _, s := range steps {
		switch got := m.do(s.method, s.path, s.bearer, s.device, s.body); got {
		case s.want:
		case http.StatusNotFound, http.StatusInsufficientStorage:
			return false
		default:
			m.t.Fatalf("%s of %s: status %d, want %d", s.what, m.name, got, s.want)
		}
	}
	return true
}

func (m *marked) hello(i int) []byte {
	c := m.lanes[i].name
	return frame.Append(nil, m.frame(frame.Handshake, c, 0, "-handshake"), m.frame(frame.Data, c, 1, "-receiver"))
}

// delete ends the mailbox, and reports the status.
func (m *marked) delete() int {
	return m.do("DELETE", m.at(wire.Mailbox), nil, nil, wire.Proof{H: m.h, Over: m.over}.Body())
}

// view looks at the mailbox as whoever has the link.
func (m *marked) view() int { return m.do("GET", m.at(wire.Mailbox), &m.link, nil, nil) }

// content is all that was put into the mailbox. The pair (h, over) stands in the
// tombstone until the time is up, and is asked for apart.
func (m *marked) content() map[string][]byte {
	l := m.lanes
	return map[string][]byte{
		"id": m.id[:], "preimage": m.preimage[:], "link capability": m.link[:], "sender's capability": m.send[:],
		"hash of the link capability": hash(m.link), "hash of the sender's": hash(m.send),
		"device claim": l[0].claim[:], "hash of it": hash(l[0].claim), "claim of the closed lane": l[1].claim[:], "hash of that": hash(l[1].claim),
		"lane": l[0].name[:], "closed lane": l[1].name[:], "withdrawn lane": l[2].name[:],
		"public": []byte(m.name + "-public"), "offer": []byte(m.name + "-offer"), "handshake": []byte(m.name + "-handshake"),
		"receiver's frame": []byte(m.name + "-receiver"), "sender's frame": []byte(m.name + "-sender"), "closing": []byte(m.name + "-closing"),
	}
}

// proof is what a tombstone keeps.
func (m *marked) proof() map[string][]byte { return map[string][]byte{"h": m.h[:], "over": m.over[:]} }

// found returns which marks are in b, in any spelling that they have in requests.
func found(b []byte, marks map[string][]byte) (names []string) {
	for what, mark := range marks {
		for how, spelled := range map[string][]byte{"": mark, " in base64url": []byte(wire.Text(mark)), " in hex": []byte(hex.EncodeToString(mark))} {
			if bytes.Contains(b, spelled) {
				names = append(names, what+how)
			}
		}
	}
	slices.Sort(names)
	return names
}

// inFiles tells in which files below a folder marks are: "" where in none.
func inFiles(t *testing.T, dir string, marks map[string][]byte) string {
	t.Helper()
	var hits []string
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) || err == nil && d.IsDir() {
			return nil // the relay removes files as it goes
		}
		b, err := os.ReadFile(path)
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if f := found(b, marks); f != nil {
			hits = append(hits, filepath.Base(path)+": "+strings.Join(f, ", "))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return strings.Join(hits, "; ")
}
