// Package virtual plays whole accounts in virtual time: real replicas over real
// stores, the real Automerge core, and real p2p hosts that speak QUIC over a simulated
// network, all inside a bubble of testing/synctest. Hours of silence take milliseconds,
// and what happens once in 30 days or after a year happens in a test of seconds.
//
// The simulator of package replica/sim replays one seed to the byte, because nothing in
// it runs beside anything else; here goroutines run in whatever order, so a test says
// what comes out in the end and how much virtual time may have passed, never how. Time
// stands still while something computes: what takes virtual time is the network, and
// whoever waits.
//
// Not there: multicast, TCP, and the addresses of the machine. Devices find each other
// by configured and remembered addresses.
//
// Badger works in a bubble, and its goroutines end with it, but its two compactors wake
// every 50 ms: a virtual day of silence takes about eight seconds for each device, and
// one with the store in memory. Worlds of many days use the latter; -virtual-store
// decides for all.
package virtual
