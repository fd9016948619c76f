package sim

import (
	"runtime/debug"
	"testing"
)

// BenchmarkWorlds plays worlds one after another, as starling sim --seeds does on
// each core.
func BenchmarkWorlds(b *testing.B) {
	defer debug.SetGCPercent(debug.SetGCPercent(800))
	if _, err := theFamily(); err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	seed := uint64(200_000)
	for b.Loop() {
		if err := Run(seed, nil).Err(); err != nil {
			b.Error(err)
		}
		seed++
	}
}
