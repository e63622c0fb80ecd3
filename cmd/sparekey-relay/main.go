// Command sparekey-relay runs a relay: a store of mailboxes that it can't open.
package main

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/sparekey/sparekey/relay"
	"github.com/sparekey/sparekey/relay/disk"
)

func main() {
	// SIGQUIT would have Go print all stacks, with parts of ids in their arguments.
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGQUIT)
	defer stop()
	if err := command(os.Stderr).ExecuteContext(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "error:", err)
		os.Exit(1)
	}
}

func command(stderr io.Writer) *cobra.Command {
	root := &cobra.Command{
		Use: "sparekey-relay", Short: "A store-and-forward relay for sparekey that can't read what it keeps",
		SilenceUsage: true, SilenceErrors: true,
	}
	root.AddCommand(serveCommand(stderr), checkCommand())
	return root
}

// A service is what serve's flags say.
type service struct {
	listen    string
	plain     bool
	proxied   bool
	cert, key string
	publicURL string
	data      string
	memory    bool
	metrics   string
	erase     time.Duration
	limits    relay.Limits
	quotas    relay.Quotas
	stderr    io.Writer
}

func serveCommand(stderr io.Writer) *cobra.Command {
	s := &service{stderr: stderr}
	c := &cobra.Command{
		Use: "serve", Short: "Serve until SIGTERM", Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error { return s.run(c.Context()) },
	}
	f := c.Flags()
	f.StringVar(&s.listen, "listen", "127.0.0.1:8443", "address and port to listen on")
	f.BoolVar(&s.plain, "plain-http", false, "serve without TLS: on loopback, or with --behind-proxy")
	f.BoolVar(&s.proxied, "behind-proxy", false, "a proxy in front ends TLS; plain HTTP may listen on any address, and all clients count as one address prefix")
	f.StringVar(&s.cert, "tls-cert", "", "certificate chain, PEM")
	f.StringVar(&s.key, "tls-key", "", "its key, PEM")
	f.StringVar(&s.publicURL, "public-url", "", "where people reach this relay, for its page")
	f.StringVar(&s.data, "data", "", "folder for the mailboxes")
	f.BoolVar(&s.memory, "memory", false, "keep mailboxes in memory only: a restart loses them")
	f.StringVar(&s.metrics, "metrics", "", "address for Prometheus metrics, which name nobody; empty: none")
	f.DurationVar(&s.erase, "erase-after", 3*time.Minute, "how soon after its end no byte of a mailbox is in any file, at most 7m")
	s.boundFlags(c)
	return c
}

// maxErase keeps the promise of 10 minutes: what runs out is met by a sweep
// within one more, and two are left for the disk.
const maxErase = 7 * time.Minute

func (s *service) run(ctx context.Context) (err error) {
	if s.erase <= 0 || s.erase > maxErase {
		return fmt.Errorf("--erase-after is more than 0 and at most %v, for within 10 minutes nothing may be left", maxErase)
	}
	if err := errors.Join(s.checkBounds(), s.missing()); err != nil {
		return err
	}
	tlsConfig, err := s.tls()
	if err != nil {
		return err
	}
	log := slog.New(slog.NewTextHandler(s.stderr, nil))
	store, err := s.store(log)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, store.Shutdown()) }()
	if store.Room() != nil { // those that are there still work, so it serves
		fmt.Fprintln(s.stderr, "sparekey-relay: there is no room for another mailbox, so new shares will be refused: give it more by --max-bytes or --max-mailboxes, or a larger disk")
	}
	l, err := net.Listen("tcp", s.listen)
	if err != nil {
		return fmt.Errorf("can't listen on %s: %w", s.listen, err)
	}
	h := relay.NewHandler(relay.Config{Store: store, Quotas: s.quotas, Logger: log, PublicURL: s.publicURL, Sweep: min(time.Minute, s.erase)})
	if s.metrics != "" {
		stop, err := s.serveMetrics(h)
		if err != nil {
			l.Close()
			return err
		}
		defer stop()
	}
	scheme := "https"
	if tlsConfig == nil {
		scheme = "http"
	}
	fmt.Fprintf(s.stderr, "sparekey-relay: serving %s://%s\n", scheme, l.Addr())
	return relay.Serve(ctx, boundedTo(l, connections()), tlsConfig, h)
}

// missing returns an error that names all that a relay needs and the flags don't say.
func (s *service) missing() error {
	var all []string
	if s.data == "" && !s.memory {
		all = append(all, "--data FOLDER for its mailboxes (or --memory: a restart loses them)")
	}
	if !s.plain && (s.cert == "" || s.key == "") {
		all = append(all, "--tls-cert FILE and --tls-key FILE (or --plain-http, on loopback or with --behind-proxy)")
	}
	if len(all) == 0 {
		return nil
	}
	return fmt.Errorf(`a relay needs %s. For example:
  sparekey-relay serve --listen :443 --data /var/lib/sparekey --tls-cert cert.pem --tls-key key.pem
  sparekey-relay serve --memory --plain-http    # to try it on this machine`, strings.Join(all, ", and "))
}

// tls returns the TLS configuration, nil for plain HTTP where that is allowed.
func (s *service) tls() (*tls.Config, error) {
	switch {
	case s.plain && (s.cert != "" || s.key != ""):
		return nil, errors.New("--plain-http and --tls-cert contradict each other: give one")
	case s.plain && !s.proxied && !loopback(s.listen):
		return nil, fmt.Errorf("plain HTTP on %s would show capabilities to the network: give --tls-cert and --tls-key, listen on loopback, or say --behind-proxy", s.listen)
	case s.plain:
		return nil, nil
	}
	pair, err := tls.LoadX509KeyPair(s.cert, s.key)
	if err != nil {
		return nil, fmt.Errorf("the certificate can't be used: %w", err)
	}
	return &tls.Config{Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS13, NextProtos: []string{"h2", "http/1.1"}}, nil
}

func loopback(addr string) bool {
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return false
	}
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

func (s *service) store(log *slog.Logger) (relay.Store, error) {
	switch {
	case s.memory && s.data != "":
		return nil, errors.New("--memory and --data contradict each other: give one")
	case s.memory:
		return relay.NewMemory(nil, s.limits), nil
	}
	if err := os.MkdirAll(s.data, 0o700); err != nil {
		return nil, fmt.Errorf("the folder for mailboxes can't be made: %w", err)
	}
	return disk.Open(s.data, disk.Options{Limits: s.limits, Scrub: s.erase, Logger: log})
}

func (s *service) serveMetrics(h *relay.Handler) (stop func(), err error) {
	l, err := net.Listen("tcp", s.metrics)
	if err != nil {
		return nil, fmt.Errorf("can't serve metrics on %s: %w", s.metrics, err)
	}
	fmt.Fprintf(s.stderr, "sparekey-relay: metrics on http://%s\n", l.Addr())
	srv := &http.Server{
		Handler: h.Metrics(), ReadHeaderTimeout: 10 * time.Second,
		ErrorLog: slog.NewLogLogger(slog.DiscardHandler, slog.LevelError), // its messages name addresses
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		srv.Serve(l)
	}()
	return func() { srv.Close(); <-done }, nil
}

func checkCommand() *cobra.Command {
	const usual = "http://127.0.0.1:8443"
	var url string
	c := &cobra.Command{
		Use: "check [URL]", Short: "Ask a running relay whether it is well; exit 1 if not", Args: cobra.MaximumNArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			if len(args) > 0 && url != "" {
				return errors.New("the relay to ask is given twice: give it as an argument or by --url")
			}
			return check(c.Context(), cmp.Or(strings.Join(args, ""), url, usual))
		},
	}
	c.Flags().StringVar(&url, "url", "", "the relay to ask, as the argument says it (default "+usual+")")
	return c
}

func check(ctx context.Context, url string) error {
	if !strings.HasPrefix(url, "http://") && !strings.HasPrefix(url, "https://") {
		return fmt.Errorf("%q is no URL of a relay: it begins with http:// or https://", url)
	}
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, strings.TrimSuffix(url, "/")+"/readyz", nil)
	if err != nil {
		return err
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return fmt.Errorf("the relay can't be reached: %w", err)
	}
	res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return fmt.Errorf("the relay isn't ready: it answers %s", res.Status)
	}
	fmt.Println("ready")
	return nil
}
