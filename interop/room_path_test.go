package interop

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/netip"
	"sync"
	"time"

	"github.com/quic-go/quic-go"
)

// discovery/lan/PROTOCOL.md, sections 5 to 7: the connection, its proof, and pieces.

// The errors with which a connection ends.
const (
	errWell  = quic.ApplicationErrorCode(0)
	errProof = quic.ApplicationErrorCode(1)
	errPage  = quic.ApplicationErrorCode(2)
)

const (
	maxFirst  = 4096
	maxFrames = 64
	provingIn = 10 * time.Second
)

func quicConfig(dials bool) *quic.Config {
	c := &quic.Config{
		Versions:                   []quic.Version{quic.Version1},
		HandshakeIdleTimeout:       provingIn / 2, // in all twice as long
		MaxIdleTimeout:             20 * time.Second,
		MaxIncomingStreams:         16,
		MaxIncomingUniStreams:      -1,
		InitialStreamReceiveWindow: 128 << 10, MaxStreamReceiveWindow: 1 << 20,
		InitialConnectionReceiveWindow: 128 << 10, MaxConnectionReceiveWindow: 1 << 20,
	}
	if dials {
		c.KeepAlivePeriod = 10 * time.Second
	}
	return c
}

// openTransport opens the one socket for listening and dialling.
func openTransport() (*quic.Transport, uint16, error) {
	udp, err := openQUIC()
	if err != nil {
		return nil, 0, err
	}
	t := &quic.Transport{Conn: udp, ConnectionIDLength: 8, DisableVersionNegotiationPackets: true}
	return t, uint16(udp.LocalAddr().(*net.UDPAddr).Port), nil
}

// dialling is TLS of who dials a tag.
func dialling(t tag) *tls.Config {
	return &tls.Config{MinVersion: tls.VersionTLS13, NextProtos: []string{t.String()}, InsecureSkipVerify: true} // the proof is what counts
}

// listening is TLS of who answers for a tag, and for no other.
func listening(t tag) *tls.Config {
	return &tls.Config{MinVersion: tls.VersionTLS13, GetConfigForClient: func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
		if len(hello.SupportedProtos) != 1 || hello.SupportedProtos[0] != t.String() {
			return nil, errors.New("not asked for")
		}
		return &tls.Config{
			MinVersion: tls.VersionTLS13, NextProtos: hello.SupportedProtos, SessionTicketsDisabled: true,
			Certificates: []tls.Certificate{certificate()},
		}, nil
	}}
}

// certificate makes one that says nothing.
func certificate() tls.Certificate {
	private := must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))
	says := &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: time.Unix(0, 0).UTC(), NotAfter: time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC)}
	return tls.Certificate{Certificate: [][]byte{must(x509.CreateCertificate(rand.Reader, says, says, private.Public(), private))}, PrivateKey: private}
}

func exporter(c *quic.Conn) []byte {
	state := c.ConnectionState().TLS
	return must(state.ExportKeyingMaterial("EXPERIMENTAL sparekey v1 path", nil, 32))
}

// readPiece reads frames up to the length of zero behind them.
func readPiece(r io.Reader) (all []frame, err error) {
	for {
		f, err := readFrame(r)
		switch {
		case errors.Is(err, io.EOF):
			return nil, io.ErrUnexpectedEOF
		case err != nil:
			return nil, err
		case f == nil:
			return all, nil
		case len(all) == maxFrames:
			return nil, errors.New("more frames than a piece has")
		}
		all = append(all, f)
	}
}

func appendPiece(b []byte, frames ...frame) []byte {
	return append(appendFrames(b, frames...), 0, 0, 0, 0)
}

func readAnswer(r io.Reader) (taken bool, err error) {
	var b [1]byte
	if _, err := io.ReadFull(r, b[:]); err != nil {
		return false, err
	}
	if b[0] > 1 {
		return false, errors.New("neither 0 nor 1")
	}
	return b[0] == 1, nil
}

// ends wants that nothing more comes.
func ends(r io.Reader) error {
	switch n, err := io.ReadFull(r, make([]byte, 1)); {
	case n > 0:
		return errors.New("something behind the end")
	case !errors.Is(err, io.EOF):
		return err
	}
	return nil
}

// A path is a connection whose ends have both proved.
type path struct {
	conn    *quic.Conn
	genuine bool // a frame of the candidate has come by it; the device's lock guards it
	owes    sync.WaitGroup
}

// dials makes a path of a connection that this device has dialled, and returns what
// came in the listener's first flight.
func dials(ctx context.Context, conn *quic.Conn, k linkKeys, own role) (*path, []frame, error) {
	defer late(ctx, conn)()
	first, err := conn.AcceptStream(ctx)
	if err != nil {
		return nil, nil, err
	}
	if first.StreamID() != 1 {
		return nil, nil, breaks(conn, errPage, "the first stream is the listener's")
	}
	theirs := make([]byte, 32)
	if _, err := io.ReadFull(first, theirs); err != nil || !hmac.Equal(theirs, k.proof(listened, own.other(), exporter(conn))) {
		return nil, nil, breaks(conn, errProof, "the listener's proof is wrong")
	}
	if _, err := first.Write(k.proof(dialled, own, exporter(conn))); err != nil {
		return nil, nil, err
	}
	first.Close() // fails if the listener wants no more already
	counted := &io.LimitedReader{R: first, N: maxFirst + 4}
	frames, err := readPiece(counted)
	if err := errors.Join(err, ends(first)); err != nil {
		return nil, nil, breaks(conn, errPage, err.Error())
	}
	return &path{conn: conn}, frames, nil
}

// listens makes a path of a connection that was accepted. The frames go with the
// first flight, and nobody answers them.
func listens(ctx context.Context, conn *quic.Conn, k linkKeys, own role, frames []frame) (*path, error) {
	defer late(ctx, conn)()
	first, err := conn.OpenStream()
	if err != nil {
		return nil, err
	}
	if _, err := first.Write(appendPiece(k.proof(listened, own, exporter(conn)), frames...)); err != nil {
		return nil, err
	}
	first.Close()
	defer first.CancelRead(0) // nothing more is looked at
	theirs := make([]byte, 32)
	if _, err := io.ReadFull(first, theirs); err != nil || !hmac.Equal(theirs, k.proof(dialled, own.other(), exporter(conn))) {
		return nil, breaks(conn, errProof, "the dialler's proof is wrong")
	}
	return &path{conn: conn}, nil
}

// late ends a connection if ctx ends before the call of what it returns.
func late(ctx context.Context, conn *quic.Conn) (inTime func() bool) {
	return context.AfterFunc(ctx, func() { conn.CloseWithError(errProof, "") })
}

// breaks closes a connection and says to us why; the other end is told a number.
func breaks(conn *quic.Conn, code quic.ApplicationErrorCode, why string) error {
	conn.CloseWithError(code, "")
	return errors.New(why)
}

// send sends a piece and returns its answer.
func (p *path) send(ctx context.Context, frames ...frame) (taken bool, err error) {
	s, err := p.conn.OpenStreamSync(ctx)
	if err != nil {
		return false, err
	}
	defer s.Close()
	stop := context.AfterFunc(ctx, func() { s.CancelWrite(0); s.CancelRead(0) })
	defer stop()
	if _, err := s.Write(appendPiece(nil, frames...)); err != nil {
		return false, err
	}
	taken, err = readAnswer(s)
	s.CancelRead(0) // nothing more is looked at
	if err != nil && ctx.Err() == nil {
		err = breaks(p.conn, errPage, fmt.Sprintf("no answer: %v", err))
	}
	return taken, err
}

// receive gives what comes to take, piece by piece, and answers it, until the path ends.
func (p *path) receive(ctx context.Context, take func([]frame) bool) error {
	for reset := 0; reset <= 64; {
		s, err := p.conn.AcceptStream(ctx)
		if err != nil {
			return err
		}
		frames, err := readPiece(s)
		if errors.As(err, new(*quic.StreamError)) { // who sent it has given up
			reset++
			s.CancelWrite(0)
			continue
		}
		if err == nil && len(frames) == 0 {
			err = errors.New("a piece without a frame")
		}
		if err != nil {
			return breaks(p.conn, errPage, err.Error())
		}
		reset = 0
		answer := []byte{0}
		if take(frames) {
			answer[0] = 1
		}
		s.Write(answer)
		s.Close()
		p.owes.Go(func() { // the end of the piece says that the answer is there
			if err := ends(s); err != nil && !errors.As(err, new(*quic.StreamError)) {
				breaks(p.conn, errPage, err.Error())
			}
		})
	}
	return breaks(p.conn, errPage, "more than 64 pieces in a row were given up")
}

// close closes the path once the answers have arrived, or after a second.
func (p *path) close() {
	there := make(chan struct{})
	go func() { p.owes.Wait(); close(there) }()
	select {
	case <-there:
	case <-time.After(time.Second):
	}
	p.conn.CloseWithError(errWell, "")
	<-there
}

// dialAt makes a connection to whoever listens for a tag at an address.
func dialAt(ctx context.Context, t *quic.Transport, to netip.AddrPort, asked tag) (*quic.Conn, error) {
	return t.Dial(ctx, net.UDPAddrFromAddrPort(to), dialling(asked), quicConfig(true))
}
