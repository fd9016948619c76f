package p2p

import (
	"errors"
	"log/slog"
	"net"
	"time"

	"github.com/starling-sync/starling/encryption"
)

// Config is what a host needs. The zero value of every field but Identity is
// a sensible default. The host reads it once, in Listen.
type Config struct {
	// Identity is this device's part of the account. Required; the caller
	// keeps it, and it must outlive the host.
	Identity *encryption.Identity
	// Listen is IP:PORT for both QUIC (UDP) and TCP. A missing IP means every
	// interface with IPv4 and, where the machine has it, IPv6; port 0 means any
	// port that is free for both. Default ":0".
	Listen string
	// NoDiscovery turns multicast DNS off: nothing is announced and nothing
	// is looked for. Peers, remembered addresses and inbound connections
	// still work. Default false.
	NoDiscovery bool
	// Peers are multiaddrs to keep dialling, at most 64, for networks without
	// multicast. A /p2p/ part is optional and a hint: a host changes its id every
	// day, so whoever answers is asked for the hello, which decides whether it is
	// a device of the account.
	Peers []string
	// Book remembers where devices were reached. Nil: memory, for the life of
	// the host.
	Book AddressBook
	// Admit receives the membership operations that came with a hello, before
	// that device's stream is handed out. It is called from several
	// goroutines. Nil: Identity.Admit, without making them durable.
	Admit func(ops [][]byte)
	// Log receives what an operator may want to know, with peer addresses but
	// no secrets. Nil: nothing is logged.
	Log *slog.Logger
	// ListenPacket opens the UDP socket. If it is set the host speaks QUIC only,
	// over these sockets, and ignores the interfaces of the machine: this is
	// how it runs on a simulated network. Nil: the operating system.
	ListenPacket func(addr *net.UDPAddr) (net.PacketConn, error)

	// Injected by tests of this package.
	clock      clock
	seed       uint64                                 // of the jitter; 0: drawn
	interfaces func() (state string, err error)       // what the interface watcher compares
	ticks      <-chan time.Time                       // when it looks
	checks     <-chan time.Time                       // when the day is looked at; nil: every refreshInterval
	discover   func(*Host, *names) (discovery, error) // instead of multicast
}

const maxPeers = 64

// errConfig: the Config is unusable, which is a mistake in the program.
var errConfig = errors.New("p2p config")

func (c *Config) logger() *slog.Logger {
	if c.Log == nil {
		return slog.New(slog.DiscardHandler)
	}
	return c.Log
}
