// Package model holds the plain types that every layer of starling speaks:
// the effective state of an account (Chat, Contact, Setting, Label, Device),
// the edits that a person makes to it (Edit), and what a replica reports
// about itself (Event, Status).
//
// It knows nothing of Automerge and needs no cgo, so that a program which
// only talks to a daemon can share the types without linking the engine.
// The meaning of each value under concurrent edits is in package account,
// which computes these views from documents.
//
// What stays compatible: the JSON names below are the public interface of
// the daemon and of every `--json` output. Fields are added, never renamed.
package model
