//go:build !linux

package main

import (
	"fmt"
	"os"
)

func main() {
	fmt.Fprintln(os.Stderr, "bench: the wire needs Linux: its hosts are network namespaces")
	os.Exit(1)
}
