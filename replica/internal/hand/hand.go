// Package hand is the way into a replica for whoever decides himself when what
// happens: the simulator.
//
// A replica that is driven by hand is the same code as any other, without its
// goroutines. Nothing happens in it but within a call of a method of Replica or
// Link, and each of them returns when there is nothing left to do at once. What
// otherwise takes its time is split: a group of changes that was built is Flying
// until Write makes it durable and Finish tells so, and what a link has to send
// lies there until Take.
//
// What opens a replica is registered by package replica. It is declared here so that
// only packages below replica can drive one, and the public API has none of it.
package hand

import (
	"io"
	"log/slog"
	"time"

	"github.com/starling-sync/starling/crdt/model"
	"github.com/starling-sync/starling/encryption"
	"github.com/starling-sync/starling/replica/internal/core"
	"github.com/starling-sync/starling/replica/internal/wire"
	"github.com/starling-sync/starling/replica/store"
)

var open func(*Config) (Replica, error)

// Register says how Open does it. Package replica calls it when it is linked.
func Register(how func(*Config) (Replica, error)) struct{} {
	open = how
	return struct{}{}
}

// Open opens a replica.
func Open(c *Config) (Replica, error) { return open(c) }

// Config is the part of replica.Config that there is without a directory. All but
// Place and Generation are required.
type Config struct {
	Identity   *encryption.Identity
	Store      store.Store
	Place      []byte
	Generation interface {
		Load() (uint64, error)
		Save(n uint64) error
	}
	Log    *slog.Logger
	Clock  func() time.Time
	Random io.Reader
	Limits *Limits // nil: those that replicas have
}

// Limits are bounds of which those that replicas have are too high for small worlds.
type Limits struct {
	// Of the log, in envelopes: how many are kept though everybody has them, how many
	// for devices that are away, how many of each writer when there are more, and how
	// many pass between two looks.
	Keep, Most, Tail, Every uint64
	// OfferFrom is how many envelopes there must have been for a device that has
	// nothing to be offered documents.
	OfferFrom uint64
	// Part is how many bytes of documents are sent at once, about.
	Part int
	// Tails is from how many bytes on the record of a document gets a tail.
	Tails int
}

// Replica is an open replica that is driven by hand. To crash it, drop it.
type Replica interface {
	// Apply queues edits; outcome is called once, within this or a later call.
	// After an error they were malformed, and it is never called.
	Apply(edits []model.Edit, outcome func(error)) error

	// Flying says whether a group waits to be written.
	Flying() bool
	// Write commits the group in flight to the store.
	Write()
	// Finish takes notice of what Write came to.
	Finish()

	// Tick tells the exchange that a second has passed, which it wants to know while
	// Exchange().Leaves() says so.
	Tick()

	// Attach begins a session on a new stream.
	Attach(device encryption.DeviceID) Link
	AdmitMembers(ops [][]byte) error
	AddDevice(req *encryption.JoinRequest) (welcome []byte, err error)
	RemoveDevice(device encryption.DeviceID) (model.Removal, error)
	Rotate() error
	// Compare asks all connected devices for their fingerprints. Results returns
	// those that have come since.
	Compare(nonce [8]byte) (results func() []model.PeerVerification)

	State() (model.State, error)
	GetChat(id string) (model.Chat, error)
	Standing() model.Standing
	// Check verifies all that is stored, as replica.Verify does.
	Check() ([]string, error)

	// Exchange is for looking at.
	Exchange() *core.Exchange
	Fingerprint() [32]byte
	// Backlog says whether own changes wait to be sealed.
	Backlog() bool
	Author() core.Author

	// Close ends the process in good order.
	Close() error
}

// Link is one stream to another device.
type Link interface {
	// Take returns the frames that were sent since it was called last.
	Take() []byte
	// Receive hands over the next message that came.
	Receive(m wire.Message)
	// Lose says that the stream has ended.
	Lose(err error)
	// Ended says that the replica wants the stream closed once what Take
	// returns has been sent.
	Ended() bool
}
