package link

import (
	"fmt"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// ParseRelay reads a relay's base URL, as a person gives it, and returns it in
// the one form that a Link has. Plain http is for a relay on this very machine.
func ParseRelay(s string) (string, error) {
	scheme, host, _ := strings.Cut(strings.TrimSuffix(s, "/"), "://")
	scheme, host = strings.ToLower(scheme), strings.ToLower(host)
	if scheme != "http" && scheme != "https" {
		return "", fmt.Errorf("%w: a relay's address starts with https://", ErrDamaged)
	}
	if strings.Contains(host, "@") {
		return "", fmt.Errorf("%w: a relay's address names no user", ErrDamaged)
	}
	host, err := canonicalHost(scheme, host)
	if err != nil {
		return "", err
	}
	relay := scheme + "://" + host
	if scheme == "http" && !(Link{Relay: relay}).Loopback() {
		return "", fmt.Errorf("%w: plain http is for a relay on this very machine", ErrInsecure)
	}
	return relay, nil
}

// The longest name and label of the DNS (RFC 1035, section 2.3.4).
const (
	maxHost  = 253
	maxLabel = 63
)

// isName reports whether s is a host's name: labels of letters, digits, - and _,
// no - at a label's ends.
func isName(s string) bool {
	if len(s) > maxHost {
		return false
	}
	for label := range strings.SplitSeq(s, ".") {
		if label == "" || len(label) > maxLabel || label[0] == '-' || label[len(label)-1] == '-' ||
			!only(label, "abcdefghijklmnopqrstuvwxyz0123456789_-") {
			return false
		}
	}
	return true
}

// endsInNumber reports whether a name's last label is a number, also one of base 16.
func endsInNumber(name string) bool {
	last := name[strings.LastIndex(name, ".")+1:]
	hex, isHex := strings.CutPrefix(last, "0x")
	return last != "" && only(last, digits) || isHex && only(hex, digits+"abcdef")
}

// splitHost takes host[:port] apart: a name, or an address in brackets, and a number.
func splitHost(s string) (name, port string, ok bool) {
	end := strings.Index(s, ":")
	if strings.HasPrefix(s, "[") {
		end = strings.Index(s, "]") + 1
		if end < len("[:]") || !only(s[1:end-1], digits+"abcdef:.") {
			return "", "", false
		}
	} else if end < 0 {
		end = len(s)
	}
	name, s = s[:end], s[end:]
	if name == "" || name[0] != '[' && strings.ContainsAny(name, "[]") {
		return "", "", false
	}
	port, given := strings.CutPrefix(s, ":")
	return name, port, s == "" || given && port != "" && only(port, digits)
}

// canonicalHost checks host[:port] and drops the port that the scheme implies.
func canonicalHost(scheme, host string) (string, error) {
	name, port, ok := splitHost(host)
	if !ok {
		return "", errHost
	}
	if n, err := strconv.ParseUint(port, 10, 16); port != "" && (err != nil || n == 0 || port[0] == '0') {
		return "", fmt.Errorf("%w: its relay's port is none", ErrDamaged)
	}
	inside, bracketed := strings.CutPrefix(strings.TrimSuffix(name, "]"), "[")
	if addr, err := netip.ParseAddr(inside); err == nil {
		if addr.Is6() != bracketed {
			return "", errHost
		}
		if name = addr.String(); bracketed {
			name = "[" + name + "]"
		}
	} else if !isName(name) || endsInNumber(name) {
		// Names that end in a number are read as addresses by some resolvers and
		// not by others: 127.1, 0x7f000001.
		return "", errHost
	}
	if port == "" || scheme == "https" && port == "443" || scheme == "http" && port == "80" {
		return name, nil
	}
	return name + ":" + port, nil
}

var errHost = fmt.Errorf("%w: what should be its relay's host isn't one", ErrDamaged)

// Host returns the relay's host, and its port where it isn't the usual one, for
// people; empty without a relay.
func (l Link) Host() string {
	_, host, _ := strings.Cut(l.Relay, "://")
	return host
}

// Loopback reports whether the relay is this very machine.
func (l Link) Loopback() bool {
	a, ok := l.addr()
	return ok && a.IsLoopback() || l.name() == "localhost"
}

// Private reports whether the relay's host is an address that isn't on the
// public internet, or a name that can't be: who follows such a link asks first.
// What a public name resolves to is for the one who dials it to look at.
func (l Link) Private() bool {
	if l.Relay == "" {
		return false
	}
	if a, ok := l.addr(); ok {
		inside := func(p netip.Prefix) bool { return p.Contains(a) }
		return !a.IsGlobalUnicast() || a.IsPrivate() || slices.ContainsFunc(special, inside)
	}
	top := l.name()[strings.LastIndex(l.name(), ".")+1:]
	return top == l.name() || slices.Contains(localNames, top) || strings.HasSuffix(l.name(), ".home.arpa")
}

// localNames are top names that the public DNS doesn't have.
var localNames = []string{"local", "localhost", "internal", "intranet", "private", "corp", "home", "lan"}

// special are unicast ranges that lead somewhere else than where they seem to.
var special = []netip.Prefix{
	netip.MustParsePrefix("0.0.0.0/8"),
	netip.MustParsePrefix("100.64.0.0/10"), // carriers' own, RFC 6598
	netip.MustParsePrefix("192.0.0.0/24"),  // RFC 6890
	netip.MustParsePrefix("198.18.0.0/15"), // benchmarks, RFC 2544
	netip.MustParsePrefix("240.0.0.0/4"),
	netip.MustParsePrefix("::/96"),        // IPv4 inside, long out of use
	netip.MustParsePrefix("64:ff9b::/96"), // IPv4 inside, RFC 6052
	netip.MustParsePrefix("64:ff9b:1::/48"),
	netip.MustParsePrefix("2002::/16"), // IPv4 inside, RFC 3056
	netip.MustParsePrefix("2001::/32"), // IPv4 inside, RFC 4380
	netip.MustParsePrefix("fec0::/10"), // site-local, RFC 3879
}

func (l Link) name() string { return (&url.URL{Host: l.Host()}).Hostname() }

func (l Link) addr() (netip.Addr, bool) {
	a, err := netip.ParseAddr(l.name())
	return a.Unmap(), err == nil
}
