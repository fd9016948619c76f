package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"slices"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/starling-sync/starling/encryption"
	"github.com/starling-sync/starling/p2p"
	"github.com/starling-sync/starling/replica"
	"github.com/starling-sync/starling/replica/localapi/client"
	"github.com/starling-sync/starling/replica/store"
)

// Codes that only the command line has, beside those of package client.
const (
	codeUsage       client.Code = "usage"       // an unknown command, flag or number of arguments
	codeInterrupted client.Code = "interrupted" // Ctrl-C or SIGTERM before the command was done
	codeDifferent   client.Code = "different"   // verify or demo found replicas that should be equal and are not
)

// exit is one row of the table of exit codes.
type exit struct {
	status  int
	meaning string
}

var exits = map[client.Code]exit{
	client.CodeInternal:     {1, "a bug or an unexpected fault"},
	codeUsage:               {2, "unknown command or flag, wrong number of arguments"},
	client.CodeBadRequest:   {3, "malformed input: a time, an id, a vCard, a value"},
	client.CodeNotFound:     {4, "no such chat, contact, setting, label or device, or no account in the directory"},
	client.CodeInUse:        {5, "another process holds the directory, or the port is taken"},
	client.CodeUnlock:       {6, "wrong or missing passphrase, key file or recovery words"},
	client.CodeLinkFailed:   {7, "ticket wrong, expired or used; digits wrong"},
	client.CodeDamaged:      {8, "a stored record or a backup does not authenticate, or verify found a problem"},
	client.CodeDiskFull:     {9, "the disk is full; nothing was written"},
	client.CodeWrongAccount: {10, "the store belongs to another account"},
	client.CodeUnreachable:  {11, "no daemon, or no other device, answers"},
	client.CodePermission:   {12, "a file or directory cannot be read or written"},
	client.CodeTooLarge:     {13, "over a limit"},
	client.CodeNotMember:    {14, "this device, or the one named, is not in the account"},
	client.CodeExists:       {15, "the directory holds an account already, or the file exists"},
	client.CodeRateLimited:  {16, "too many invites, changes of the account or event streams; try again later"},
	client.CodeKeyReused:    {17, "an idempotency key was used for another request"},
	codeDifferent:           {18, "replicas that should be equal are not"},
	codeInterrupted:         {130, "interrupted before it was done"},
}

func exitCodesTopic() *cobra.Command {
	var text strings.Builder
	text.WriteString("Exit codes, with the code that --json prints on standard error:\n\n    0                 done\n")
	for _, code := range slices.SortedFunc(maps.Keys(exits), func(a, b client.Code) int { return exits[a].status - exits[b].status }) {
		fmt.Fprintf(&text, "%5d  %-14s  %s\n", exits[code].status, code, exits[code].meaning)
	}
	return &cobra.Command{Use: "exit-codes", Short: "What the exit codes mean", Long: text.String()}
}

// usageError is a command line that could not be understood.
type usageError struct {
	err     error
	command string
}

func (u usageError) Error() string {
	return fmt.Sprintf("%v (see: %s --help)", u.err, u.command)
}

func (u usageError) Unwrap() error { return u.err }

var errNoSubcommand = errors.New("a subcommand is missing")

// fail prints err in one line and returns the exit code.
func (a *app) fail(err error) int {
	code := codeOf(err)
	line := oneLine(err.Error())
	if !a.json {
		fmt.Fprintf(a.stderr, "starling: %s\n", line)
		return exits[code].status
	}
	var problem struct {
		Error struct {
			Code    client.Code `json:"code"`
			Message string      `json:"message"`
		} `json:"error"`
	}
	problem.Error.Code, problem.Error.Message = code, line
	enc := json.NewEncoder(a.stderr)
	enc.SetEscapeHTML(false)
	_ = enc.Encode(problem) // there is no better place to say so
	return exits[code].status
}

func oneLine(s string) string { return shown(strings.ReplaceAll(strings.TrimSpace(s), "\n", "; ")) }

// codeOf finds the code of a failure in whatever layer it began.
func codeOf(err error) client.Code {
	if _, ok := errors.AsType[usageError](err); ok || errors.Is(err, errNoSubcommand) {
		return codeUsage
	}
	if e, ok := errors.AsType[*client.Error](err); ok {
		if _, known := exits[e.Code]; known {
			return e.Code
		}
		return client.CodeInternal
	}
	for _, c := range causes {
		if slices.ContainsFunc(c.errs, func(target error) bool { return errors.Is(err, target) }) {
			return c.code
		}
	}
	return client.CodeInternal
}

// causes are what the layers below fail with, the most telling first.
var causes = []struct {
	code client.Code
	errs []error
}{
	{client.CodeInUse, []error{replica.ErrInUse, p2p.ErrAddrInUse, syscall.EADDRINUSE}},
	{client.CodeDiskFull, []error{replica.ErrDiskFull, syscall.ENOSPC, syscall.EDQUOT}},
	{client.CodePermission, []error{replica.ErrReadOnly, fs.ErrPermission, syscall.EROFS, syscall.ENOTDIR, syscall.EISDIR}},
	{client.CodeUnlock, []error{encryption.ErrWrongUnlock, encryption.ErrEmptyPassphrase, encryption.ErrWords}},
	{client.CodeWrongAccount, []error{replica.ErrWrongAccount, encryption.ErrOtherAccount}},
	// The key of a store is in the identity that has just opened, so that a
	// store which it does not fit is another one, or has lost its own.
	{client.CodeDamaged, []error{replica.ErrDamaged, encryption.ErrDamaged, encryption.ErrBackup, store.ErrWrongKey}},
	{client.CodeExists, []error{encryption.ErrExists}},
	{client.CodeNotFound, []error{replica.ErrNotFound, encryption.ErrUnknownDevice, encryption.ErrNoIdentity, os.ErrNotExist}},
	{client.CodeRateLimited, []error{encryption.ErrTooManyInvites, encryption.ErrTooSoon, encryption.ErrOperationRate}},
	{client.CodeLinkFailed, []error{
		encryption.ErrTicketMalformed, encryption.ErrTicketVersion, encryption.ErrTicketMistyped,
		encryption.ErrTicketExpired, encryption.ErrTicketUsed, encryption.ErrInviteBurned,
		encryption.ErrDigits, encryption.ErrPairing, encryption.ErrWelcome,
		p2p.ErrRefused, p2p.ErrInviteClosed, p2p.ErrUnconfirmed,
	}},
	{client.CodeNotMember, []error{replica.ErrNotMember, encryption.ErrNotMember, encryption.ErrRemoved}},
	{client.CodeTooLarge, []error{encryption.ErrTooLarge, encryption.ErrTooManyDevices, encryption.ErrTooManyOperations}},
	{client.CodeBadRequest, []error{replica.ErrBadEdit, encryption.ErrNotOrphaned, p2p.ErrListenAddr, p2p.ErrPeerAddr, encryption.ErrMalformed, encryption.ErrUnsupported}},
	{client.CodeUnreachable, []error{p2p.ErrUnreachable, p2p.ErrClosed, replica.ErrClosed, context.DeadlineExceeded}},
}

// coded gives an error of a layer below the code that goes over the socket.
func coded(err error) error {
	if err == nil {
		return nil
	}
	if _, ok := errors.AsType[*client.Error](err); ok || errors.Is(err, context.Canceled) {
		return err
	}
	return &client.Error{Code: codeOf(err), Message: err.Error(), Err: err}
}
