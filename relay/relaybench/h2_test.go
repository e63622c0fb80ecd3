package relaybench

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"io"
	"net"
)

// Of HTTP/2 (RFC 9113), what a client needs that knows its server.
const (
	preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"

	frameData, frameHeaders, frameReset, frameSettings, framePing, frameGoAway, frameWindow = 0, 1, 3, 4, 6, 7, 8

	endStream, endHeaders, ack = 1, 4, 1
)

// A conn is one connection of a client that writes requests as it is told to.
type conn struct {
	net.Conn
	r    *bufio.Reader
	w    *bufio.Writer
	next uint32 // id of the next stream
	head [9]byte
	body []byte
}

// dial opens a connection. The settings forbid a dynamic table, so that an
// answer's header can be read without the ones before, and open the window wide.
func dial(addr string) (*conn, error) {
	n, err := net.Dial("tcp", addr)
	if err != nil {
		return nil, err
	}
	c := &conn{Conn: n, r: bufio.NewReaderSize(n, 64<<10), w: bufio.NewWriterSize(n, 64<<10), next: 1}
	c.w.WriteString(preface)
	c.frame(frameSettings, 0, 0, []byte{0, 1, 0, 0, 0, 0, 0, 4, 0x7f, 0xff, 0xff, 0xff})
	c.frame(frameWindow, 0, 0, binary.BigEndian.AppendUint32(nil, 1<<30))
	return c, c.w.Flush()
}

// frame puts a frame into the buffer.
func (c *conn) frame(kind, flags byte, stream uint32, payload []byte) {
	n := len(payload)
	c.w.Write([]byte{byte(n >> 16), byte(n >> 8), byte(n), kind, flags,
		byte(stream >> 24), byte(stream >> 16), byte(stream >> 8), byte(stream)})
	c.w.Write(payload)
}

// request puts a request into the buffer and returns its stream.
func (c *conn) request(header, body []byte) uint32 {
	id := c.next
	c.next += 2
	if body == nil {
		c.frame(frameHeaders, endHeaders|endStream, id, header)
		return id
	}
	c.frame(frameHeaders, endHeaders, id, header)
	c.frame(frameData, endStream, id, body)
	return id
}

// An event is a frame of an answer.
type event struct {
	stream uint32
	status int    // of the answer that begins; 0: it goes on
	data   []byte // valid until the next read
	ended  bool
}

// read returns the next frame of an answer, and writes what is buffered before it
// has to wait.
func (c *conn) read() (event, error) {
	for {
		if c.r.Buffered() == 0 {
			if err := c.w.Flush(); err != nil {
				return event{}, err
			}
		}
		if _, err := io.ReadFull(c.r, c.head[:]); err != nil {
			return event{}, err
		}
		n := int(c.head[0])<<16 | int(c.head[1])<<8 | int(c.head[2])
		if cap(c.body) < n {
			c.body = make([]byte, n)
		}
		b := c.body[:n]
		if _, err := io.ReadFull(c.r, b); err != nil {
			return event{}, err
		}
		e := event{stream: binary.BigEndian.Uint32(c.head[5:]), ended: c.head[4]&endStream != 0}
		switch kind := c.head[3]; {
		case kind == frameHeaders:
			e.status = status(b)
			return e, nil
		case kind == frameData:
			e.data = b
			return e, nil
		case kind == frameSettings && c.head[4]&ack == 0:
			c.frame(frameSettings, ack, 0, nil)
		case kind == framePing && c.head[4]&ack == 0:
			c.frame(framePing, ack, 0, b)
		case kind == frameReset, kind == frameGoAway:
			return event{}, fmt.Errorf("the server sent a frame of type %d: %x", kind, b)
		}
	}
}

// status reads the status, which stands first in an answer's header; -1 is
// another one than these requests are answered with.
func status(b []byte) int {
	for len(b) > 0 && b[0]&0xe0 == 0x20 { // a table's new size
		b = b[1:]
	}
	switch {
	case len(b) > 0 && b[0] == 0x88:
		return 200
	case len(b) > 0 && b[0] == 0x89:
		return 204
	case len(b) > 3 && b[0] >= 0x08 && b[0] <= 0x0e && [3]byte(b[1:4]) == [3]byte{0x82, 0x10, 0x03}: // "201" in Huffman's code, the name by any of :status's numbers
		return 201
	}
	return -1
}

// header encodes a request's header: what the static table has by its number,
// the rest as it is, into no table.
func header(method, path string, length int, bearer, device string) []byte {
	b := []byte{0x86} // :scheme http
	if method == "GET" {
		b = append(b, 0x82)
	} else {
		b = word(append(b, 0x02), method)
	}
	b = word(append(b, 0x04), path)
	b = word(append(b, 0x01), "relay")
	if length > 0 {
		b = word(append(b, 0x0f, 28-15), fmt.Sprint(length))
	}
	if bearer != "" {
		b = word(append(b, 0x0f, 23-15), bearer)
	}
	if device != "" {
		b = word(word(append(b, 0), "mailbox-device-claim"), device)
	}
	return b
}

// word appends a string, of at most 126 bytes, without Huffman's code.
func word(b []byte, s string) []byte {
	if len(s) > 126 {
		panic("relaybench: a header's field is too long for this encoder: " + s)
	}
	return append(append(b, byte(len(s))), s...)
}
