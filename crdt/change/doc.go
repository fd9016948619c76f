// Package change reads the frame and the header of one Automerge change: the
// unit that devices exchange. It is pure Go, and it is the gate in front of
// the Automerge core, which aborts the whole process on some inputs that
// carry a correct checksum.
//
// A Change is what Parse accepted: the bytes as they were given (Raw), and
// what its header says. Its Hash names it everywhere; Deps are the hashes of
// the changes that it directly follows; Actor and Seq number the changes of
// one writer without gaps.
//
// Parse is stricter than the format's own description (automerge.org,
// "Automerge Binary Document Format"): every number must be written in its
// shortest form, dependencies and actors sorted without repetition, columns
// in order and not compressed one by one, nothing behind the last column, and
// every size within the limits below. Whatever the Automerge core writes for
// a writer of this project passes. The operations inside the columns are not
// looked at here.
//
// What stays compatible: a change that was accepted once must be accepted by
// every later version, because replicas keep changes for years. Limits may
// grow, never shrink.
package change
