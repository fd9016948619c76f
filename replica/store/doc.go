// Package store says what a replica needs of the place where it keeps its
// records, and has the implementation that forgets everything (NewMemory).
// The one on disk is package disk; SPEC.md describes its bytes.
//
// A store holds records. A record has a Table (a name of one byte that the
// replica gives to each kind of record), a key and a value, both plain bytes.
// Records of a table are ordered by key, as bytes.Compare orders. A Batch is
// a list of puts and deletes, and the only way to change anything: Commit
// makes all of it durable or none.
//
// Reads never wait for writes. A Scan sees the store as it was when the scan
// began, whatever is committed meanwhile, also by its own callback.
//
// A record that cannot be trusted any more is never returned and never
// silently left out: Get and Scan name it in a DamagedError. The rest of the
// store stays readable.
//
// What stays compatible: the meaning of the interface; the bytes on disk have
// a version of their own.
package store
