package credential

import "fmt"

// A Description says what a format does, for people.
type Description struct {
	Name         string `json:"name"`
	Title        string `json:"title"`         // "Age identity"
	Revocable    bool   `json:"revocable"`     // it can be taken back once provisioned
	Unattended   bool   `json:"unattended"`    // it may be left at a relay
	Provision    string `json:"provision"`     // what provisioning does
	AlreadyThere string `json:"already_there"` // how it is told that it has been done
}

// A Describer is a format that describes itself.
type Describer interface{ Describe() Description }

// A Registry holds the formats that a device knows.
type Registry struct{ formats []Format }

// NewRegistry returns a registry of formats, in the order in which they are listed.
func NewRegistry(formats ...Format) *Registry { return &Registry{formats} }

// An UnknownFormatError names a format that this device lacks.
type UnknownFormatError struct{ Name string }

func (e *UnknownFormatError) Error() string {
	return fmt.Sprintf("this device knows no format %q", Display(e.Name, 64))
}

// Unwrap makes it final: the other side is told.
func (e *UnknownFormatError) Unwrap() error { return ErrFinal }

// Lookup returns the format of a name, or an *UnknownFormatError.
func (r *Registry) Lookup(name string) (Format, error) {
	for _, f := range r.formats {
		if f.Name() == name {
			return f, nil
		}
	}
	return nil, &UnknownFormatError{name}
}

// Describe returns what there is to say of each format.
func (r *Registry) Describe() (all []Description) {
	for _, f := range r.formats {
		if d, ok := f.(Describer); ok {
			all = append(all, d.Describe())
		}
	}
	return all
}
