package main

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/sparekey/sparekey/relay/wire"
)

// inText returns which marks are in a text that a process has written for people,
// in any spelling that they have in requests, in logs or in the stacks of goroutines.
func inText(text string, marks map[string][]byte) (names []string) {
	names = found([]byte(text), marks)
	for what, mark := range marks {
		for how, format := range map[string]string{" in a stack": "%#x, %#x, %#x, %#x", " in decimals": "%d %d %d %d"} {
			if strings.Contains(text, fmt.Sprintf(format, mark[0], mark[1], mark[2], mark[3])) {
				names = append(names, what+how)
			}
		}
	}
	return names
}

// TestRET03LogAndMetricsTellNothingAndThereIsNoDump: a relay in which shares run,
// fail and wait is asked for its metrics, and then for a dump of all stacks.
func TestRET03LogAndMetricsTellNothingAndThereIsNoDump(t *testing.T) {
	t.Parallel()
	p := start(t, t.TempDir(), append(soon, "--metrics", "127.0.0.1:0")...)
	lives, ended := filled(t, p, "ret03-lives", time.Hour), filled(t, p, "ret03-ended", time.Hour)
	ended.delete()
	marks := map[string][]byte{"address": []byte("127.0.0.1:"), "agent": []byte("Go-http-client")}
	for _, m := range []*marked{lives, ended} {
		for what, mark := range m.content() {
			marks[m.name+"'s "+what] = mark
		}
		// What is asked wrongly, with capabilities of others, and streams that stay open.
		for _, path := range []wire.Path{m.at(wire.Mailbox), m.at(wire.Claims), m.at(wire.Confirm), m.lane(0), m.lane(1)} {
			for _, method := range []string{"GET", "PUT", "DELETE", "POST"} {
				m.do(method, path, &m.lanes[2].claim, &m.lanes[2].claim, []byte(m.name))
			}
		}
		req, err := http.NewRequestWithContext(t.Context(), "GET", m.url+m.at(wire.Claims).String(), nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Authorization", wire.Bearer(m.send))
		if res, err := m.client.Do(req); err != nil {
			t.Fatal(err)
		} else {
			defer res.Body.Close()
		}
	}
	res, err := http.Get(p.metrics + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	metrics, err := io.ReadAll(res.Body)
	res.Body.Close()
	if err != nil || !strings.Contains(string(metrics), "sparekey_relay_requests_total") {
		t.Fatalf("no metrics: %v, %s", err, metrics)
	}
	p.cmd.Process.Signal(syscall.SIGQUIT)
	select {
	case <-p.end:
	case <-time.After(patience):
		t.Fatal("the relay doesn't end")
	}
	if err := p.cmd.Wait(); err != nil || strings.Contains(p.log.String(), "goroutine ") {
		t.Errorf("a relay that is asked for a dump ends with %v and prints one: %s", err, p.log)
	}
	said := strings.NewReplacer(p.url, "", p.metrics, "").Replace(p.log.String()) // its own addresses
	for name, text := range map[string]string{"the metrics": string(metrics), "the log": said} {
		if got := inText(text, marks); got != nil {
			t.Errorf("%s: %v\n%s", name, got, text)
		}
	}
}
