package main

import (
	"net"
	"sync"
)

// kept are the descriptors that clients don't get: the store's files, 256 of them at
// the most, its logs, and what Go and the metrics need. Without them it can't erase
// what has run out, and whoever opens connections enough would take them all.
const kept = 384

// manyDescriptors is more than a process comes to.
const manyDescriptors = 1 << 30

// connections returns how many connections may be open at once; where descriptors are
// few, half of them.
func connections() int {
	have := descriptors()
	return max(have-kept, have/2)
}

// A bounded listener has so many connections open at once, and no more: others wait
// until one ends. Those that say nothing end after some seconds. (That of x/net/netutil
// hides CloseWrite, by which net/http has a client read an answer that came before all
// of its request was sent.)
type bounded struct {
	net.Listener
	free   chan struct{} // a value a connection that is open
	closed chan struct{}
	once   sync.Once
}

func boundedTo(l net.Listener, n int) *bounded {
	return &bounded{Listener: l, free: make(chan struct{}, n), closed: make(chan struct{})}
}

// Accept implements net.Listener.
func (b *bounded) Accept() (net.Conn, error) {
	select {
	case b.free <- struct{}{}:
	case <-b.closed:
		return nil, net.ErrClosed
	}
	c, err := b.Listener.Accept()
	if err != nil {
		<-b.free
		return nil, err
	}
	return &counted{TCPConn: c.(*net.TCPConn), end: sync.OnceFunc(func() { <-b.free })}, nil
}

// Close implements net.Listener.
func (b *bounded) Close() error {
	b.once.Do(func() { close(b.closed) })
	return b.Listener.Close()
}

// A counted connection makes room when it is closed.
type counted struct {
	*net.TCPConn
	end func()
}

// Close implements net.Conn.
func (c *counted) Close() error {
	defer c.end()
	return c.TCPConn.Close()
}
