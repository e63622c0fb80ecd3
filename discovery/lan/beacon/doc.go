// Package beacon finds the other device of a share in the same room, by mDNS
// (RFC 6762). It knows no keys: a share has a tag, 15 characters that only the
// two devices can make, and what stands behind a tag is text that only they can
// read.
//
//	question  _<tag>._udp.local. TXT IN, to 224.0.0.251 or ff02::fb, port 5353;
//	          unicast answer wanted, from any port, or not, from port 5353
//	answer    _<tag>._udp.local. TXT IN, TTL 1 s, one string of 1 to 255 bytes;
//	          from port 5353, to whoever asked or to the group
//
// Both with a TTL or hop limit of 1: what is said in a room stays in it.
//
// There are no other records: no service, no host, no address, no port. Two
// shares have nothing in common on the wire but the shape.
//
// Promised: nothing is sent for a tag before it is asked for, and nothing ever
// for a tag that isn't registered. An answer goes out on the interface the
// question came in on, with the text made for it. Questions are asked on every
// interface that is up, by IPv4 and by IPv6, with or without a route; again when
// interfaces or addresses change and after the machine slept. No clock is read
// but to tell how much time went by.
//
// Not promised: that an answer is genuine. Anybody in the room can repeat one or
// make one up; memory and time spent on them are bounded, and whoever uses a text
// must see for itself who wrote it. Nor that everybody is found: a neighbour can
// still drown a question by sending more than 1,000 a second for the same tag, or
// anything at all faster than 20,000 packets a second; and a firewall that lets in
// nothing of mDNS keeps who is behind it from being asked. And while a tag is answered for, unicast
// packets to port 5353 may come to us and not to another responder on this
// machine; what is sent to the group comes to both.
//
// Answering is hashicorp/mdns's work but for what goes to the group (see zone.go),
// asking is ours (see ask.go for why). All shares of a process use one server an
// interface and two asking sockets an interface and IP version, which are there only
// while something needs them.
package beacon
