// Package sim plays whole worlds of replicas, each out of one seed.
//
// A world is some devices of one account, the network between them and the disks
// under them. The devices run the real code of package replica, driven by hand
// (package hand): its loop, real Automerge documents, real envelopes, the real
// membership log with real signatures, and real frames. Around that everything is
// simulated, in one goroutine and in virtual time: streams that are late, in pieces
// and cut off, disks that are slow, full, or put back to an older state, processes
// that die at any moment, and clocks that are wrong by years.
//
// In some worlds logs are so short that they are dropped and documents are sent in
// place of them, a directory is copied and both are used, or one of the members is
// hostile (hostile.go): with valid keys it lies, forks and falls silent.
//
// A world has three parts. While there are faults, people edit, devices meet and
// part, and anything happens to them. Then the faults end, and within a stated time
// all members must hold the same. Then there must be silence. What must hold at
// every step, and in the end, is checked by files that know nothing of how it comes
// about: check.go, watched.go and rebuild.go read what is on the disks and on the
// wire by themselves.
//
// Everything that is drawn comes from sources of randomness that are made from the
// seed, one for each component. The same seed gives the same events, and the same
// bytes on the wire, in every process.
package sim
