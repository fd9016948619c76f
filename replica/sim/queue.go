package sim

import (
	"container/heap"
	"time"
)

// event is something that happens at an instant of virtual time.
type event struct {
	at    time.Duration // since the world began
	order uint64        // of two at one instant, the one that was planned first
	do    func()
}

// queue is a priority queue of events.
type queue struct {
	events []event
	next   uint64
}

func (q *queue) Len() int { return len(q.events) }
func (q *queue) Less(i, j int) bool {
	a, b := q.events[i], q.events[j]
	return a.at < b.at || a.at == b.at && a.order < b.order
}
func (q *queue) Swap(i, j int) { q.events[i], q.events[j] = q.events[j], q.events[i] }

// Push implements heap.Interface.
func (q *queue) Push(x any) { q.events = append(q.events, x.(event)) }

// Pop implements heap.Interface.
func (q *queue) Pop() any {
	last := len(q.events) - 1
	e := q.events[last]
	q.events[last] = event{}
	q.events = q.events[:last]
	return e
}

func (q *queue) plan(at time.Duration, do func()) {
	q.next++
	heap.Push(q, event{at, q.next, do})
}

func (q *queue) pop() event { return heap.Pop(q).(event) }
