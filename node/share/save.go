package share

import "fmt"

// Marshal returns all of a sender that has to be saved: CBOR, to be sealed by
// the vault. It holds secrets.
func (s Sender) Marshal() []byte { return encode(s) }

// UnmarshalSender reads what Marshal wrote.
func UnmarshalSender(b []byte) (Sender, error) {
	var s Sender
	if err := decode(b, &s); err != nil {
		return Sender{}, fmt.Errorf("the saved sender can't be read: %w", err)
	}
	return s, nil
}

// Marshal returns all of a receiver that has to be saved: CBOR, to be sealed by
// the vault. It holds secrets.
func (r Receiver) Marshal() []byte { return encode(r) }

// UnmarshalReceiver reads what Marshal wrote.
func UnmarshalReceiver(b []byte) (Receiver, error) {
	var r Receiver
	if err := decode(b, &r); err != nil {
		return Receiver{}, fmt.Errorf("the saved receiver can't be read: %w", err)
	}
	return r, nil
}
