//go:build race

package lan_test

// crowd is smaller under the race detector, with which a thousand shares take many
// minutes: `make test` runs the thousand without it.
const crowd = 100
