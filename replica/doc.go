// Package replica is starling as a program embeds it: one device's replica
// of an account, which takes edits while offline and exchanges encrypted
// changes with the account's other devices when it can reach them.
//
// A Replica belongs to one directory and one device. Edits (Apply, or the
// typed handles Chat, Contact and Settings) return once they are durable
// here and never wait for another device. Reads (GetChat, ListContacts,
// State …) come from indexes that are written in the same transaction as the
// documents. Watch tells what changed, whoever changed it.
//
// Behind that, one goroutine (loop.go) owns the exchange protocol, the
// documents in memory and the group that is being made durable. Its cycle:
// take edits and verified envelopes that wait, apply them to the documents,
// seal own changes if somebody is connected, write everything in one
// transaction, and only when that is durable acknowledge, notify and send.
// While a group is being written the next one collects, so the busier it is
// the larger the groups are.
//
// What is on disk (records.go) is in three classes. The log of envelopes and
// the changes not yet sealed are the truth, as far as the log goes back. Documents,
// indexes and the fingerprint are computed from it and can be made again. Device-local
// records (last-known addresses, counters) are never replicated.
//
// The log of each writer begins behind its base (prune.go). What all members have is
// dropped from it, and what a device has got as documents (snapshot.go) was never in
// it. So what came before the base is in the documents alone: one that is damaged is
// then made from what another device has of it (mend.go), and a backup holds the
// documents as well (backup_snapshot.go). What others are known to have, by which
// that is decided, is kept only so that it need not be learnt again; losing it costs room.
//
// A store that is a copy, was put back from a backup, or has lost its end must
// not write on under its writer id, because it does not know which numbers are
// used. It becomes another writer (renew.go): at Open if it lives at another
// place than before, says that it has lost its end, or is older than a number
// outside of it (generation.go), and otherwise when another device tells what it
// knows, before anything is sealed for that one.
//
// The library under the documents ends the process when it is surprised. What
// others send is decoded before it gets there, and noted while it is applied, so
// that an envelope which ends the process is set aside in the end (quarantine.go).
//
// The roster (members.go) is who belongs to the account and which keys they
// share: membership operations, epoch records, and the keys of this device. It
// comes before content in every order: durable before it is admitted when it is
// made here, sent before what was sealed under it, and compared with another
// device before anything is sealed for that one. A removal (removal.go) names
// what its author holds of the device that goes; each member confirms it, and
// vouches for what else it holds of that device, so that all keep the same and
// nobody takes what was written afterwards. The next change of a device that
// knows of the removal begins a new epoch (epochs.go).
//
// Two devices with equal frontiers compare fingerprints when they meet and whenever
// Verify asks. Documents that differ are named (tree.go, compare.go), and each takes from
// the other what it lacks through the gate that all changes pass (reconcile.go). The log
// decides where they contradict each other. An edit may rest on changes that are in no
// envelope any more; whoever gets it asks for the document (lacking.go).
//
// What is damaged is found by Verify, and by Examine for whoever has the store to
// himself. Mend makes anew what can be computed (mend.go); the log and the changes
// that wait cannot. When the log is damaged, what can be read is carried over into a
// new store (salvage.go), and the other devices send the rest.
//
// A Replica with a nil Network is complete but for other devices.
package replica
