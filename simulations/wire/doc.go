// Package wire is a network on one machine whose every packet takes as long as
// it is told to. Each host is a network namespace, and the other end of its
// devices is this process, which holds every packet for the link's delay and may
// lose, repeat or reorder it. So TCP's handshake, TLS's and multicast are delayed
// like all else, which a proxy between sockets would hide. Programs run on a host
// unchanged.
//
// There are two kinds. A Wire joins Hosts by IPv4 alone, an address each: for
// measuring. A Switch carries Ethernet frames between Stations, which have as many
// interfaces as one likes, and addresses, routes and link-local IPv6 as kernels
// make them; interfaces come and go, cables are pulled, rules keep frames back,
// and all that is sent can be recorded: for what a room may be like.
//
// Promised: a packet is never early; without jitter packets keep their order; a
// host reaches what it is joined to and nothing else; namespaces, devices and the
// programs on them go with the process, however it ends. How late a packet is
// depends on the machine: on an idle one some 50 µs.
//
// It needs Linux, root (CAP_NET_ADMIN and CAP_SYS_ADMIN) and /dev/net/tun, and
// the ip command of iproute2; what is missing is said.
package wire
