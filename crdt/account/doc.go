// Package account says what an account consists of and what merging means
// for each part: it turns a person's edits (model.Edit) into changes of
// documents (crdt.Document) and documents into views (model.Chat …).
//
// A Kind of document is a chat, a contact, or one of the three that exist
// once: settings, labels, device names. A Ref names one document and gives
// its id, which is keyed by the account and the same on every device, so two
// devices that meet the same chat while apart make the same document.
//
// Apply performs one edit on the document that RefOf names. It writes nothing
// when the edit changes nothing. The views are pure functions of a document:
// they read no clock, and what can be computed from other facts (unread
// counts, whether an archived chat shows) is not in them.
//
// What stays compatible: fields, elements, payloads and their joins, as
// crdt/SPEC.md lists them by kind. A view ignores what does not decode or is
// beyond the limits of package model, on every device alike.
package account
