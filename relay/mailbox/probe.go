package mailbox

import (
	"context"
	"io"
	"net/http"
	"time"

	"github.com/sparekey/sparekey/relay/wire"
)

// Probe asks a relay whether it is one, and whether it is ready, and returns what its
// clock says; the zero time if it tells none. It names no share. Errors are a
// *RelayError, behind which the cause stands: those of net, crypto/x509 and crypto/tls.
func Probe(ctx context.Context, c Config, relay string) (clock time.Time, err error) {
	t, err := newTransport(c, relay)
	if err != nil {
		return time.Time{}, err
	}
	defer t.close()
	// Only a relay of ours says in this way that there is nothing at its root.
	err = t.do(ctx, call{method: http.MethodGet, path: wire.Path{}})
	switch {
	case err == nil:
		return time.Time{}, &RelayError{Fault: Garbage, Host: t.name, What: "gave an answer that isn't a sparekey relay's"}
	case !is(err, wire.NoCall):
		return time.Time{}, err
	}
	res, err := t.begin(ctx, call{method: http.MethodGet, path: wire.Path{Place: wire.Ready}})
	if err != nil {
		return time.Time{}, err
	}
	defer res.Body.Close()
	_, err = io.Copy(io.Discard, io.LimitReader(res.Body, 1<<10))
	clock, _ = http.ParseTime(res.Header.Get("Date"))
	return clock, err
}
