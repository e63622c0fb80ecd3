package quicpath

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/quic-go/quic-go"

	"github.com/sparekey/sparekey/discovery"
	"github.com/sparekey/sparekey/noise/frame"
)

// A Path is what Dial returns and Serve gives.
type Path interface {
	discovery.Direct
	discovery.Early
	discovery.Weighed
	Remote() netip.AddrPort // where the other end is now
}

// A path is a connection whose ends have proved to each other.
type path struct {
	socket *Socket
	conn   *quic.Conn
	pieces chan piece
	share  Tag             // this device's own
	early  []frame.Frame   // what went with a listener's first flight
	bore   time.Time       // when it last brought something new of the other device's; zero: never; guarded by the Socket's mu
	ctx    context.Context // ends when Close begins, and with the connection
	cancel context.CancelFunc
	pumped chan struct{} // closed when pump has returned
	once   sync.Once     // Close

	mu         sync.Mutex
	unanswered []*quic.Stream // of pieces that Receive gave, oldest first; nil: needs no answer
	unsure     int            // answers of which it isn't known yet that they have arrived
	sure       chan struct{}  // closed when there are none; Close makes it
}

var _ Path = (*path)(nil)

// A piece is what came on one stream.
type piece struct {
	frames []frame.Frame
	stream *quic.Stream // where its answer goes; nil: it needs none
}

var (
	errGone     = errors.New("this device has closed it")
	errMute     = errors.New("nothing is heard of the other device")
	errNotTaken = errors.New("the other device did not take it")
)

// newPath returns the path of a proved connection, and nil where the Socket is
// closed. A dialler gives the stream on which the first flight stands, a listener what
// went with it.
func newPath(s *Socket, conn *quic.Conn, share Tag, first *quic.Stream, early []frame.Frame) *path {
	p := &path{socket: s, conn: conn, share: share, early: early, pieces: make(chan piece), pumped: make(chan struct{})}
	p.ctx, p.cancel = context.WithCancel(conn.Context())
	if !s.keep(p) {
		p.cancel()
		conn.CloseWithError(codeDone, "")
		return nil
	}
	go p.pump(first)
	return p
}

func (p *path) String() string { return fmt.Sprintf("lan quic %v", p.conn.RemoteAddr()) }

// Remote implements Path.
func (p *path) Remote() netip.AddrPort {
	at, _ := netip.ParseAddrPort(p.conn.RemoteAddr().String())
	return netip.AddrPortFrom(at.Addr().Unmap(), at.Port())
}

// Early implements discovery.Early. Nobody answers for these frames.
func (p *path) Early() []frame.Frame { return p.early }

// Bore implements discovery.Weighed.
func (p *path) Bore() {
	p.socket.mu.Lock()
	defer p.socket.mu.Unlock()
	p.bore = time.Now()
}

// why says why the path has ended.
func (p *path) why() error {
	err := errGone
	if p.conn.Context().Err() != nil {
		err = because(context.Cause(p.conn.Context()))
	}
	return fmt.Errorf("%v: %w", p, err)
}

// Receive returns what came on one stream.
func (p *path) Receive(ctx context.Context) ([]frame.Frame, error) {
	select {
	case got := <-p.pieces:
		p.mu.Lock()
		p.unanswered = append(p.unanswered, got.stream)
		p.mu.Unlock()
		return got.frames, nil
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	case <-p.ctx.Done():
		return nil, p.why()
	}
}

// pump reads what comes, stream by stream, until the connection ends. It reads one
// piece at a time and waits until it is fetched, so a path costs what two pieces
// cost, and QUIC's window.
func (p *path) pump(first *quic.Stream) {
	defer p.socket.forget(p)
	defer close(p.pumped)
	defer p.cancel()
	if first != nil {
		if frames, err := readPiece(first); err != nil || len(frames) > 0 && !p.hand(piece{frames: frames}) {
			p.conn.CloseWithError(codeBroken, "")
			return
		}
	}
	for abandoned := 0; ; {
		str, err := p.conn.AcceptStream(p.ctx)
		if err != nil {
			return
		}
		frames, err := readPiece(str)
		if reset := (*quic.StreamError)(nil); errors.As(err, &reset) && abandoned < maxAbandoned {
			abandoned++ // a Send whose context has ended
			str.CancelWrite(codeDone)
			continue
		}
		if err != nil || len(frames) == 0 {
			p.conn.CloseWithError(codeBroken, "")
			return
		}
		abandoned = 0
		if !p.hand(piece{frames, str}) {
			return
		}
	}
}

// hand gives a piece to Receive; false: the path has ended.
func (p *path) hand(got piece) bool {
	select {
	case p.pieces <- got:
		return true
	case <-p.ctx.Done():
		return false
	}
}

// Taken answers the oldest piece that Receive gave and that has no answer yet.
func (p *path) Taken(ok bool) {
	p.mu.Lock()
	if len(p.unanswered) == 0 || p.sure != nil {
		p.mu.Unlock()
		return
	}
	str := p.unanswered[0]
	p.unanswered = slices.Delete(p.unanswered, 0, 1)
	if str != nil {
		p.unsure++
	}
	p.mu.Unlock()
	if str == nil {
		return
	}
	answer := []byte{answerNo}
	if ok {
		answer[0] = answerYes
	}
	str.Write(answer) // one byte is taken at once, whatever the other end lets through
	str.Close()
	go p.confirm(str)
}

// confirm waits until the other end shows that it has read the answer.
func (p *path) confirm(str *quic.Stream) {
	if n, _ := io.ReadFull(str, make([]byte, 1)); n > 0 {
		p.conn.CloseWithError(codeBroken, "")
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.unsure--; p.unsure == 0 && p.sure != nil {
		close(p.sure)
	}
}

// Send returns when the other device has answered for all the frames.
func (p *path) Send(ctx context.Context, frames ...frame.Frame) error {
	for some := range slices.Chunk(frames, maxFrames) {
		if err := p.send(ctx, some); err != nil {
			if p.ctx.Err() != nil {
				return p.why()
			}
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
			return fmt.Errorf("%v: %w", p, err)
		}
	}
	return nil
}

// send sends one piece.
func (p *path) send(ctx context.Context, frames []frame.Frame) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(p.ctx, cancel)()
	str, err := p.conn.OpenStreamSync(ctx)
	if err != nil {
		return err
	}
	defer context.AfterFunc(ctx, func() {
		str.CancelWrite(codeDone)
		str.CancelRead(codeDone)
	})()
	go p.watch(ctx)
	if _, err := str.Write(appendPiece(nil, frames...)); err != nil {
		return err
	}
	taken, err := readAnswer(str)
	if errors.Is(err, errBroken) {
		p.conn.CloseWithError(codeBroken, "")
	}
	if err != nil {
		return err
	}
	str.Close() // tells that the answer is here
	str.CancelRead(codeDone)
	if !taken {
		return errNotTaken
	}
	return nil
}

// watch ends the connection when packets go out and none come in, until ctx ends. A
// device that takes its time for an answer is none: it has acknowledged what it got,
// and then no packets go out either.
func (p *path) watch(ctx context.Context) {
	tick := time.NewTicker(mute)
	defer tick.Stop()
	before := p.conn.ConnectionStats()
	for {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
		now := p.conn.ConnectionStats()
		if now.PacketsReceived == before.PacketsReceived && now.PacketsSent > before.PacketsSent {
			p.conn.CloseWithError(codeMute, "")
			return
		}
		before = now
	}
}

// Close ends the path, once the other end has the answers that were given: a piece
// that was taken here must not be sent again by a device that believes otherwise.
// It waits a second at most.
func (p *path) Close() error {
	p.once.Do(func() {
		p.cancel()
		p.mu.Lock()
		p.sure = make(chan struct{})
		if p.unsure == 0 {
			close(p.sure)
		}
		p.mu.Unlock()
		timer := time.NewTimer(lingerFor)
		defer timer.Stop()
		select {
		case <-p.sure:
		case <-timer.C:
		case <-p.conn.Context().Done():
		}
		p.conn.CloseWithError(codeDone, "")
		<-p.sure
		<-p.pumped
	})
	return nil
}

// because says what an error of the connection means to people.
func because(err error) error {
	var (
		app       *quic.ApplicationError
		transport *quic.TransportError
		idle      *quic.IdleTimeoutError
		handshake *quic.HandshakeTimeoutError
	)
	switch {
	case errors.As(err, &app) && !app.Remote && app.ErrorCode == codeBroken:
		return errBroken
	case errors.As(err, &app) && !app.Remote && app.ErrorCode == codeMute:
		return errMute
	case errors.As(err, &app) && !app.Remote:
		return errGone
	case errors.As(err, &app) && app.ErrorCode == codeDone:
		return errors.New("the other device has closed it")
	case errors.As(err, &app) && app.ErrorCode == codeUnproven:
		return fmt.Errorf("%w: it got no proof from this one that it takes", ErrStranger)
	case errors.As(err, &app) && app.ErrorCode == codeMute:
		return errors.New("the other device heard nothing of this one")
	case errors.As(err, &app):
		return fmt.Errorf("the other device gave up on this one, with error %d", app.ErrorCode)
	case errors.As(err, &transport) && transport.Remote && transport.ErrorCode.IsCryptoError():
		return fmt.Errorf("%w: it doesn't answer for it", ErrStranger)
	case errors.As(err, &idle), errors.As(err, &handshake), errors.Is(err, context.DeadlineExceeded):
		return errMute
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, errBroken):
		return fmt.Errorf("%w: %w", ErrStranger, err)
	}
	return err
}
