package model

import (
	"fmt"
	"strings"
)

// Event tells a subscriber that something changed and is durable here.
type Event struct {
	// ID grows with every event of this replica, also over restarts.
	ID   uint64 `json:"id"`
	Kind string `json:"kind"` // chat, contact, setting, label, device, peer, member, standing, repair, fault, gap
	// Entity is the id within Kind; empty for a gap, after which the
	// subscriber has missed events and reads the state anew.
	Entity string `json:"entity,omitempty"`
	// Device is the id of the device whose edit it was, or that the event is about.
	Device string `json:"device,omitempty"`
	// Note is for people: "connected", "added by …", what a fault was.
	Note string `json:"note,omitempty"`
}

// GapKind is the kind of the event that says events were missed.
const GapKind = "gap"

// Peer is another device as this one sees it.
type Peer struct {
	Device    string `json:"device"`
	Name      string `json:"name"`
	Connected bool   `json:"connected"`
	Addr      string `json:"addr,omitempty"`
	LastHeard Time   `json:"last_heard,omitzero"`
	// InSync says that its frontier was equal to ours when it last spoke.
	InSync bool `json:"in_sync"`
	// ClockSkew is its clock minus ours in milliseconds, at the hello.
	ClockSkew int64 `json:"clock_skew_ms"`
}

// Status is what a replica knows of itself.
type Status struct {
	Account string `json:"account"`
	Device  string `json:"device"`
	Name    string `json:"name"`
	// Standing is how this device stands in the account.
	Standing    Standing `json:"standing"`
	Frontier    string   `json:"frontier"`    // digest, 64 hexadecimal digits
	Fingerprint string   `json:"fingerprint"` // of the state, likewise
	Peers       []Peer   `json:"peers"`
	Counts      Counts   `json:"counts"`
	// PeerID and Addrs are how others reach this device; empty offline.
	PeerID string   `json:"peer_id,omitempty"`
	Addrs  []string `json:"addrs,omitempty"`
}

// Counts are the sizes of a replica.
type Counts struct {
	Chats     int `json:"chats"`
	Contacts  int `json:"contacts"`
	Labels    int `json:"labels"`
	Settings  int `json:"settings"`
	Devices   int `json:"devices"`
	Writers   int `json:"writers"`
	Envelopes int `json:"envelopes"` // held, of all writers
	Pending   int `json:"pending"`   // own changes not yet sealed
	Faults    int `json:"faults"`    // refused envelopes and records since the start
}

// Verification is the outcome of checking a replica against itself and its
// connected peers.
type Verification struct {
	OK          bool   `json:"ok"`
	Fingerprint string `json:"fingerprint"`
	Documents   int    `json:"documents"` // re-read and compared
	Envelopes   int    `json:"envelopes"` // opened, signature and chain checked
	// Problems names what is damaged, one line each.
	Problems []string `json:"problems"`
	// Peers compares fingerprints where the frontiers are equal.
	Peers []PeerVerification `json:"peers"`
}

// PeerVerification compares one connected peer.
type PeerVerification struct {
	Device string `json:"device"`
	// Result is "equal", "different", "repaired" if it was different and is equal now, or
	// "not comparable" while the frontiers differ.
	Result string `json:"result"`
	// Documents are those that differed, by what they are about, and More is how many
	// others did.
	Documents []DifferentDocument `json:"documents,omitempty"`
	More      int                 `json:"more,omitempty"`
}

// Differing names the documents that differed.
func (p *PeerVerification) Differing() string {
	names := make([]string, len(p.Documents))
	for i, d := range p.Documents {
		names[i] = d.String()
	}
	if p.More > 0 {
		names = append(names, fmt.Sprintf("and %d more", p.More))
	}
	return strings.Join(names, ", ")
}

// DifferentDocument is one of which two devices with the same changes had different
// states.
type DifferentDocument struct {
	ID string `json:"id"` // hexadecimal, as messages about damage have it
	// Kind is chat, contact, settings, labels or devices, and Entity the id of the chat
	// or contact. Both are empty while it is not known here what the document is.
	Kind   string `json:"kind,omitempty"`
	Entity string `json:"entity,omitempty"`
	// Here and There say which of the two devices had the document at all.
	Here  bool `json:"here"`
	There bool `json:"there"`
}

// String is for people.
func (d DifferentDocument) String() string {
	name := strings.TrimSpace(d.Kind + " " + d.Entity)
	if d.Kind == "" {
		name = "document " + d.ID
	}
	switch {
	case !d.There:
		return name + " (only here)"
	case !d.Here:
		return name + " (only there)"
	}
	return name
}
