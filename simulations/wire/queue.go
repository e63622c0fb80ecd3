//go:build linux

package wire

import (
	"container/heap"
	"time"
)

// A packet waits for the moment when it arrives.
type packet struct {
	due  time.Time
	turn uint64 // among those due at the same time, as they came
	to   taker
	b    []byte
}

// A taker is where a packet arrives.
type taker interface{ take([]byte) }

// A queue is a heap of packets, the next one due on top.
type queue []packet

func (q queue) Len() int { return len(q) }
func (q queue) Less(i, j int) bool {
	if !q[i].due.Equal(q[j].due) {
		return q[i].due.Before(q[j].due)
	}
	return q[i].turn < q[j].turn
}
func (q queue) Swap(i, j int) { q[i], q[j] = q[j], q[i] }
func (q *queue) Push(x any)   { *q = append(*q, x.(packet)) }
func (q *queue) Pop() any {
	last := len(*q) - 1
	p := (*q)[last]
	(*q)[last] = packet{}
	*q = (*q)[:last]
	return p
}

var _ heap.Interface = (*queue)(nil)
