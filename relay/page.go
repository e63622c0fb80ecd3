package relay

import (
	"crypto/sha256"
	"encoding/base64"
	"html"
	"net/http"
	"net/url"
	"strings"
)

// A page is what stands behind every link: the same bytes for each of them, so
// that whoever fetches a link's URL, and all who scan, preview and crawl, learn
// nothing and change nothing. There is no script in it.
type page struct {
	body   []byte
	policy string // Content-Security-Policy
}

const pageStyle = `body{font:1.1rem/1.5 system-ui,sans-serif;max-width:36rem;margin:3rem auto;padding:0 1rem;color:#222;background:#fff}` +
	`code{background:#eee;padding:.15rem .3rem;border-radius:.2rem;overflow-wrap:anywhere}` +
	`@media(prefers-color-scheme:dark){body{color:#ddd;background:#161616}code{background:#333}}`

const pageText = `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<meta name="robots" content="noindex, nofollow">
<meta name="referrer" content="no-referrer">
<meta property="og:type" content="website">
<meta property="og:site_name" content="sparekey">
<meta property="og:title" content="A key has been shared with you">
<meta property="og:description" content="Open this link with sparekey on the device that is to hold the key.">
<title>A key has been shared with you</title>
<style>STYLE</style>
</head>
<body>
<main>
<h1>A key has been shared with you</h1>
<p>This link hands one credential, such as a key, a ticket or a password, to one device. This page can't open it, and looking at this page has not used it up.</p>
<h2>What to do</h2>
<ol>
<li>Install sparekey on the device that is to hold it.</li>
<li>Copy the whole link, with the part after <code>#</code>.</li>
<li>Run <code>sparekey receive</code> there, paste the link when asked, look at what is offered, and accept it.</li>
</ol>
<p>The link works once. Don't pass it on: whoever has all of it can accept it in your place.</p>
HOST</main>
</body>
</html>
`

func newPage(publicURL string) page {
	host := ""
	if u, err := url.Parse(publicURL); err == nil && u.Host != "" {
		host = "<p>Relay: " + html.EscapeString(u.Host) + "</p>\n"
	}
	hash := sha256.Sum256([]byte(pageStyle))
	return page{
		body: []byte(strings.NewReplacer("STYLE", pageStyle, "HOST", host).Replace(pageText)),
		policy: "default-src 'none'; style-src 'sha256-" + base64.StdEncoding.EncodeToString(hash[:]) +
			"'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; sandbox",
	}
}

// servePage answers with the page, whatever the link and its query. Methods that
// don't read get the page too, beside their 405: a scanner that tries them all
// sees one thing. Neither asks the store.
func (h *Handler) servePage(x *exchange) {
	x.call = "page"
	head := x.w.Header()
	head.Set("Content-Security-Policy", h.page.policy)
	head.Set("Referrer-Policy", "no-referrer")
	head.Set("X-Frame-Options", "DENY")
	head.Set("X-Robots-Tag", "noindex, nofollow")
	head.Set("Cross-Origin-Opener-Policy", "same-origin")
	head.Set("Cross-Origin-Resource-Policy", "same-origin")
	status := http.StatusOK
	if x.r.Method != http.MethodGet && x.r.Method != http.MethodHead {
		head.Set("Allow", "GET, HEAD")
		status = http.StatusMethodNotAllowed
	}
	x.answer(status, "text/html; charset=utf-8", h.page.body)
}
