package core

import (
	"github.com/starling-sync/starling/encryption"
	"github.com/starling-sync/starling/replica/internal/wire"
)

// SessionID names one stream to another device, by the host's counting. It
// is never used again.
type SessionID uint64

// Event is something that happened to the host.
type Event interface{ event() }

// Connected says that a stream to an authenticated device is open.
type Connected struct {
	Session SessionID
	Device  encryption.DeviceID
}

// Disconnected says that a stream has ended.
type Disconnected struct{ Session SessionID }

// Received is a message of a session.
type Received struct {
	Session SessionID
	Message wire.Message
}

// Loaded answers a Load: entries in causal order, the next ones of each
// writer asked for. Missing names writers of which the host cannot read the
// next entry; they are left out of this session.
type Loaded struct {
	Session SessionID
	Entries []Entry
	Missing []encryption.WriterID
}

// Committed says that the staged group is durable.
type Committed struct{}

// Aborted says that the staged group was not written.
type Aborted struct{}

// MembersAdded says that membership operations and epoch records, which are
// what is new of them, were admitted and are durable.
type MembersAdded struct{ Ops, Records [][]byte }

// CompareAll asks all sessions for their fingerprints.
type CompareAll struct{ Nonce [8]byte }

// Absorbed says that the documents of an Absorb are durable, or why they were
// refused.
type Absorbed struct {
	Session SessionID
	Device  encryption.DeviceID
	Mended  bool
	Differ  bool
	Err     error
}

// Tick says that about a second has passed. It is needed only while Leaves says so.
type Tick struct{}

// Mend asks all sessions for a document that is damaged here.
type Mend struct{ ID [16]byte }

func (Connected) event()    {}
func (Disconnected) event() {}
func (Received) event()     {}
func (Loaded) event()       {}
func (Committed) event()    {}
func (Aborted) event()      {}
func (MembersAdded) event() {}
func (CompareAll) event()   {}
func (Absorbed) event()     {}
func (Mend) event()         {}
func (Tick) event()         {}

// Effect is something the host has to do.
type Effect interface{ effect() }

// Send hands a message to a session. Order within a session is kept.
type Send struct {
	Session SessionID
	Message wire.Message
}

// Load asks for stored envelopes, in the order that Foremost says, which is causal, up
// to about Bytes bytes and at least one. The host answers with Loaded before any other event.
type Load struct {
	Session SessionID
	From    []wire.Acked // per writer the first number wanted
	Bytes   int
}

// Admit asks for membership operations or epoch records to be verified and
// made durable. The host answers with MembersAdded, with those that were new,
// before any other event.
type Admit struct {
	Session      SessionID
	Ops, Records [][]byte
}

// Disconnect ends a session. With Flush, what was sent before still goes out.
type Disconnect struct {
	Session SessionID
	Reason  error
	Flush   bool
}

// Report tells the person that something was refused or is wrong.
type Report struct {
	Device encryption.DeviceID // whose stream it came over
	Err    error
}

// Rewound says that Device knows more of what this device has written than this
// device does, which was put back to an earlier state, or is a copy. Nothing is
// sealed until the host has called Renew, which it does before its next group.
type Rewound struct {
	Device encryption.DeviceID
	Err    error
}

// Progress says that what is known of a session's other device changed.
type Progress struct{ Session SessionID }

// AnswerCompare asks the host to send its fingerprint.
type AnswerCompare struct {
	Session SessionID
	Nonce   [8]byte
}

// PeerCompared hands over another device's fingerprint.
type PeerCompared struct {
	Session SessionID
	Device  encryption.DeviceID
	Answer  *wire.Compared
}

// Serve asks for documents to be sent, as a message says. The host sends one Part.
type Serve struct {
	Session SessionID
	Want    *wire.Want
}

// HandOn says that a device cannot open an epoch and asks for it. The host hands it on, if
// the device is a member.
type HandOn struct {
	Device encryption.DeviceID
	Epoch  encryption.EpochTag
}

// Absorb hands over documents of another device, to be merged. The host answers
// with Absorbed when they are durable. With Chains they are the last ones, and the
// group that makes them durable is the one in which the host calls Adopt.
type Absorb struct {
	Session SessionID
	Device  encryption.DeviceID
	Packed  []byte // as in wire.Part
	Chains  map[encryption.WriterID]encryption.Chain
	Mended  bool // they are not of a snapshot, and were asked for by Mend
	// Differ names the documents that were asked for because they differ from those
	// here, for a part that has some; no others are merged.
	Differ [][16]byte
}

func (Send) effect()          {}
func (Load) effect()          {}
func (Admit) effect()         {}
func (Disconnect) effect()    {}
func (Report) effect()        {}
func (Rewound) effect()       {}
func (Progress) effect()      {}
func (AnswerCompare) effect() {}
func (PeerCompared) effect()  {}
func (Serve) effect()         {}
func (HandOn) effect()        {}
func (Absorb) effect()        {}
