//go:build !linux

package beacon

import "net"

// confine does nothing here: these systems give a multicast packet only to
// sockets that joined its group on the interface it came by.
func confine(*net.UDPConn, net.Interface) error { return nil }
