// Package disk keeps a store.Store in a directory, in Badger.
//
// A record is sealed under the record key before Badger sees it, with its
// table and key as associated data, so that one that was changed or moved is
// noticed. Badger encrypts everything once more under a key of its own, keys
// of records included, because its encryption hides and does not protect.
//
// All commits pass through one goroutine, the committer. It takes those that
// wait, gives them one timestamp, and makes them durable in one synced
// transaction of Badger. A batch that is too large for one goes through the
// journal: it is written beside the records first, then one transaction says
// that it is complete, then it is applied, then the journal is removed. Open
// finishes what a crash interrupted.
//
// Badger runs in managed mode: the committer decides at which timestamp a
// commit is visible, and readers take their snapshot at the newest visible
// one. So a read never waits for a commit under way, and never sees a part of
// one.
//
// What stays compatible: the bytes on disk, which ../SPEC.md describes. They
// have a version in the store itself, and a newer one is refused.
package disk
