package client

import (
	"context"
	"iter"

	"github.com/starling-sync/starling/crdt/model"
)

// API is what a program can ask of one replica. The daemon's Client and the
// replica itself both implement it, so that a command does not care which of
// the two it talks to.
//
// Every error that a caller may branch on is an *Error; its Code says which.
// All methods may be called from several goroutines.
type API interface {
	// Apply makes the edits durable on this device, in order, all or none.
	// It never waits for peers.
	Apply(ctx context.Context, edits []model.Edit) error

	// GetChat returns one chat, or an Error with CodeNotFound.
	GetChat(ctx context.Context, id string) (model.Chat, error)
	// ListChats returns all chats by id.
	ListChats(ctx context.Context) ([]model.Chat, error)
	// GetContact returns one contact, or an Error with CodeNotFound.
	GetContact(ctx context.Context, id string) (model.Contact, error)
	// ListContacts returns all contacts by id.
	ListContacts(ctx context.Context) ([]model.Contact, error)
	// ListSettings returns every setting of every scope, by key and scope.
	ListSettings(ctx context.Context) ([]model.Setting, error)
	// ListLabels returns all labels by id.
	ListLabels(ctx context.Context) ([]model.Label, error)
	// ListDevices returns the members of the account by id.
	ListDevices(ctx context.Context) ([]model.Device, error)

	// State returns the whole effective state.
	State(ctx context.Context) (model.State, error)
	// Status returns what the replica knows of itself and its peers.
	Status(ctx context.Context) (model.Status, error)
	// Verify re-reads every document and envelope and compares connected peers.
	Verify(ctx context.Context) (model.Verification, error)

	// Events yields what changes after the event with the given id (0: from
	// now on), until ctx ends or the receiver stops. An event of kind
	// model.GapKind says that some were missed. An id that this replica has
	// not reached, as after a restore, gives a gap too.
	//
	// "Now" is the moment of the call, not of the first turn of the loop: an
	// edit applied after Events returned is always seen. The sequence is for
	// one loop, and may hold a connection until that ends or ctx does. An
	// error is the last thing it yields.
	Events(ctx context.Context, after uint64) iter.Seq2[model.Event, error]
}

// Invitation is an open invite of this device, waiting for a new one.
type Invitation struct {
	ID      string     `json:"id"`
	Ticket  string     `json:"ticket"`
	Expires model.Time `json:"expires"`
}

// Linker opens invites. A daemon has one; a replica without a network has none.
type Linker interface {
	// Invite opens an invite, burning the one that is open.
	Invite(ctx context.Context) (Invitation, error)
	// Confirm hands over the six digits that the person read from the new
	// device and returns once that device is linked. A mismatch burns the
	// invite and gives an Error with CodeLinkFailed.
	Confirm(ctx context.Context, invitation, digits string) (model.Device, error)
	// Await returns once a new device has joined the handshake and shows
	// digits, with the name it gave itself, or when the invite has ended.
	Await(ctx context.Context, invitation string) (name string, err error)
	// Cancel burns the invite.
	Cancel(ctx context.Context, invitation string) error
}
