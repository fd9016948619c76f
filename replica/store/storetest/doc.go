// Package storetest has the conformance suite that every store.Store passes
// (Run), and a fake disk for the tests of those who use one (Disk): a store in
// memory that survives being closed and can be told to be full, to crash in
// the middle of a commit, to lie about durability, and to damage records. On
// Linux it also has a real file system whose power a test can cut (Drive).
package storetest
