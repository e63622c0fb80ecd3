// Package relaybench measures the relay as a whole: the real handler over
// loopback connections that speak HTTP/2 with prior knowledge, on the durable
// store, beside the store in memory and beside a handler that does nothing. It
// holds nothing but tests:
//
//	go test -run '^$' -bench . ./relay/relaybench
//
// What is compared is measured in turns within one run, a slice of time each, so
// that whatever else the machine does falls on all of them. Clients and relay
// share one process and its processors. So the clients are lean: a connection is
// one goroutine that writes frames of HTTP/2 made beforehand and reads of the
// answers no more than their status. A client is one request at a time.
package relaybench
