package crdt

import (
	"fmt"
	"syscall"
	"testing"

	"github.com/starling-sync/starling/crdt/change"
)

// savedOf returns a saved document of so many changes of one field, each of another
// element.
func savedOf(b *testing.B, changes int) []byte {
	b.Helper()
	d := newDocument(b, 1)
	for i := range changes {
		write(b, d, 1_700_000_000_000+int64(i), func(e *Edit) error { return tags.Add(e, fmt.Sprint("element ", i), fmt.Sprint("value ", i)) })
	}
	saved, err := d.Save()
	if err != nil {
		b.Fatal(err)
	}
	return saved
}

// processorTime returns the time in nanoseconds that this process had a processor,
// which others that are busy on the machine do not change.
func processorTime(b *testing.B) int64 {
	b.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return u.Utime.Nano() + u.Stime.Nano()
}

// BenchmarkSaved reads saved documents in every way there is, with the collector's
// share in it.
func BenchmarkSaved(b *testing.B) {
	for _, n := range []int{3, 66, 1000} {
		saved := savedOf(b, n)
		d, err := LoadDocument(saved, Writer{1})
		if err != nil {
			b.Fatal(err)
		}
		changes, err := d.Changes()
		if err != nil {
			b.Fatal(err)
		}
		packs, err := d.pack(changes)
		if err != nil {
			b.Fatal(err)
		}
		for _, way := range []struct {
			name string
			do   func() error
		}{
			{"ParseSaved", func() error { _, err := change.ParseSaved(saved); return err }},
			{"LoadDocument", func() error { _, err := LoadDocument(saved, Writer{1}); return err }},
			{"LoadDocumentSince", func() error { _, err := LoadDocument(nil, Writer{1}, packs...); return err }},
			{"Stored", func() error { d.packs, d.fresh = nil, changes; _, _, err := d.Stored(); return err }},
			{"Save", func() error { d.saved, d.packs, d.fresh = nil, packs, nil; _, err := d.Save(); return err }},
			{"readSavedOfCore", func() error { _, err := changesOfCore(saved); return err }},
		} {
			b.Run(fmt.Sprintf("%s/%d", way.name, n), func(b *testing.B) {
				b.ReportAllocs()
				before := processorTime(b)
				for b.Loop() {
					if err := way.do(); err != nil {
						b.Fatal(err)
					}
				}
				b.ReportMetric(float64(processorTime(b)-before)/float64(b.N*n), "cpu-ns/change")
			})
		}
	}
}

// BenchmarkStored is what it costs to store a document after each change of one field,
// over so many changes since it was saved; of one writer, and of two that take turns.
func BenchmarkStored(b *testing.B) {
	for _, n := range []int{64, 512} {
		for _, writers := range []int{1, 2} {
			b.Run(fmt.Sprintf("changes=%d/writers=%d", n, writers), func(b *testing.B) {
				most, spent := 0, int64(0)
				for b.Loop() {
					documents := []*Document{newDocument(b, 1), newDocument(b, 2)}
					for i := range n {
						at, other := documents[i%writers], documents[1-i%writers]
						c := write(b, at, 1_700_000_000_000+int64(i), func(e *Edit) error { return mark.Raise(e, "", int64(i)) })
						apply(b, other, c)
						began := processorTime(b)
						_, packs, err := documents[0].Stored()
						spent += processorTime(b) - began
						if err != nil {
							b.Fatal(err)
						}
						most = max(most, len(packs))
					}
				}
				b.ReportMetric(float64(spent)/float64(b.N*n)/1e3, "cpu-µs/change")
				b.ReportMetric(float64(most), "packs")
			})
		}
	}
}
