// Package crdt is the replicated state of one entity (one chat, one contact,
// the settings …): an Automerge document whose keys and joins are chosen so
// that no decision of a person is ever made by Automerge's own winner.
//
// A Document is a flat root map. A key is
//
//	field/<writer>   or   field/<element>/<writer>
//
// and only that Writer (a device and one lifetime of its database, the
// Automerge actor) writes it. Its value is an Entry ⟨payload, Stamp, n, seen⟩.
// All entries of one field and element are a register, and what a register
// means is a pure function over its entries, a join: MaxRegister, MinRegister,
// StampRegister, AddWinsSet, GrowOnlySet, EnableWinsFlag, Counter, Text and
// Tombstone, with Order for places. A join sees a set: order, duplication and
// partition of the delivery cannot matter to it. Entries that do not decode
// are ignored by every replica alike.
//
// Document.Apply takes in changes of other writers, Document.Edit begins a
// change of this one, which Commit makes, so that an edit that fails leaves nothing
// behind.
//
// Changes and saved documents are Automerge's, bit for bit, and Save is Automerge itself.
// But a Document does not live in it: loading a document into the Automerge core and
// saving it takes many times what a change takes, and most changes do not need it. What
// the operations of a flat map come to is a page of code (values, sequence), and the
// change that Automerge would make of a write is known (making). So
// changes are made and applied here, and the core is asked when a document is saved:
// then it sees the saved document of before and the changes since, and has to come to
// the same heads and the same changes. The tests hold every step against it.
//
// A device that finds that it is a copy, or was put back to an earlier state,
// goes on as another Writer. Document.Reauthor moves what nobody else has seen
// to that one, since a Writer never makes two changes under one number.
//
// The package does no input or output and reads no clock. A Document belongs
// to one goroutine at a time. After an error of Commit that wraps ErrBroken the
// document must be dropped and loaded again.
//
// The Automerge core that is linked (0.5) aborts the process, deadlocks or
// loses changes on several of its paths. Only these are used: Load of what it saved
// itself, LoadIncremental with changes that were checked, Heads, and Save, whose result
// is read again in Go before it is returned.
//
// What stays compatible: keys, the encoding of entries and every join, as
// SPEC.md writes them and testdata/vectors freezes them. Two versions of the
// program with different joins would show one account differently.
package crdt
