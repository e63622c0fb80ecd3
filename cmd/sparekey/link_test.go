package main

import (
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/sparekey/sparekey/relay/liar"
)

// TestLNK01ALinkBrokenByMailOpensOrIsRefusedBeforeAnyRequest gives the real
// program what mail makes of a link; node/link's test has all readings.
func TestLNK01ALinkBrokenByMailOpensOrIsRefusedBeforeAnyRequest(t *testing.T) {
	t.Parallel()
	r := newRelay(t)
	p := newLiar(t, r.url)
	alice, bob := newDevice(t), newDevice(t)
	link := alice.offered(p.URL())
	for _, broken := range []string{"<" + link + ">", link + ".", "(" + link + ")", link[:40] + "\n" + link[40:], "> " + link + "\r\n"} {
		bob.start("view", broken).exits(exitDone)
	}
	calls := callsSoFar(t, p)
	for _, hopeless := range []string{link + " " + link[:len(link)-2] + "AA", link[:len(link)-1], link + "AA", ""} {
		bob.start("view", hopeless).exits(exitUsage)
	}
	if n := callsSoFar(t, p); n != calls {
		t.Errorf("%d calls were made for links that can't be read", n-calls)
	}
}

func TestLNK02ALinkWithoutItsSecretIsToldAndNothingIsSent(t *testing.T) {
	t.Parallel()
	p := newLiar(t, newRelay(t).url)
	alice, bob := newDevice(t), newDevice(t)
	address, _, _ := strings.Cut(alice.offered(p.URL()), "#")
	calls := callsSoFar(t, p)
	receiver := bob.receive(address)
	receiver.exits(exitUsage)
	if !strings.Contains(receiver.said(), "the secret part after # is missing") || callsSoFar(t, p) != calls {
		t.Errorf("after %d calls: %s", len(p.Calls())-calls, receiver.said())
	}
}

// TestLNK03AChangedCharacterIsRefusedAHundredTimesAndTheShareStaysWhole: the
// relay doesn't tell a wrong secret from a wrong share.
func TestLNK03AChangedCharacterIsRefusedAHundredTimesAndTheShareStaysWhole(t *testing.T) {
	t.Parallel()
	const letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	r := newRelay(t)
	alice, bob, eve := newDevice(t), newDevice(t), newDevice(t)
	sender, link := alice.share(r.url)
	rnd := rand.New(rand.NewPCG(3, 1))
	first := strings.Index(link, "/s/") + 3
	tried := map[string]bool{link: true}
	changed := func() string { // no link twice: of two that receive by one in the same vault, one is told of the other
		for {
			at := first + rnd.IntN(len(link)-first)
			l := link[:at] + letters[rnd.IntN(len(letters)):][:1] + link[at+1:]
			if link[at] != '#' && !tried[l] {
				tried[l] = true
				return l
			}
		}
	}
	for range 10 {
		var tries []*process // each waits for its share to show up, until its time is over
		for range 10 {
			tries = append(tries, eve.receive(changed(), "--timeout", "1s"))
		}
		for _, p := range tries {
			if code := p.exit(); code != exitNoPath && code != exitUsage {
				t.Fatalf("exit %d: %s", code, p.said())
			}
		}
	}
	handedOver(t, alice, bob, sender, bob.receive(link))
	if strings.Contains(sender.said(), "share.refused") || eve.got() != "" {
		t.Errorf("the sender has heard of it: %s", sender.said())
	}
}

// TestLNK04ALinkThatLeadsElsewhereIsNotFollowed: to a file, an internal address,
// over plain HTTP, by a redirect; and another service learns nothing.
// (TestLNK04TheRelayIsShownAndAskedAbout has the question.)
func TestLNK04ALinkThatLeadsElsewhereIsNotFollowed(t *testing.T) {
	t.Parallel()
	path := "/s/AAAAAAAAAAAAAAAAAAAAAA#AAAAAAAAAAAAAAAAAAAAAA"
	bob := newDevice(t)
	for link, code := range map[string]int{
		"file:///etc/passwd" + path[2:]:        exitUsage,
		"http://relay.example.org" + path:      exitUsage,
		"https://192.168.1.1" + path:           exitRefused,
		"https://10.0.0.1:8080" + path:         exitRefused,
		"https://[fd00::1]" + path:             exitRefused,
		"https://169.254.169.254" + path:       exitRefused,
		"https://user:pw@relay.example" + path: exitUsage,
	} {
		if got := bob.receive(link); got.exit() != code {
			t.Errorf("%s: exit %d, want %d\n%s", link, got.exit(), code, got.said())
		}
	}
	elsewhere := newLiar(t, newRelay(t).url)
	p := newLiar(t, elsewhere.URL(), liar.Rule{Do: liar.Redirect, To: elsewhere.URL() + "/v1/mailboxes/AAAAAAAAAAAAAAAAAAAAAA"})
	receiver := bob.receive(p.URL() + path)
	receiver.comes("path.trouble")
	receiver.kill()
	if calls := elsewhere.Calls(); len(calls) != 0 {
		t.Errorf("a redirect to another host was followed: %+v", calls)
	}
}

// TestLNK04AnotherServiceLearnsNothingFromALinkThatLeadsToIt: a port where
// something else listens is sent no secret, and what it answers is harmless.
func TestLNK04AnotherServiceLearnsNothingFromALinkThatLeadsToIt(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	got := make(chan string, 1)
	go func() {
		c, err := l.Accept()
		if err != nil {
			return
		}
		defer c.Close()
		b := make([]byte, 4096)
		n, _ := io.ReadAtLeast(c, b, 24)
		io.WriteString(c, "220 mail.example ESMTP\r\n\x1b[2J")
		got <- string(b[:n])
	}()
	receiver := newDevice(t).receive("http://" + l.Addr().String() + "/s/AAAAAAAAAAAAAAAAAAAAAA#secretsecretsecretsecA")
	e := receiver.comes("path.trouble")
	receiver.kill()
	if sent := <-got; strings.Contains(sent, "secretsecret") || strings.Contains(e.Message, "\x1b") {
		t.Errorf("sent %q, told %q", sent, e.Message)
	}
}

// fetch makes a request of the relay and returns what came.
func fetch(t *testing.T, method, url, agent string) (status int, header http.Header, body string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("User-Agent", agent)
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res.StatusCode, res.Header, string(b)
}

// TestPRV01LinkScannersSeeOnePageAndTheReceiverCanStillClaim fetches a fresh
// link 50 times with every method and many names.
func TestPRV01LinkScannersSeeOnePageAndTheReceiverCanStillClaim(t *testing.T) {
	t.Parallel()
	r := newRelay(t)
	alice, bob := newDevice(t), newDevice(t)
	sender, link := alice.share(r.url)
	address, _, _ := strings.Cut(link, "#")
	_, _, page := fetch(t, "GET", address, "curl/8")
	for i := range 50 {
		for _, method := range []string{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"} {
			status, header, body := fetch(t, method, address, fmt.Sprint("Slackbot-LinkExpanding 1.", i))
			if len(header.Values("Set-Cookie")) != 0 || method == "GET" && body != page || method != "GET" && method != "HEAD" && status != 405 {
				t.Fatalf("%s number %d: status %d, %v, %s", method, i, status, header, body)
			}
		}
	}
	handedOver(t, alice, bob, sender, bob.receive(link))
}

// TestPRV02ASandboxThatOpensTheLinkClaimsNothing does five times over all that
// the page could make a browser do: it fetches everything that it names. There
// is no script in it to run (and its policy lets none run), so nothing that it
// holds could read the part behind #.
func TestPRV02ASandboxThatOpensTheLinkClaimsNothing(t *testing.T) {
	t.Parallel()
	r := newRelay(t)
	p := newLiar(t, r.url)
	alice, bob := newDevice(t), newDevice(t)
	sender, link := alice.share(p.URL())
	address, _, _ := strings.Cut(link, "#")
	named := regexp.MustCompile(`(?i)(?:src|href|action|data|poster|srcset|content|url)\s*[=(]\s*["']?([^"'\s)>]+)`)
	active := regexp.MustCompile(`(?i)<script|\son[a-z]+\s*=|javascript:|<iframe|<object|<embed|<form|http-equiv\s*=\s*["']?refresh`)
	for range 5 {
		_, header, page := fetch(t, "GET", address, "Mozilla/5.0")
		if found := active.FindString(page); found != "" {
			t.Fatalf("the page has something active: %s", found)
		}
		if policy := header.Get("Content-Security-Policy"); !strings.Contains(policy, "default-src 'none'") {
			t.Errorf("the page's policy is %q", policy)
		}
		for _, m := range named.FindAllStringSubmatch(page, -1) {
			switch {
			case strings.HasPrefix(m[1], p.URL()):
				fetch(t, "GET", m[1], "Mozilla/5.0")
			case strings.HasPrefix(m[1], "/"):
				fetch(t, "GET", p.URL()+m[1], "Mozilla/5.0")
			case strings.HasPrefix(m[1], "http:"), strings.HasPrefix(m[1], "https:"), strings.HasPrefix(m[1], "//"):
				t.Errorf("the page leads to another host: %s", m[1])
			}
		}
	}
	if len(sender.events()) != 1 {
		t.Errorf("the sender has heard of it: %s", sender.said())
	}
	if slices.ContainsFunc(p.Calls(), func(c liar.Call) bool { return strings.Contains(c.Path, "/lanes/") }) {
		t.Error("a lane was asked for")
	}
	handedOver(t, alice, bob, sender, bob.receive(link))
	if strings.Contains(sender.said(), "share.refused") {
		t.Errorf("the sender saw a second device: %s", sender.said())
	}
}
