package quicpath

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"slices"
	"sync"

	"github.com/quic-go/quic-go"

	"github.com/sparekey/sparekey/discovery"
	"github.com/sparekey/sparekey/noise/frame"
)

// A Config says how a Socket is made. The zero Config is for devices.
type Config struct {
	Conn net.PacketConn // what packets go and come by, closed with the Socket; nil: UDP on every address, v4 and v6, port chosen by the system
}

// A Socket carries the paths of any number of shares on one UDP port. Its methods
// may be called at the same time.
type Socket struct {
	conn      net.PacketConn
	transport *quic.Transport
	accepting *quic.EarlyListener
	door      *door
	queue     *queue
	ctx       context.Context // ends with Close
	cancel    context.CancelFunc
	running   sync.WaitGroup

	mu     sync.Mutex // guards what follows
	closed bool
	served map[Tag]*service
	paths  map[*path]bool
	shares map[Tag][]*path // the paths of each share, by its own tag, oldest first
}

// The errors that Dial's may wrap.
var (
	// Whoever is at the address isn't the other device of the share: it doesn't
	// answer for it, or can't prove that it knows it.
	ErrStranger = errors.New("it is not the other device of this share")

	// The Socket is closed.
	ErrClosed = errors.New("the QUIC socket is closed")
)

// A guestKey is where a connection's context holds its guest.
type guestKey struct{}

// Listen opens a Socket. Nobody is answered until Serve is called.
func Listen(c Config) (*Socket, error) {
	hush()
	if c.Conn == nil {
		udp, err := net.ListenUDP("udp", nil) // both families on one socket, where the system can
		if err != nil {
			return nil, fmt.Errorf("no UDP port for the room: %w", err)
		}
		c.Conn = udp
	}
	s := &Socket{conn: c.Conn, door: newDoor(), queue: newQueue(), served: map[Tag]*service{}, paths: map[*path]bool{}, shares: map[Tag][]*path{}}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	s.transport = &quic.Transport{
		Conn:                             c.Conn,
		ConnectionIDLength:               8,
		DisableVersionNegotiationPackets: true, // who asks in another version is no device of ours
		VerifySourceAddress:              func(net.Addr) bool { return s.door.crowded() },
		ConnContext:                      s.enter,
	}
	var err error
	if s.accepting, err = s.transport.ListenEarly(listenTLS(s.serves), config(false)); err != nil {
		s.transport.Close()
		c.Conn.Close()
		return nil, fmt.Errorf("can't listen for QUIC: %w", err)
	}
	s.running.Go(s.accept)
	return s, nil
}

// hush keeps the library from printing at people that the system's UDP buffers are
// smaller than it would like. It raises them as far as the system lets it anyway,
// and a share is small.
var hush = sync.OnceFunc(func() {
	const name = "QUIC_GO_DISABLE_RECEIVE_BUFFER_WARNING"
	if _, set := os.LookupEnv(name); !set {
		os.Setenv(name, "true")
	}
})

// config is QUIC's, for dialling or listening.
func config(dials bool) *quic.Config {
	c := &quic.Config{
		Versions:                       []quic.Version{quic.Version1},
		HandshakeIdleTimeout:           proveWithin / 2,
		MaxIdleTimeout:                 silence,
		InitialStreamReceiveWindow:     firstWindow,
		InitialConnectionReceiveWindow: firstWindow,
		MaxStreamReceiveWindow:         lastWindow,
		MaxConnectionReceiveWindow:     lastWindow,
		MaxIncomingStreams:             maxStreams,
		MaxIncomingUniStreams:          -1,
	}
	if dials {
		c.KeepAlivePeriod = keepAlive
	}
	return c
}

// Port returns the UDP port.
func (s *Socket) Port() uint16 {
	ap, _ := netip.ParseAddrPort(s.conn.LocalAddr().String())
	return ap.Port()
}

// Close ends all paths, what is on its way, and the socket, and leaves nothing
// running. What Serve gave to found is ended too.
func (s *Socket) Close() error {
	s.mu.Lock()
	s.closed = true
	paths := s.paths
	s.paths = nil
	s.mu.Unlock()
	var closing sync.WaitGroup
	for p := range paths {
		closing.Go(func() { p.Close() })
	}
	closing.Wait()
	s.cancel()
	s.accepting.Close()
	s.running.Wait()
	err := s.transport.Close()
	if cerr := s.conn.Close(); err == nil {
		err = cerr
	}
	return err
}

// begin counts something that runs until it calls s.running.Done; false: too late.
func (s *Socket) begin() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return false
	}
	s.running.Add(1)
	return true
}

// keep notes a path, for Close and among those of its share, until forget; false: too
// late. Where its share has one too many, it ends one.
func (s *Socket) keep(p *path) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return false
	}
	s.paths[p] = true
	s.running.Add(1)
	of := append(s.shares[p.share], p)
	if len(of) > maxPaths {
		i := crowding(of)
		old := of[i]
		of = slices.Delete(of, i, i+1)
		s.running.Go(func() { old.Close() })
	}
	s.shares[p.share] = of
	return true
}

func (s *Socket) forget(p *path) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.paths, p)
	of := slices.DeleteFunc(s.shares[p.share], func(other *path) bool { return other == p })
	if s.shares[p.share] = of; len(of) == 0 {
		delete(s.shares, p.share)
	}
	s.running.Done()
}

// A service is one share that is answered for.
type service struct {
	share   Share
	found   func(discovery.Path)
	ctx     context.Context // ends when it stops
	cancel  context.CancelFunc
	running sync.WaitGroup // connections that have not come to found
}

// Serve answers connections that ask for the share's own tag, and calls found with
// each that proves the key, a Path, in a goroutine of its own. One share at a time is served
// by a tag: the newest. After stop, found is not called any more; the paths it was
// given go on. found must not call stop.
func (s *Socket) Serve(sh Share, found func(discovery.Path)) (stop func()) {
	sv := &service{share: sh, found: found}
	sv.ctx, sv.cancel = context.WithCancel(s.ctx)
	s.mu.Lock()
	s.served[sh.Own] = sv
	s.mu.Unlock()
	return func() {
		s.mu.Lock()
		if s.served[sh.Own] == sv {
			delete(s.served, sh.Own)
		}
		s.mu.Unlock()
		sv.cancel()
		sv.running.Wait()
	}
}

func (s *Socket) serves(tag Tag) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.served[tag] != nil
}

// enter is where a connection begins, before anything is known of it.
func (s *Socket) enter(ctx context.Context, info *quic.ClientInfo) (context.Context, error) {
	g, ok := s.door.enter(info.RemoteAddr)
	if !ok {
		return nil, errors.New("no room")
	}
	context.AfterFunc(ctx, func() { s.door.leave(g) })
	return context.WithValue(ctx, guestKey{}, g), nil
}

// accept takes connections as soon as their first message says what they ask for.
func (s *Socket) accept() {
	for {
		conn, err := s.accepting.Accept(s.ctx)
		if err != nil {
			return
		}
		s.running.Go(func() { s.welcome(conn) })
	}
}

// welcome has a connection prove itself, and gives it to the share it asks for.
func (s *Socket) welcome(conn *quic.Conn) {
	g, _ := conn.Context().Value(guestKey{}).(*guest)
	sv := s.service(conn.ConnectionState().TLS.NegotiatedProtocol)
	if sv == nil {
		conn.CloseWithError(codeUnproven, "")
		return
	}
	defer sv.running.Done()
	ctx, cancel := context.WithTimeout(sv.ctx, proveWithin)
	defer cancel()
	ended := endWith(ctx, conn)
	if !s.door.may(g, cancel) {
		cancel()
	}
	early, err := proveAsListener(conn, &sv.share)
	s.door.leave(g)
	if ended() || err != nil {
		conn.CloseWithError(codeUnproven, "")
		return
	}
	if p := newPath(s, conn, sv.share.Own, nil, early); p != nil {
		sv.found(p)
	}
}

// service returns the share that a connection asks for, with one more running.
func (s *Socket) service(protocol string) *service {
	tag, _ := parseTag(protocol)
	s.mu.Lock()
	defer s.mu.Unlock()
	sv := s.served[tag]
	if sv != nil {
		sv.running.Add(1)
	}
	return sv
}

// crowding returns which of a share's paths is to go, but never the newest. What brought
// nothing goes before what did: of those the oldest from the address that most of them
// come from, so that who holds the link and connects again and again shows out itself.
// Where each has brought something, it goes that did so longest ago.
func crowding(paths []*path) int {
	paths = paths[:len(paths)-1]
	var barren []int
	stale := 0
	for i, p := range paths {
		switch {
		case p.bore.IsZero():
			barren = append(barren, i)
		case p.bore.Before(paths[stale].bore):
			stale = i
		}
	}
	if len(barren) == 0 {
		return stale
	}
	return oldestOfMost(paths, barren)
}

// oldestOfMost returns the oldest of those paths that come from the address that most of them do.
func oldestOfMost(paths []*path, are []int) int {
	of := map[netip.Addr][]int{}
	most := []int{}
	for _, i := range are {
		host := hostOf(paths[i].conn.RemoteAddr())
		of[host] = append(of[host], i)
	}
	for _, are := range of {
		if len(are) > len(most) || len(are) == len(most) && are[0] < most[0] {
			most = are
		}
	}
	return most[0]
}

// endWith ends a connection when ctx ends, until ended is called, which reports
// whether that has happened.
func endWith(ctx context.Context, conn *quic.Conn) (ended func() bool) {
	stop := context.AfterFunc(ctx, func() {
		// Who is late has not proved. Who is shown out to make room, or comes as the
		// share stops, did nothing wrong and must not take this device for a stranger.
		code := quic.ApplicationErrorCode(codeDone)
		if errors.Is(ctx.Err(), context.DeadlineExceeded) {
			code = codeUnproven
		}
		conn.CloseWithError(code, "")
	})
	return func() bool { return !stop() }
}

// proveAsListener sends the first flight, and waits for the other end's proof. It
// returns the frames that went with the flight.
func proveAsListener(conn *quic.Conn, sh *Share) (early []frame.Frame, err error) {
	exporter, err := export(conn)
	if err != nil {
		return nil, err
	}
	str, err := conn.OpenStream()
	if err != nil {
		return nil, err
	}
	if sh.First != nil {
		early = fitting(sh.First())
	}
	if _, err := str.Write(appendPiece(sh.proof(listener, exporter), early...)); err != nil {
		return nil, err
	}
	str.Close()
	theirs := make([]byte, proofSize)
	if _, err := io.ReadFull(str, theirs); err != nil {
		return nil, err
	}
	str.CancelRead(codeDone) // nothing more comes on it
	if !sh.proves(theirs, dialler, exporter) {
		return nil, errProof
	}
	return early, nil
}

// Dial connects to a device that answers for the share's peer tag, and proves the
// key to it once it has proved it itself. The error says what went wrong where the
// device there is another one, keeps silent, or can't be reached.
func (s *Socket) Dial(ctx context.Context, to netip.AddrPort, sh Share) (discovery.Path, error) {
	if !s.begin() {
		return nil, ErrClosed
	}
	defer s.running.Done()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(s.ctx, cancel)()
	p, err := s.dial(ctx, to, &sh)
	if err != nil {
		return nil, fmt.Errorf("no path to %v: %w", to, because(err))
	}
	return p, nil
}

func (s *Socket) dial(ctx context.Context, to netip.AddrPort, sh *Share) (*path, error) {
	leave, err := s.queue.turn(ctx, to.Addr())
	if err != nil {
		return nil, err
	}
	defer leave()
	ctx, cancel := context.WithTimeout(ctx, proveWithin) // waiting for a turn doesn't count
	defer cancel()
	conn, err := s.transport.Dial(ctx, net.UDPAddrFromAddrPort(to), dialTLS(sh.Peer), config(true))
	if err != nil {
		return nil, err
	}
	ended := endWith(ctx, conn)
	first, err := proveAsDialler(ctx, conn, sh)
	if ended() {
		err = context.Cause(ctx)
	}
	if err != nil {
		conn.CloseWithError(codeUnproven, "")
		return nil, err
	}
	p := newPath(s, conn, sh.Own, first, nil)
	if p == nil {
		return nil, ErrClosed
	}
	return p, nil
}

// proveAsDialler waits for the listener's proof, and proves. It returns the stream
// on which the first flight stands behind the proof.
func proveAsDialler(ctx context.Context, conn *quic.Conn, sh *Share) (*quic.Stream, error) {
	exporter, err := export(conn)
	if err != nil {
		return nil, err
	}
	str, err := conn.AcceptStream(ctx)
	if err != nil {
		return nil, err
	}
	theirs := make([]byte, proofSize)
	if _, err := io.ReadFull(str, theirs); err != nil {
		return nil, err
	}
	if !sh.proves(theirs, listener, exporter) {
		return nil, errProof
	}
	if _, err := str.Write(sh.proof(dialler, exporter)); err != nil {
		return nil, err
	}
	str.Close() // fails where the listener has read the proof already, and wants no more
	return str, nil
}
