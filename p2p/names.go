package p2p

import (
	"slices"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/starling-sync/starling/encryption"
)

const (
	// nameSkew is how far two clocks may be apart for their devices to find each
	// other by multicast at any time of the day. It is not more because for this
	// long before and after midnight a host asks for the names of two days, and
	// who listens then learns that they belong together.
	nameSkew = 3 * time.Hour
	// A host looks for others under the epochs from the newest to the oldest that
	// it serves: who is behind announces itself under one of these, and who is
	// ahead finds this host in the same way. They are at least minLooked, because
	// a device that was restored from a copy is further behind than it seems, and
	// at most maxLooked, each of which costs two sockets.
	minLooked = 4
	maxLooked = 32

	secondsOfDay = 24 * 60 * 60
)

// names are what the devices of the account go by on the network for as long as
// day, membership and epochs stay what they are. Read-only once made.
//
// A host has one key, of its own day and of the first epoch that it serves. It
// announces itself under each epoch that it serves, with the peer id that it would
// have under that one: so a device that knows only this epoch recognises it. What
// key the host then has does not matter, as the hello is what proves anything.
type names struct {
	moment
	seed      [32]byte          // of this host's key
	announced []service         // one for each served epoch
	looked    []service         // of other hosts, newest epoch first
	known     map[peer.ID]alias // of all members, this device included
	out       bool              // this device is not a member
	waits     bool              // it is out, and another one may bring it back
}

// A moment is what names depend on.
type moment struct {
	day         uint32 // by this device's clock
	first, last uint32 // days that others may have
	members     encryption.Hash
	served      []encryption.EpochTag
	epochs      []encryption.EpochTag // in which to say hello, newest first
}

// A service is a name under which hosts announce themselves.
type service struct {
	name  string
	epoch encryption.EpochTag
	host  peer.ID // by which the announcing host can be recognised; empty in a search
}

// An alias is what a peer id tells a member.
type alias struct {
	device encryption.DeviceID
	epoch  encryption.EpochTag // which the device knows
}

func (m *moment) equal(o *moment) bool {
	return m.day == o.day && m.first == o.first && m.last == o.last && m.members == o.members &&
		slices.Equal(m.served, o.served) && slices.Equal(m.epochs, o.epochs)
}

// dayOf counts UTC days since 1970. A clock before that is wrong anyway.
func dayOf(t time.Time) uint32 { return uint32(max(t.Unix(), 0) / secondsOfDay) }

func (a account) moment(now time.Time) moment {
	return moment{
		day: dayOf(now), first: dayOf(now.Add(-nameSkew)), last: dayOf(now.Add(nameSkew)),
		members: a.id.MembershipDigest(), served: a.id.ServedEpochs(now), epochs: a.id.DiscoveryEpochs(),
	}
}

// lookedEpochs are those that some other device may be at, newest first.
func (m *moment) lookedEpochs() []encryption.EpochTag {
	oldest := slices.Index(m.epochs, m.served[len(m.served)-1])
	return m.epochs[:min(max(oldest+1, minLooked), maxLooked, len(m.epochs))]
}

// names returns those of now; last, if they are the same. Keys that follow from
// an epoch cannot fail to be derived, as epochs are never forgotten.
func (a account) names(now time.Time, last *names) (*names, error) {
	n := &names{moment: a.moment(now), known: map[peer.ID]alias{}}
	if last != nil && n.equal(&last.moment) {
		return last, nil
	}
	n.out, n.waits = a.standing()
	for _, tag := range n.served {
		keys, err := a.id.DayKeys(tag, n.day)
		if err != nil {
			return nil, err
		}
		seed := keys.HostSeed(a.device())
		host, err := hostID(seed)
		if err != nil {
			return nil, err
		}
		if len(n.announced) == 0 {
			n.seed = seed
		}
		n.announced = append(n.announced, service{keys.ServiceName(), tag, host})
	}
	for _, tag := range n.lookedEpochs() {
		for day := n.first; day <= n.last; day++ {
			if err := n.look(a, tag, day); err != nil {
				return nil, err
			}
		}
	}
	return n, nil
}

// look adds the names of a day in an epoch.
func (n *names) look(a account, tag encryption.EpochTag, day uint32) error {
	keys, err := a.id.DayKeys(tag, day)
	if err != nil {
		return err
	}
	n.looked = append(n.looked, service{name: keys.ServiceName(), epoch: tag})
	for _, m := range a.id.Members() {
		host, err := hostID(keys.HostSeed(m.ID))
		if err != nil {
			return err
		}
		n.known[host] = alias{m.ID, tag}
	}
	return nil
}

// newest is the epoch that hosts serve first, if all know the same.
func (n *names) newest() encryption.EpochTag { return n.epochs[0] }

func (m *moment) sameEpochs(o *names) bool { return slices.Equal(m.epochs, o.epochs) }

// sameServices reports whether there is nothing to announce or to look for anew.
func (n *names) sameServices(o *names) bool {
	return slices.Equal(n.announced, o.announced) && slices.Equal(n.looked, o.looked)
}
