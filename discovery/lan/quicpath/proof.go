package quicpath

import (
	"crypto/hmac"
	"crypto/sha256"
	"fmt"

	"github.com/quic-go/quic-go"

	"github.com/sparekey/sparekey/discovery"
)

const (
	proofLabel    = "sparekey v1 quic proof"
	exporterLabel = "EXPERIMENTAL sparekey v1 path" // RFC 5705 §4: unregistered labels begin so
	proofSize     = sha256.Size
)

// An end is which side of a connection proves.
type end byte

const (
	dialler  end = 1
	listener end = 2
)

// errProof says that whoever is at the other end doesn't know the path key, or
// isn't at the end of this very connection.
var errProof = fmt.Errorf("%w: its proof is wrong", ErrStranger)

// proof returns what shows that the prover knows the key and is an end of the
// connection that the exporter is from.
func proof(key [32]byte, e end, r discovery.Role, exporter []byte) []byte {
	mac := hmac.New(sha256.New, key[:])
	mac.Write([]byte(proofLabel))
	mac.Write([]byte{byte(e), byte(r)})
	mac.Write(exporter)
	return mac.Sum(nil)
}

// proves reports whether theirs is the proof of the peer of a share at its end.
func (sh *Share) proves(theirs []byte, e end, exporter []byte) bool {
	return hmac.Equal(theirs, proof(sh.Key, e, other(sh.Role), exporter))
}

func (sh *Share) proof(e end, exporter []byte) []byte {
	return proof(sh.Key, e, sh.Role, exporter)
}

func other(r discovery.Role) discovery.Role {
	if r == discovery.Sender {
		return discovery.Receiver
	}
	return discovery.Sender
}

// export returns what both ends of this connection know, and no other connection's.
func export(conn *quic.Conn) ([]byte, error) {
	state := conn.ConnectionState().TLS
	return state.ExportKeyingMaterial(exporterLabel, nil, 32)
}
