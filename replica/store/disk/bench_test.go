package disk

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/starling-sync/starling/replica/store"
)

// openBench opens a store that is closed with the benchmark.
func openBench(b *testing.B, dir string) *Store {
	b.Helper()
	s, err := Open(dir, testConfig())
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { s.Close() })
	return s
}

// account puts what an account of 15,000 documents has: 45,000 records of 300
// to 800 bytes, in batches of 100.
func account(tb testing.TB, s *Store) {
	tb.Helper()
	r := rand.New(rand.NewPCG(1, 1))
	const records, perBatch = 45_000, 100
	for i := 0; i < records; i += perBatch {
		b := new(store.Batch)
		for j := range perBatch {
			key := fmt.Appendf(nil, "%032x", r.Uint64())
			b.Put(store.Table(1+(i+j)%3), key, bytes.Repeat([]byte{byte(j)}, 300+r.IntN(500)))
		}
		if err := s.Commit(b); err != nil {
			tb.Fatal(err)
		}
	}
}

func BenchmarkOpen45000(b *testing.B) {
	dir := b.TempDir()
	s, err := Open(dir, testConfig())
	if err != nil {
		b.Fatal(err)
	}
	account(b, s)
	if err := s.Close(); err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		s, err := Open(dir, testConfig())
		if err != nil {
			b.Fatal(err)
		}
		b.StopTimer()
		if err := s.Close(); err != nil {
			b.Fatal(err)
		}
		b.StartTimer()
	}
}

func BenchmarkCommitSingle(b *testing.B) {
	s := openBench(b, b.TempDir())
	value := make([]byte, 500)
	for i := 0; b.Loop(); i++ {
		commitOne(b, s, i, value)
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "commits/s")
}

func commitOne(b *testing.B, s *Store, i int, value []byte) {
	batch := new(store.Batch)
	batch.Put(1, fmt.Appendf(nil, "%032d", i), value)
	if err := s.Commit(batch); err != nil {
		b.Error(err)
	}
}

func BenchmarkCommit64Concurrent(b *testing.B) {
	s := openBench(b, b.TempDir())
	value := make([]byte, 500)
	b.SetParallelism(32) // times two processors
	b.RunParallel(func(pb *testing.PB) {
		for i := rand.IntN(1 << 40); pb.Next(); i++ { //lint:allow rand.IntN each goroutine of a benchmark needs its own keys; no result depends on them
			commitOne(b, s, i, value)
		}
	})
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "commits/s")
}

func BenchmarkCommitBatch1000(b *testing.B)  { benchmarkBatch(b, 1000, 500) }
func BenchmarkCommitBatch20000(b *testing.B) { benchmarkBatch(b, 20_000, 500) }

func benchmarkBatch(b *testing.B, records, size int) {
	s := openBench(b, b.TempDir())
	value := make([]byte, size)
	for i := 0; b.Loop(); i++ {
		batch := new(store.Batch)
		for j := range records {
			batch.Put(1, fmt.Appendf(nil, "%032d", i*records+j), value)
		}
		if err := s.Commit(batch); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.N*records)/b.Elapsed().Seconds(), "records/s")
}

func BenchmarkGet(b *testing.B) {
	s := openBench(b, b.TempDir())
	account(b, s)
	var keys [][]byte
	if err := s.Scan(1, nil, nil, func(k, v []byte) error {
		keys = append(keys, bytes.Clone(k))
		return nil
	}); err != nil {
		b.Fatal(err)
	}
	r := rand.New(rand.NewPCG(2, 2))
	for b.Loop() {
		if _, err := s.Get(1, keys[r.IntN(len(keys))]); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkScan15000(b *testing.B) {
	s := openBench(b, b.TempDir())
	account(b, s)
	for b.Loop() {
		n := 0
		if err := s.Scan(1, nil, nil, func(k, v []byte) error { n++; return nil }); err != nil || n != 15_000 {
			b.Fatal(n, err)
		}
	}
}
