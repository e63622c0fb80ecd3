// Command lab shares credentials between real programs in rooms of every kind,
// and says of each whether all of them arrived, once each, and by which way:
//
//	make lab                      all cells, five shares each: a table
//	bin/lab -only 'cable'         the cells whose name has this word
//
// A room is a switch of package simulations/wire with two devices and a router
// on it, made anew for each share: network namespaces, with interfaces, addresses
// and routes as kernels make them. The relay stands behind the router. What is
// wrong with the room stands in the table of cells, and what happens in the
// middle of a share: between the receiver's look and its yes, or while one
// program waits for the other. Nothing counts on time to pass: it waits for what
// the programs say, and every wait is bounded.
//
// It judges from outside: exit codes, the lines of --json, and the files that are
// left. It needs Linux, root, /dev/net/tun and iproute2.
package main
