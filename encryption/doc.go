// Package encryption holds everything an account trusts: keys, the membership
// log, content epochs, envelopes, the hello between two members, linking of
// new devices, the recovery phrase, and the file that keeps the secrets at rest.
//
// An account is a directed acyclic graph of signed operations, the membership
// log. Its first operation, the genesis, is signed by the first device and by
// the recovery key; the account id is its hash. Every other device is the target
// of an add operation signed by a member, and its device id is a hash of that
// operation. Who is a member is a pure function of the set of operations, so
// every device that holds the same set names the same members, whatever the
// order in which the operations arrived. Removal wins: a removed device is out for
// good, and what it signed unseen by its remover does not count, except its own
// removals. Only the recovery key, which the recovery words stand for, overrules a
// removal. A device that was added in vain, by one that had been removed, is an
// orphan, and can be added again under a new id.
//
// A content epoch is a 32-byte secret that all members hold. From it come the
// epoch tag (public, and a commitment to the secret), the key that encrypts
// envelopes, the key under which two members greet each other, and others. An
// epoch record carries the secret to the devices that may know it, and the
// secrets of all earlier epochs; an operation of the log announces it. A device
// seals in the newest epoch that only members can know, and makes one when there
// is none, which is how a removal takes effect. It opens in every epoch.
//
// An envelope is one signed and encrypted batch of changes of one writer. A
// writer is a device and one lifetime of its database, so its id is a hash of
// the device id and an instance nonce. The envelopes of one writer are numbered
// and hash-chained. Decrypting an envelope proves nothing: authority comes from
// a signature of a device that is a member.
//
// An Identity is this device's part: its keys, the account's log, the epoch. It
// lives in one file, opened with an Unlock.
//
// A backup is the log, the epoch records and the envelopes in one file for the
// recovery key, signed by the device that made it. With it and the recovery words
// a new device becomes a member when no other is left to add it.
//
// The package does no network I/O, reads no clock and starts no goroutine.
// Randomness comes from an injected reader, with two exceptions: the standard
// library's HPKE and age, which encrypts a backup, draw theirs themselves. Only
// disk.go touches files.
//
// SPEC.md beside this file fixes every byte that is stored or sent; the files
// under testdata/vectors pin it. Formats begin with a version and an algorithm
// suite; both are refused when unknown, and neither is ever reused for another
// meaning.
package encryption
