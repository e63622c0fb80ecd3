package interop

import (
	"encoding/json"
	"errors"
)

// node/credential/PROTOCOL.md: provisioning information, and the format file.

type fileContent struct {
	Name string `json:"name"`
	Mode uint32 `json:"mode"`
	Data []byte `json:"data"`
}

type ageContent struct {
	Name       string `json:"name"`
	Identities string `json:"identities"`
}

func encodeInfo(format string, content any) []byte {
	return must(json.Marshal(map[string]any{"format": format, "content": content}))
}

func decodeInfo(b []byte, format string, content any) error {
	var info struct {
		Format  string
		Content json.RawMessage
	}
	if err := json.Unmarshal(b, &info); err != nil {
		return err
	}
	if info.Format != format {
		return errors.New("of another format than was announced")
	}
	return json.Unmarshal(info.Content, content)
}
