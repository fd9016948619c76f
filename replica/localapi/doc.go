// Package localapi serves one replica to the programs of the same person on
// the same machine: HTTP and JSON under /v1/ over a Unix socket, with
// server-sent events. openapi.yaml beside this file describes every path, and
// a test holds it against the handler.
//
//	curl --unix-socket "$XDG_RUNTIME_DIR/starling/0123456789ab.sock" \
//	     -H 'Content-Type: application/json' -H 'Idempotency-Key: 2026-01-31-1' \
//	     -d '[{"op":"chat.mute","id":"signal:+4912345","until":"forever"}]' \
//	     http://starling/v1/edits
//
// New makes the handler of a client.API, Listen the socket, and Serve runs the
// one on the other until its context ends. DefaultSocket names the place of
// the socket for a directory.
//
// Who may connect: processes with the same user id, and root. The directory
// is writable by this user alone, the socket has mode 0600, and the kernel is
// asked for the credentials of every peer. There is no other authentication, so
// the handler must not be put on a TCP port as it is.
//
// Requests are read strictly. An object may hold only the fields that the
// description names, spelt as there, each once; text must be valid Unicode;
// nothing may follow the value. Every reading has a limit in bytes, depth and
// time. What is refused was not performed, not even in part.
//
// Failures are problem documents (RFC 9457) with a code of package client.
//
// A write may carry an Idempotency-Key. The outcome of the last 1,024 that
// succeeded is kept, in memory only: a repetition gets the same answer
// without being performed again, and the same key for another request is
// refused. After a restart of the daemon the keys are forgotten; edits are
// harmless to repeat then, because a choice that is already in effect writes
// nothing.
//
// What stays compatible is said by package client.
package localapi
