// Package p2ptest makes accounts of several devices, real hosts on loopback,
// and hosts on a simulated network in virtual time, for tests of p2p and of
// whatever runs on it. Everything is real but the network of [Network]: the
// keys, the hello, QUIC and TLS.
package p2ptest
