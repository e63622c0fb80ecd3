//go:build !linux

package main

import (
	"fmt"
	"os"
)

func main() {
	fmt.Fprintln(os.Stderr, "lab: rooms need Linux: they are network namespaces")
	os.Exit(1)
}
