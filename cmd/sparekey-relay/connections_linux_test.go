package main

import (
	"fmt"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"
)

// TestStrangersThatHoldConnectionsLeaveTheStoreItsFiles: a relay without descriptors could
// erase nothing, and one connection after another costs a stranger nothing.
func TestStrangersThatHoldConnectionsLeaveTheStoreItsFiles(t *testing.T) {
	t.Parallel()
	const most, clients = 500, 700 // descriptors; connections that are tried
	p := startBy(t, []string{"sh", "-c", fmt.Sprintf(`ulimit -n %d; exec "$0" "$@"`, most)}, t.TempDir())
	addr := strings.TrimPrefix(p.url, "http://")
	var held []net.Conn
	for range clients {
		c, err := net.DialTimeout("tcp", addr, patience)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		if _, err := c.Write([]byte("G")); err != nil { // a request that never comes whole
			t.Fatal(err)
		}
		held = append(held, c)
	}
	// The first of them is sent away after some seconds. Until then the relay has as
	// many as it takes.
	files := 0
	eventually(t, "a connection that says nothing is ended", func() string {
		now, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", p.cmd.Process.Pid))
		if err != nil {
			t.Fatal(err)
		}
		files = max(files, len(now))
		held[0].SetReadDeadline(time.Now().Add(10 * time.Millisecond))
		if _, err := held[0].Read(make([]byte, 1)); !os.IsTimeout(err) {
			return ""
		}
		return "a connection that is open"
	})
	if files < most/2 || files > most*3/4 {
		t.Errorf("clients and store had %d descriptors of %d: clients take at most half of so few", files, most)
	}
	for _, c := range held {
		c.Close()
	}
	res, err := (&http.Client{Timeout: patience}).Get(p.url + "/readyz")
	if err != nil {
		t.Fatal("afterwards:", err)
	}
	res.Body.Close()
	if res.StatusCode != http.StatusOK {
		t.Error("afterwards the relay answers", res.Status)
	}
	p.stop()
}
