// Package core decides what two members say to each other: which envelopes
// one lacks, what is sent next, what may be applied, and what is known of
// everyone's progress. It is a value. An Exchange has no clock, goroutine,
// channel, lock or source of randomness of its own, so that the same
// sequence of calls gives the same effects in the daemon, in the simulator
// and in the benchmarks.
//
// The nouns. A Ledger is what this device holds: the chain of every writer,
// as far as it is durable, plus the group that is being made durable now
// (staged), plus envelopes that arrived too early (buffered). A Session is
// one stream to one other device. The Exchange has one Ledger and the
// sessions. A Common is what is remembered of a device between two sessions:
// the frontier and the roster that both had when neither lacked anything.
//
// What a meeting costs. Who has nothing to tell says a hello of 44 bytes. Who
// has gone on since the Common tells what differs from it, however many
// writers there are, and sends what the other lacks by that right behind it,
// if it is little: half a round trip. What was assumed and is not so costs
// that little once more, and a frontier in full; a Common is named by its
// digest, so that no more can come of it. Of several logs that go to a device
// the latest goes first that rests on none of the others; see Foremost.
//
// What is distrusted. A writer is frozen, for every device, only by proof: two
// envelopes under one number that both verify, or one that verifies and does
// not apply. Where it has forked it is accepted again once the envelope of another
// device rests on more of it than is here: otherwise what honest devices write behind
// it would never be taken. What another device merely says, or sends in a writer's name
// and does not verify, is a dispute with that device: this writer's log is no
// more exchanged with it, and goes on with others. Neither outlives the
// process; it comes about again when there is reason.
//
// Documents. An Exchange sees none, and knows their fingerprint. Equal frontiers must
// have equal fingerprints; where they have not, descent.go finds out which documents
// differ and takes over what is lacking. That is compared by itself, once for a
// session, because what makes documents differ (a transfer that was cut and whose
// source is gone, a fault in a store or in this program) is not known to the device it
// has happened to, so that it could not say when to compare. It costs 14 bytes in one
// direction, beside 44 for each hello, and no round trip of its own. While a session
// lasts an edit costs nothing more; who wants to know then compares (CompareAll).
//
// The contract of the host, which owns an Exchange in one goroutine:
//
//  1. Feed every event through Step and perform the effects in their order.
//  2. When no group is being committed and Ready says so, or when there are
//     local changes, begin a group: take envelopes with Next until it
//     returns nothing, apply each to its documents, seal own batches with
//     Seal.
//  3. Write the changes, the documents, the indexes and the group's
//     envelopes in one transaction.
//  4. When that is durable, SetPrint and Step(Committed): only now are envelopes sent on
//     and acknowledged. When it failed, Step(Aborted): the ledger is as
//     before the group, and every session is closed, so that what was lost
//     is fetched again.
//  5. After Rewound, begin the next group with a new writer: store its nonce,
//     give it the own changes that were not sealed, and call Renew. Until then
//     nothing is sealed, and what others send of the old writer waits.
//
// So everything that another device is told about is durable here first,
// and everything that is applied here was verified first, in causal order.
package core
