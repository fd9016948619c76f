// Package change reads one Automerge change, the unit that devices exchange:
// its frame, its header, and every operation. It is pure Go, and it is the gate
// in front of the Automerge core, which aborts the whole process on some inputs
// that carry a correct checksum.
//
// A Change is what Parse accepted: the bytes as they were given (Raw), and
// what its header says. Its Hash names it everywhere; Deps are the hashes of
// the changes that it directly follows; Actor and Seq number the changes of
// one writer without gaps.
//
// Parse is stricter than the format's own description (automerge.org,
// "Automerge Binary Document Format"): every number must be written in its
// shortest form, dependencies and actors sorted without repetition, columns
// in order and not compressed one by one, nothing behind the last column, no
// message, and every size within the limits below. Operations are of the forms
// that this project uses and no others: see Op. They refer to earlier numbers
// only, every actor that is listed is referred to, and the columns have the very
// bytes that the core writes for these operations: Marshal writes what Parse has
// read. So whatever the core writes for a writer of this project passes, and
// there is one way only to write it.
//
// What an operation refers to must also be there, in the document that the change
// follows. That takes the document, so package crdt looks.
//
// ParseSaved reads a whole document as the core saves it, and returns its changes.
// It is the only way in for a saved document of another device: nothing of such a
// one reaches the core, only its changes, one by one and as if each had come alone.
//
// Elide and Restore are how changes travel: a run of them without what the
// receiver can make again, which is most of it.
//
// What stays compatible: a change that was accepted once must be accepted by
// every later version, because replicas keep changes for years. Limits may
// grow, never shrink.
package change
