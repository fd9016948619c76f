// Package p2p is the network of one device: it finds the other devices of the
// account, proves to each of them that both are members, and hands out one
// byte stream per device. It does not know what the streams carry. It also
// moves the frames by which a new device is linked.
//
// A Host owns one libp2p identity and listens with QUIC and TCP (TLS 1.3 in
// both) on one port number. Its peer id follows from the account's discovery
// key and the device id, so members compute each other's; it proves nothing by
// itself. A connection carries one stream. The stream begins with the name of
// its protocol in a frame:
//
//   - /starling/sync/1: the hello of package encryption, then a card from each
//     side (where it listens, what it holds), then a verdict by the device with
//     the smaller id, and from there on the bytes of whoever called Accept.
//   - /starling/link/1: the pairing of package encryption, only while an Invite
//     is open.
//
// SPEC.md beside this file has every byte. There is no libp2p host or swarm
// around the transports and so no identify, ping, relay or NAT protocol, and no
// negotiation on streams: whatever a stranger says, the answer is that the
// connection closes, after at most five seconds and without a byte. No more than
// 16 connections wait for a hello at any time.
//
// The finder has a target for every host it has heard of: configured peers, the
// AddressBook's entries, announcements by multicast DNS, and what devices say in
// their cards. Each target dials, with growing pauses, whenever its host is not
// connected; a changed network interface or an announcement makes it dial at
// once. Two devices that dial each other at the same moment end up with one
// stream: the device with the smaller id decides which, for both.
//
// # What the local network sees
//
// Who listens to the traffic sees that libp2p speaks QUIC or TLS between two
// addresses, how much and when. Who listens to multicast sees a service name of
// 15 meaningless characters, common to the account's devices, and for each
// device its addresses, port and peer id. Who connects sees a TLS certificate
// for that peer id. None of it is derived from anything but the discovery key,
// the device id and the day, none of it names this program, an account, a device
// or a person, and it does not say how many devices exist beyond those that are
// present. As long as names and keys are those of one fixed day, they recognise
// a device again on another day and in another network. Switch NoDiscovery on
// to announce nothing.
//
// # What stays compatible
//
// The protocol names carry a version. A host of a later version that changes
// the bytes uses another name, and refuses unknown ones in silence, so both
// versions must be offered for as long as both are in use. Cards may grow new
// flags and kinds of addresses; older hosts ignore those.
package p2p
