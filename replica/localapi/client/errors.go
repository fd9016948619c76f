package client

import (
	"errors"
	"fmt"
)

// Code is the stable name of a failure: the `code` of a problem document and
// what the exit code of a command follows from.
type Code string

// The failures that a caller may branch on.
const (
	CodeInternal     Code = "internal"      // a bug or an unexpected fault
	CodeBadRequest   Code = "bad-request"   // malformed input: a time, an id, a vCard, a value
	CodeNotFound     Code = "not-found"     // no such chat, contact, setting, device, invite
	CodeInUse        Code = "in-use"        // another process holds the store, or a port is taken
	CodeUnlock       Code = "unlock"        // wrong or missing passphrase or key file
	CodeLinkFailed   Code = "link-failed"   // ticket wrong, expired or used; digits wrong
	CodeDamaged      Code = "damaged"       // a stored record does not authenticate
	CodeDiskFull     Code = "disk-full"     // nothing was written
	CodeWrongAccount Code = "wrong-account" // the store belongs to another account
	CodeUnreachable  Code = "unreachable"   // no daemon, or no peer, answers
	CodePermission   Code = "permission"    // a file or directory cannot be read or written
	CodeTooLarge     Code = "too-large"     // over a limit
	CodeNotMember    Code = "not-member"    // this device, or the one named, is not in the account
	CodeExists       Code = "exists"        // init or join over an existing account
	CodeRateLimited  Code = "rate-limited"  // too many invites or changes of the account, or event streams at once
	CodeKeyReused    Code = "key-reused"    // the idempotency key was used for another request
)

// Error is a failure with a stable code. Message is one line for a person
// and names the operation and the identifier.
type Error struct {
	Code    Code
	Message string
	Err     error // the cause; nil when it came over the socket
}

func (e *Error) Error() string { return e.Message }

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// Errorf returns an Error with a formatted message.
func Errorf(code Code, format string, args ...any) *Error {
	err := fmt.Errorf(format, args...)
	return &Error{Code: code, Message: err.Error(), Err: err}
}

// CodeOf returns the code of the first Error that err wraps, CodeInternal for
// any other error, and "" for nil.
func CodeOf(err error) Code {
	if err == nil {
		return ""
	}
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Code
	}
	return CodeInternal
}
