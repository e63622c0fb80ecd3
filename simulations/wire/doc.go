// Package wire is a network on one machine whose every packet takes as long as
// it is told to. Each host is a network namespace with a TUN device; the other
// end of all those devices is this process, which holds every IP packet for the
// link's delay and may lose, repeat or reorder it. So TCP's handshake, TLS's and
// multicast are delayed like all else, which a proxy between sockets would hide.
// Programs run on a host unchanged: see Host.Start.
//
// Promised: a packet is never early; without jitter packets keep their order;
// a host reaches the other hosts and nothing else; namespaces and devices go with the
// process, however it ends. How late a packet is depends on the machine: on an
// idle one some 50 µs. IPv4 only.
//
// It needs Linux, root (CAP_NET_ADMIN and CAP_SYS_ADMIN) and /dev/net/tun, and
// the ip command of iproute2; New says which is missing.
package wire
