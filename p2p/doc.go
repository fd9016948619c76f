// Package p2p is the network of one device: it finds the other devices of the
// account, proves to each of them that both are members, and hands out one
// byte stream per device. It does not know what the streams carry. It also
// moves the frames by which a new device is linked.
//
// A Host has one libp2p identity at a time and listens with QUIC and TCP (TLS 1.3
// in both) on one port number. Its peer id follows from an epoch, the device id
// and the UTC day, so members compute each other's; it proves nothing by itself,
// and whoever answers at an address is asked for the hello. Host.Refresh makes the
// host follow the day, the epochs and the membership; streams of members stay. A
// connection carries one stream. The stream begins with the name of its protocol
// in a frame:
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
// The finder has a target for every device it has heard of, and for places that
// are not known to be one's: configured peers, the AddressBook's entries,
// announcements by multicast DNS, and what devices say in their cards. Each target
// dials, with growing pauses, whenever its device is not connected; a changed
// network interface or an announcement makes it dial at once. Two devices that
// dial each other at the same moment end up with one stream: the device with the
// smaller id decides which, for both.
//
// # What the local network sees
//
// Who listens to the traffic sees that libp2p speaks QUIC or TLS between two
// addresses, how much and when. Who listens to multicast sees service names of
// 15 meaningless characters, common to the account's devices, one for each epoch
// that a device may be at, and for each device its addresses, port and peer ids.
// Who connects sees a TLS certificate for a peer id. None of it is derived from
// anything but an epoch, the device id and the day, none of it names this program,
// an account, a device or a person, and it does not say how many devices exist
// beyond those that are present.
//
// Names and peer ids are others on the next day, and after a rotation as soon as
// all devices have it. What links two days is all that is not ours: the addresses
// of the machine, the port for as long as the host runs (or for ever, if Listen
// names one), and, for who watches from three hours before midnight to three hours
// after it, that names of both days are asked for from one address. A device that
// was removed knows the names under the epochs that it had, and those are served
// until all members have a later one, and for 30 days after a removal. With
// Config.NoDiscovery nothing is announced.
//
// # What stays compatible
//
// The protocol names carry a version. A host of a later version that changes
// the bytes uses another name, and refuses unknown ones in silence, so both
// versions must be offered for as long as both are in use. Cards may grow new
// flags and kinds of addresses; older hosts ignore those.
package p2p
