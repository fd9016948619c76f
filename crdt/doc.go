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
// change of this one. An Edit gathers its writes in Go and hands them to
// Automerge in Commit, so that an edit that fails leaves nothing behind.
//
// A device that finds that it is a copy, or was put back to an earlier state,
// goes on as another Writer. Document.Reauthor moves what nobody else has seen
// to that one, since a Writer never makes two changes under one number.
//
// The package does no input or output and reads no clock. A Document belongs
// to one goroutine at a time. After an error of Apply, Commit or Save the
// document must be dropped and loaded again: what is in the core is unknown.
//
// The Automerge core that is linked (0.5) aborts the process, deadlocks or
// loses changes on several of its paths. Only these are used: Load,
// LoadIncremental with changes whose order and numbering were checked, Commit
// with a pinned actor and time, and Save, whose result is loaded again before
// it is returned. Heads are computed here and compared after every step.
//
// What stays compatible: keys, the encoding of entries and every join, as
// SPEC.md writes them and testdata/vectors freezes them. Two versions of the
// program with different joins would show one account differently.
package crdt
