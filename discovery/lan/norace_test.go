//go:build !race

package lan_test

const crowd = 1000
