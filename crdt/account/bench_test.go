package account_test

import (
	"fmt"
	"testing"

	"github.com/starling-sync/starling/crdt"
	"github.com/starling-sync/starling/crdt/account"
	"github.com/starling-sync/starling/crdt/model"
)

// BenchmarkApplyNewDocument measures what a replica does with a change of a
// chat that it has never heard of: parse, apply, view, save.
func BenchmarkApplyNewDocument(b *testing.B) {
	d := newDocument(b, 1)
	c := commit(b, d, 1000, model.Edit{Op: model.ChatRead, ID: "c", At: at(5, "m")})
	b.ReportAllocs()
	for b.Loop() {
		parsed := parse(b, c.Raw)
		d := crdt.NewDocument(crdt.Writer{2})
		if _, err := d.Apply([]crdt.Change{parsed}); err != nil {
			b.Fatal(err)
		}
		account.ViewChat(d, "c")
		save(b, d)
	}
}

// BenchmarkLocalEdit measures one edit of one field in a small document that
// is in memory: edit, commit, view, save. The number is how many changes the
// document has at most before it is begun anew: loading a saved document, which
// Save does to verify it, takes time for each.
func BenchmarkLocalEdit(b *testing.B) {
	for _, n := range []int{5, 20, 100} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			b.ReportAllocs()
			var d *crdt.Document
			for i := 0; b.Loop(); i++ {
				if i%n == 0 {
					d = newDocument(b, 1)
				}
				commit(b, d, int64(i), model.Edit{Op: model.ChatRead, ID: "c", At: at(model.Time(i+1), "m")})
				account.ViewChat(d, "c")
				save(b, d)
			}
		})
	}
}

// BenchmarkLoadEdit is BenchmarkLocalEdit for a document that is on disk.
func BenchmarkLoadEdit(b *testing.B) {
	d := newDocument(b, 1)
	for i := range 10 {
		commit(b, d, int64(i), model.Edit{Op: model.ChatRead, ID: "c", At: at(model.Time(i+1), "m")})
	}
	saved := save(b, d)
	b.ReportAllocs()
	for b.Loop() {
		d, err := crdt.LoadDocument(saved, crdt.Writer{2})
		if err != nil {
			b.Fatal(err)
		}
		commit(b, d, 1000, model.Edit{Op: model.ChatRead, ID: "c", At: at(100, "m")})
		account.ViewChat(d, "c")
		save(b, d)
	}
}

// BenchmarkApplyToLoaded measures one change of another writer to documents
// with histories of different lengths, from disk to disk.
func BenchmarkApplyToLoaded(b *testing.B) {
	for _, n := range []int{1, 10, 100, 1000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			d := newDocument(b, 1)
			for i := range n {
				commit(b, d, int64(i), model.Edit{Op: model.ChatRead, ID: "c", At: at(model.Time(i+1), "m")})
			}
			saved := save(b, d)
			c := commit(b, d, 0, model.Edit{Op: model.ChatUnread, ID: "c"})
			b.ReportAllocs()
			for b.Loop() {
				d, err := crdt.LoadDocument(saved, crdt.Writer{2})
				if err != nil {
					b.Fatal(err)
				}
				if _, err := d.Apply([]crdt.Change{*c}); err != nil {
					b.Fatal(err)
				}
				account.ViewChat(d, "c")
				save(b, d)
			}
		})
	}
}

// BenchmarkViewSettings measures one setting more among many.
func BenchmarkViewSettings(b *testing.B) {
	d := newDocument(b, 1)
	e := d.Edit(0)
	for i := range 200 {
		m := model.Edit{Op: model.SettingSet, ID: fmt.Sprintf("key%d", i), Scope: "account", Value: []byte("1")}
		if err := account.Apply(e, m); err != nil {
			b.Fatal(err)
		}
	}
	if _, err := e.Commit(); err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		account.ViewSettings(d)
	}
}
