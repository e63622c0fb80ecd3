package relay

import (
	"bytes"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"strconv"
	"time"
)

// guarded is a listener whose connections are guards, over TLS if there is a config.
type guarded struct {
	net.Listener
	tls     *tls.Config // nil: plain
	refused func()      // called for each handshake that fails
}

// guardedBy returns l with its connections guarded. The config's protocols are
// the two that the server behind it speaks.
func guardedBy(l net.Listener, c *tls.Config, refused func()) net.Listener {
	if c != nil {
		c = c.Clone()
		c.NextProtos = []string{"h2", "http/1.1"}
	}
	return guarded{l, c, refused}
}

func (l guarded) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	if l.tls == nil {
		return &guard{Conn: c}, nil
	}
	t := tls.Server(c, l.tls)
	return &guard{Conn: t, tls: t, refused: l.refused}, nil
}

// A guard is a connection that leaves no doubt where an HTTP/1.1 request ends.
// net/http takes a bare line feed for a line's end, and a chunked body whose
// head has a length as well; a proxy before it may see other requests there.
// Here lines end with both, and a body has one length and no other coding.
// What comes after a fault is never read: net/http is given a head that it
// refuses instead. HTTP/2 is passed through.
type guard struct {
	net.Conn
	tls     *tls.Conn // whose handshake is still to be made; else nil
	refused func()

	free    bool   // HTTP/2: nothing to guard
	begun   bool   // a line has been read
	line    []byte // the line of a head that is being read, its first bytes
	cr      bool   // the byte before was a carriage return
	length  int64  // of the body, as its head says; noLength: nothing yet
	body    int64  // bytes of a body that are still to come
	instead []byte // what is still to be read in place of what came after a fault
	faulty  bool
}

const (
	noLength = -1
	lineSize = 64 // of a line that is looked at, no other is as long
)

// refusal returns the rest of a head that net/http refuses: what was begun of a
// line ends, and a field without a name follows.
func refusal(begun bool) []byte {
	if begun {
		return []byte("\r\n:\r\n\r\n")
	}
	return []byte(":\r\n\r\n") // an empty line would end the head
}

// Read implements net.Conn.
func (g *guard) Read(p []byte) (int, error) {
	if g.tls != nil {
		if err := g.handshake(); err != nil {
			return 0, err
		}
	}
	if g.faulty {
		if len(g.instead) == 0 {
			return 0, io.EOF
		}
		n := copy(p, g.instead)
		g.instead = g.instead[n:]
		return n, nil
	}
	n, err := g.Conn.Read(p)
	if g.free {
		return n, err
	}
	good := g.pass(p[:n])
	if g.faulty {
		if g.instead = refusal(len(g.line) > 0); good == 0 {
			return g.Read(p)
		}
		return good, nil
	}
	return n, err
}

// handshake is made in the connection's own goroutine: Accept waits for nobody.
func (g *guard) handshake() error {
	t := g.tls
	g.tls = nil
	t.SetDeadline(time.Now().Add(headerTime))
	if err := t.Handshake(); err != nil {
		g.faulty = true
		g.refused()
		var plain tls.RecordHeaderError
		if errors.As(err, &plain) && plain.Conn != nil {
			io.WriteString(plain.Conn, "HTTP/1.0 400 Bad Request\r\n\r\nThis port speaks HTTPS.\n")
		}
		return io.EOF
	}
	t.SetDeadline(time.Time{})
	return t.SetReadDeadline(time.Now().Add(headerTime))
}

// pass looks at what was read, and returns how much of it is good.
func (g *guard) pass(b []byte) int {
	for i := 0; i < len(b) && !g.free; i++ {
		if g.body > 0 {
			skip := min(g.body, int64(len(b)-i))
			g.body -= skip
			i += int(skip) - 1
			continue
		}
		if b[i] != '\n' {
			if g.cr = b[i] == '\r'; len(g.line) < lineSize {
				g.line = append(g.line, b[i])
			}
			continue
		}
		if g.faulty = !g.cr || !g.take(bytes.TrimSuffix(g.line, []byte("\r"))); g.faulty {
			return i
		}
		g.line, g.cr = g.line[:0], false
	}
	return len(b)
}

// take takes a line of a head. It returns false for one that is refused.
func (g *guard) take(line []byte) bool {
	if !g.begun {
		g.begun, g.length = true, noLength
		if g.free = string(line) == "PRI * HTTP/2.0"; g.free {
			return true
		}
	}
	name, value, _ := bytes.Cut(line, []byte(":"))
	switch {
	case len(line) == 0: // the head ends
		g.body, g.length = max(0, g.length), noLength
	case bytes.EqualFold(name, []byte("Transfer-Encoding")):
		return false
	case bytes.EqualFold(name, []byte("Content-Length")):
		n, err := strconv.ParseUint(string(bytes.Trim(value, " \t")), 10, 62)
		if err != nil || g.length != noLength || len(line) >= lineSize-1 {
			return false
		}
		g.length = int64(n)
	}
	return true
}

// CloseWrite lets net/http end an answer to a client that is still sending.
func (g *guard) CloseWrite() error {
	if c, ok := g.Conn.(interface{ CloseWrite() error }); ok {
		return c.CloseWrite()
	}
	return nil
}
