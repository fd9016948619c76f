package model

// Event tells a subscriber that something changed and is durable here.
type Event struct {
	// ID grows with every event of this replica, also over restarts.
	ID   uint64 `json:"id"`
	Kind string `json:"kind"` // chat, contact, setting, label, device, peer, member, standing, fault, gap
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
	// Result is "equal", "different", or "not comparable" while the frontiers differ.
	Result string `json:"result"`
}
