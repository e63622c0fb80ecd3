//go:build linux

package main

// between says what stands between a figure and its goal, where one is missed.
var between = map[string]string{}
