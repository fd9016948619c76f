// Package wire holds the messages that two members exchange on a sync
// stream, and the batch that an envelope carries.
//
// A stream is a sequence of frames in each direction: a length, a type byte
// and a body. The stream below is already authenticated and private to the
// two devices; envelopes are in addition sealed end to end, so that this
// package sees them as opaque bytes.
//
// A Batch is what an envelope protects: a run of Automerge changes of one
// writer in causal order, with the table of documents that they belong to.
//
// Everything that is read here comes from outside. Limits are checked
// before memory is spent, and every form has one encoding only, compression
// aside: what decodes is re-encoded and must be equal. SPEC.md has the bytes;
// the first byte of a Hello and of a Batch is a version, and an unknown one is
// an error, never a guess.
package wire
