package quicpath

import (
	"context"
	"crypto/tls"
	"io"
	"testing"
	"time"

	"github.com/quic-go/quic-go"

	"github.com/sparekey/sparekey/discovery"
	"github.com/sparekey/sparekey/noise/frame"
)

// BenchmarkConnect measures, by turns, from dialling to the first frame at the
// dialler, over packets that take 50 ms each way: a path of ours, whose listener sends
// it with its first flight, and quic-go in its plain order, where a dialler asks once
// the handshake has ended and the listener answers. Both in round trips.
func BenchmarkConnect(b *testing.B) {
	const delay = 50 * time.Millisecond
	trips := func(d time.Duration) float64 { return d.Seconds() / (2 * delay).Seconds() }
	var ours, plain time.Duration
	for b.Loop() {
		ours += connectOurs(b, newNetwork(delay))
		plain += connectPlain(b, newNetwork(delay))
	}
	n := time.Duration(b.N)
	b.ReportMetric(trips(ours/n), "ours-trips")
	b.ReportMetric(trips(plain/n), "plain-trips")
}

func connectOurs(b *testing.B, n *network) time.Duration {
	sender, receiver := pair("connect")
	sender.First = func() []frame.Frame { return frames(3000) }
	here, there, _ := room(b, n, sender)
	defer here.Close() // a benchmark opens many
	defer there.Close()
	start := time.Now()
	p, err := there.Dial(context.Background(), aliceAt, receiver)
	if err != nil {
		b.Fatal(err)
	}
	if _, err := p.(discovery.Direct).Receive(context.Background()); err != nil {
		b.Fatal(err)
	}
	return time.Since(start)
}

func connectPlain(b *testing.B, n *network) time.Duration {
	here, there := &quic.Transport{Conn: n.end(alice)}, &quic.Transport{Conn: n.end(bob)}
	defer here.Close()
	defer there.Close()
	cert, err := throwaway()
	if err != nil {
		b.Fatal(err)
	}
	const protocol = "plain"
	l, err := here.Listen(&tls.Config{Certificates: []tls.Certificate{cert}, NextProtos: []string{protocol}}, nil)
	if err != nil {
		b.Fatal(err)
	}
	go func() {
		conn, err := l.Accept(context.Background())
		if err != nil {
			return
		}
		str, err := conn.AcceptStream(context.Background())
		if err != nil {
			return
		}
		io.ReadFull(str, make([]byte, 1))
		str.Write(make([]byte, 3000))
		str.Close()
	}()
	start := time.Now()
	conn, err := there.Dial(context.Background(), n.ends[aliceAt].LocalAddr(), &tls.Config{InsecureSkipVerify: true, NextProtos: []string{protocol}}, nil)
	if err != nil {
		b.Fatal(err)
	}
	defer conn.CloseWithError(0, "")
	str, err := conn.OpenStreamSync(context.Background())
	if err != nil {
		b.Fatal(err)
	}
	str.Write([]byte{1})
	if _, err := io.ReadFull(str, make([]byte, 3000)); err != nil {
		b.Fatal(err)
	}
	return time.Since(start)
}
