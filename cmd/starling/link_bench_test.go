package main

import (
	"slices"
	"testing"
	"time"
)

// BenchmarkLink links a new device on loopback as a person does, but for the
// person: from the start of link and join, which are processes of their own, until
// both have ended, the new one with all that the account holds. Nothing is
// stretched, as the directories open with key files. It reports the median and the
// longest.
//
//	go test ./cmd/starling -run '^$' -bench '^BenchmarkLink$' -benchtime 20x
func BenchmarkLink(b *testing.B) {
	var took []time.Duration
	for b.Loop() {
		founder, other := newMachine(b, "laptop"), newMachine(b, "phone") // five invites an hour are allowed
		founder.run(nil, "init", "--name", "laptop", "--yes")
		founder.up()
		began := time.Now()
		founder.invite(other)
		took = append(took, time.Since(began))
		founder.down()
	}
	slices.Sort(took)
	b.ReportMetric(float64(took[len(took)/2].Microseconds())/1000, "link-p50-ms")
	b.ReportMetric(float64(took[len(took)-1].Microseconds())/1000, "link-max-ms")
}
