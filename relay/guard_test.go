package relay

import (
	"bufio"
	"bytes"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
)

// pieces is a connection whose bytes come in pieces of a given size.
type pieces struct {
	net.Conn
	b    []byte
	size int
}

func (p *pieces) Read(b []byte) (int, error) {
	if len(p.b) == 0 {
		return 0, io.EOF
	}
	n := copy(b[:min(len(b), p.size)], p.b)
	p.b = p.b[n:]
	return n, nil
}

func guardedBytes(t *testing.T, b []byte, size int) []byte {
	t.Helper()
	out, err := io.ReadAll(&guard{Conn: &pieces{b: b, size: size}})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// FuzzGuard holds a guard to what is built on it: however the bytes come, the
// same is passed on; what is passed on is what came, up to a fault; and in it
// net/http finds no request whose end could be seen elsewhere.
func FuzzGuard(f *testing.F) {
	const get, put = "GET / HTTP/1.1\r\nHost: x\r\n\r\n", "PUT / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\na\nb"
	for _, s := range []string{
		"", "\n", "\r\n", get, put, get + put + get, put + put, strings.ReplaceAll(get, "\r", ""), strings.Replace(put, "3", "4", 1) + get,
		"PUT / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "PUT / HTTP/1.1\r\nHost: x\r\ncontent-length:0\r\ncontent-length:1\r\n\r\n",
		"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\n\n", get + "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\n", "\r\nGET / HTTP/1.1\r\nHost: x\r\n\n",
	} {
		f.Add([]byte(s), byte(1))
		f.Add([]byte(s), byte(7))
	}
	f.Fuzz(func(t *testing.T, b []byte, size byte) {
		whole := guardedBytes(t, b, 1<<20)
		if got := guardedBytes(t, b, int(size)+1); !bytes.Equal(got, whole) {
			t.Fatalf("%q in pieces of %d is passed on as %q, whole as %q", b, int(size)+1, got, whole)
		}
		passed, ok := whole, bytes.Equal(whole, b)
		for _, end := range [][]byte{refusal(true), refusal(false)} {
			if rest, cut := bytes.CutSuffix(whole, end); !ok && cut && bytes.HasPrefix(b, rest) {
				passed, ok = rest, true
			}
		}
		if !ok {
			t.Fatalf("%q is passed on as %q", b, whole)
		}
		if bytes.HasPrefix(passed, []byte("PRI * HTTP/2.0\r\n")) {
			return
		}
		in := bufio.NewReader(bytes.NewReader(whole))
		for {
			r, err := http.ReadRequest(in)
			if err != nil {
				return
			}
			if len(r.TransferEncoding) > 0 {
				t.Fatalf("%q: net/http finds a coding in %q", b, whole)
			}
			if n, _ := io.Copy(io.Discard, r.Body); n != r.ContentLength && r.ContentLength > 0 {
				return // the rest didn't come
			}
		}
	})
}
