package interop

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"filippo.io/age"
)

// node/credential/PROTOCOL.md: provisioning information, and both formats.

// A content is what a message brings: of an age identity, data are the identities.
type content struct {
	name string
	mode uint32
	data []byte
}

func encodeFile(name string, mode uint32, data []byte) []byte {
	return encodeInfo("file", map[string]any{"name": name, "mode": mode, "data": base64.StdEncoding.EncodeToString(data)})
}

func encodeAge(name, identities string) []byte {
	return encodeInfo("age-identity", map[string]any{"name": name, "identities": identities})
}

func encodeInfo(format string, content any) []byte {
	return must(json.Marshal(map[string]any{"format": format, "content": content}))
}

var errInfo = errors.New("not provisioning information of this format")

// decodeInfo reads a message that came where a format was announced.
func decodeInfo(msg []byte, format string) (content, error) {
	info, err := object(msg)
	if err != nil || info["format"] != format {
		return content{}, errInfo
	}
	c, ok := info["content"].(map[string]any)
	if !ok {
		return content{}, errInfo
	}
	name, ok := c["name"].(string)
	if !ok {
		return content{}, errInfo
	}
	if format == "file" {
		return fileContent(name, c)
	}
	text, ok := c["identities"].(string)
	if ids, err := age.ParseIdentities(strings.NewReader(text)); !ok || err != nil || len(ids) == 0 {
		return content{}, errInfo
	}
	return content{name, 0o600, []byte(text)}, nil
}

func fileContent(name string, c map[string]any) (content, error) {
	number, isNumber := c["mode"].(json.Number)
	text, isText := c["data"].(string)
	mode, err := strconv.ParseUint(string(number), 10, 32)
	if !isNumber || !isText || err != nil {
		return content{}, errInfo
	}
	data, err := base64.StdEncoding.DecodeString(text)
	if base64.StdEncoding.EncodeToString(data) != text {
		return content{}, errInfo // line ends, or bits behind the last byte
	}
	return content{name, uint32(mode), data}, err
}

// object reads exactly one JSON object, and refuses what section 2 refuses.
func object(msg []byte) (map[string]any, error) {
	if len(msg) > 1<<20 || !utf8.Valid(msg) || halfEscaped(msg) {
		return nil, errInfo
	}
	d := json.NewDecoder(bytes.NewReader(msg))
	d.UseNumber()
	v, err := value(d, 0)
	if err != nil {
		return nil, err
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, errInfo
	}
	m, ok := v.(map[string]any)
	if !ok {
		return nil, errInfo
	}
	return m, nil
}

// escape is an escape, or two that are one character, or one that is half of one.
var escape = regexp.MustCompile(`(?i)\\ud[89ab]..\\ud[c-f]..|\\ud[89a-f]..|\\.`)

// halfEscaped reports whether half a character stands in JSON, as an escape.
func halfEscaped(msg []byte) bool {
	return slices.ContainsFunc(escape.FindAll(msg, -1), func(e []byte) bool { return len(e) == len(`\ud800`) })
}

// value reads the next value, which stands in depth others.
func value(d *json.Decoder, depth int) (any, error) {
	t, err := d.Token()
	if err != nil || depth > 64 {
		return nil, errInfo
	}
	if t != json.Delim('{') && t != json.Delim('[') {
		return t, nil
	}
	m := map[string]any{}
	var seen []string
	for d.More() {
		name := ""
		if t == json.Delim('{') {
			k, err := d.Token()
			if err != nil {
				return nil, errInfo
			}
			name = k.(string)
			if slices.ContainsFunc(seen, func(s string) bool { return strings.EqualFold(s, name) }) {
				return nil, errInfo
			}
			seen = append(seen, name)
		}
		if m[name], err = value(d, depth+1); err != nil {
			return nil, err
		}
	}
	if _, err := d.Token(); err != nil {
		return nil, errInfo
	}
	if t == json.Delim('[') {
		return []any{}, nil // no format here has one
	}
	return m, nil
}
