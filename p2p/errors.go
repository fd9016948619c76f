package p2p

import "errors"

// What a caller of this package branches on.
var (
	// ErrAddrInUse: another program holds the TCP or the UDP port asked for.
	ErrAddrInUse = errors.New("address already in use")
	// ErrListenAddr: Config.Listen is not HOST:PORT with a literal IP address.
	ErrListenAddr = errors.New("listen address is not IP:PORT")
	// ErrPeerAddr: an entry of Config.Peers is not a multiaddr that can be dialled.
	ErrPeerAddr = errors.New("peer address is not /ip4|ip6/…/udp/PORT/quic-v1 or /ip4|ip6/…/tcp/PORT")
	// ErrClosed: the host was closed.
	ErrClosed = errors.New("p2p host closed")
	// ErrUnreachable: no address of a ticket answered.
	ErrUnreachable = errors.New("no address of the ticket answers")
	// ErrRefused: the inviting device closed the connection without a word.
	ErrRefused = errors.New("refused: the ticket was used, has expired, or the invite was closed")
	// ErrInviteClosed: the invite was cancelled, replaced or used.
	ErrInviteClosed = errors.New("the invite is closed")
)

// errSelf: the host at an address is this one.
var errSelf = errors.New("that is this device")

// errOther: the host at an address is another device of the account, which has a
// target of its own.
var errOther = errors.New("that is another device of the account")

// errHello is every way in which a hello can fail. It has no detail on
// purpose: the other end must not be able to tell the ways apart, so nothing
// in this package may branch on them either, but on its own side: which of the
// two is not a member any more (encryption.RemovedError).
var errHello = errors.New("hello failed")
