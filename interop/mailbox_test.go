package interop

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
)

// relay/PROTOCOL.md: the calls of both sides.

func b64(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

func unb64(s string) []byte { return must(base64.RawURLEncoding.Strict().DecodeString(s)) }

// A problem is an answer that isn't the one that was asked for.
type problem struct {
	Status  int    `json:"status"`
	Type    string `json:"type"`
	H       string `json:"h"`
	Over    string `json:"over"`
	Closing string `json:"closing"`
}

func (p *problem) Error() string { return fmt.Sprintf("%d %s", p.Status, p.Type) }

func (p *problem) is(kind string) bool { return p.Type == "urn:sparekey:problem:"+kind }

// A mailbox is a share's place at a relay, and what one side shows there.
type mailbox struct {
	client *http.Client
	base   string // https://relay/v1/mailboxes/ID
	bearer []byte
	claim  []byte // the device claim; nil for a sender
}

func newMailbox(client *http.Client, relay string, id [16]byte, bearer, claim []byte) mailbox {
	return mailbox{client, relay + "/v1/mailboxes/" + b64(id[:]), bearer, claim}
}

// call makes one request; the answer's body is the caller's to close.
func (m mailbox) call(ctx context.Context, method, path string, body []byte) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, method, m.base+path, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Authorization", "Bearer "+b64(m.bearer))
	if m.claim != nil {
		req.Header.Set("Mailbox-Device-Claim", b64(m.claim))
	}
	resp, err := m.client.Do(req)
	if err != nil || resp.StatusCode < 300 {
		return resp, err
	}
	defer resp.Body.Close()
	p := &problem{}
	if err := json.NewDecoder(io.LimitReader(resp.Body, 128<<10)).Decode(p); err != nil {
		return nil, fmt.Errorf("an answer of %d without a problem: %w", resp.StatusCode, err)
	}
	p.Status = resp.StatusCode
	return nil, p
}

// do makes a request whose answer is empty.
func (m mailbox) do(ctx context.Context, method, path string, body []byte) error {
	resp, err := m.call(ctx, method, path, body)
	if err != nil {
		return err
	}
	return resp.Body.Close()
}

// frames makes a request whose answer is frames.
func (m mailbox) frames(ctx context.Context, method, path string, body []byte) (*stream, error) {
	resp, err := m.call(ctx, method, path, body)
	if err != nil {
		return nil, err
	}
	return &stream{resp.Body}, nil
}

type stream struct{ body io.ReadCloser }

// next returns the next frame, passing heartbeats over.
func (s *stream) next() (frame, error) {
	for {
		f, err := readFrame(s.body)
		if f != nil || err != nil {
			return f, err
		}
	}
}

func (s *stream) close() { s.body.Close() }

func lane(candidate [8]byte) string { return "/lanes/" + hex.EncodeToString(candidate[:]) }

func (m mailbox) create(ctx context.Context, c []byte, offer frame, l linkKeys, capability []byte, ttl uint64) error {
	body := must(json.Marshal(map[string]any{
		"preimage": b64(c), "offer": b64(offer), "view": b64(hash(l.view)), "sender": b64(hash(capability)), "ttl": ttl,
	}))
	return m.do(ctx, http.MethodPut, "", body)
}

// view returns the newest offer, once there is one.
func (m mailbox) view(ctx context.Context, query string) (frame, error) {
	s, err := m.frames(ctx, http.MethodGet, "?"+query, nil)
	if err != nil {
		return nil, err
	}
	defer s.close()
	return s.next()
}

func (m mailbox) publish(ctx context.Context, offer frame) error {
	return m.do(ctx, http.MethodPut, fmt.Sprintf("/offer/%d", offer.seq()), appendFrames(nil, offer))
}

// open claims: it opens a lane with the first frames, and streams the sender's log.
func (m mailbox) open(ctx context.Context, first ...frame) (*stream, error) {
	return m.frames(ctx, http.MethodPut, lane(first[0].candidate())+"?from=0", appendFrames(nil, first...))
}

func (m mailbox) log(ctx context.Context, candidate [8]byte, side string, from uint64) (*stream, error) {
	return m.frames(ctx, http.MethodGet, fmt.Sprintf("%s/%s?from=%d", lane(candidate), side, from), nil)
}

func (m mailbox) append(ctx context.Context, side string, frames ...frame) error {
	path := fmt.Sprintf("%s/%s/%d", lane(frames[0].candidate()), side, frames[0].seq())
	return m.do(ctx, http.MethodPut, path, appendFrames(nil, frames...))
}

func (m mailbox) claims(ctx context.Context, after int) (*stream, error) {
	return m.frames(ctx, http.MethodGet, fmt.Sprintf("/claims?after=%d", after), nil)
}

func (m mailbox) confirm(ctx context.Context, epoch uint64, candidate [8]byte, claim []byte) error {
	body := must(json.Marshal(map[string]any{"epoch": epoch, "lane": strings.TrimPrefix(lane(candidate), "/lanes/"), "claim": b64(claim)}))
	return m.do(ctx, http.MethodPut, "/confirm", body)
}

func (m mailbox) closeLane(ctx context.Context, closing frame) error {
	return m.do(ctx, http.MethodDelete, lane(closing.candidate()), appendFrames(nil, closing))
}

func (m mailbox) delete(ctx context.Context, h, over []byte) error {
	return m.do(ctx, http.MethodDelete, "", must(json.Marshal(map[string]string{"h": b64(h), "over": b64(over)})))
}
