// Package apitest has a replica in memory, for tests of what talks to one, and
// the conformance suite that every client.API must pass.
//
// Replica keeps chats, contacts, settings, labels and devices in maps, checks
// edits as the real one does, and publishes events. What it does not have is
// what makes the real one worth having: other devices, documents, durability.
// Join stands for a new device in front of an invite, Heard for something that
// another device did, Break for a fault of the disk.
//
// Run holds a client.API, and a client.Linker if there is one, against what
// package client promises. It runs on this replica directly, and through a
// client, a socket and a handler, so both give the same results and codes.
package apitest
