package credential

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io/fs"
)

// File is the format of any file: its name, its mode and its bytes go over as
// they are. One message. It can't be revoked.
//
// The content is {"name": text, "mode": number, "data": base64}. Provisioning
// writes the file for its owner alone: of the mode only the owner's bits are kept.
type File struct{}

type fileContent struct {
	Name string      `json:"name"`
	Mode fs.FileMode `json:"mode"`
	Data []byte      `json:"data"`
}

// OfferFile returns the first state of a sender that shares a file.
func OfferFile(name string, mode fs.FileMode, data []byte) ([]byte, error) {
	if data == nil {
		data = []byte{} // an empty file has data: none
	}
	return EncodeInfo(File{}.Name(), fileContent{cleanName(name), mode.Perm(), data})
}

// Name implements Format.
func (File) Name() string { return "file" }

// Describe implements Describer.
func (File) Describe() Description {
	return Description{
		Name: "file", Title: "File", Unattended: true,
		Provision:    "writes the file, readable by its owner alone; never over another unless --force is given",
		AlreadyThere: "a file of that name has just these bytes",
	}
}

// Computed implements Computed.
func (File) Computed() {}

// Send implements Format.
func (File) Send(_ context.Context, t Turn) (Answer, error) { return sendOnce(t) }

// Receive implements Format.
func (f File) Receive(_ context.Context, t Turn) (Answer, error) {
	var c fields
	if err := DecodeInfo(t.In, f.Name(), &c); err != nil {
		return Answer{}, err
	}
	name, noName := c.text("name")
	mode, noMode := c.mode("mode")
	data, noData := c.bytes("data")
	if err := cmp.Or(noName, noMode, noData); err != nil {
		return Answer{}, err
	}
	return receiveFile(t, cleanName(name), mode, data)
}

// Provision implements Format.
func (File) Provision(_ context.Context, key string, state []byte) error {
	return provisionFile(key, state)
}

// Provisioned implements Format.
func (File) Provisioned(_ context.Context, key string, state []byte) (bool, error) {
	return fileProvisioned(key, state)
}

// sendOnce sends the state as the one message, which is the grant.
func sendOnce(t Turn) (Answer, error) {
	if t.In != nil {
		return Answer{State: t.State, Done: true}, nil // nothing is asked of a format of one message
	}
	return Answer{Out: [][]byte{t.State}, Grants: true, Done: true}, nil
}

// receiveFile answers with a placement, by the options that the state holds.
func receiveFile(t Turn, name string, mode fs.FileMode, data []byte) (Answer, error) {
	var o Options
	if err := json.Unmarshal(t.State, &o); err != nil {
		return Answer{}, fmt.Errorf("%w: the options of the receiver can't be read", ErrFinal)
	}
	return Answer{State: placement{o, name, mode, data}.encode(), Done: true}, nil
}

func provisionFile(key string, state []byte) error {
	p, err := decodePlacement(state)
	if err != nil {
		return err
	}
	return p.place(key)
}

func fileProvisioned(key string, state []byte) (bool, error) {
	p, err := decodePlacement(state)
	if err != nil {
		return false, err
	}
	return p.there(key)
}
