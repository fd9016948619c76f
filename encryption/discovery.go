package encryption

import (
	"slices"
	"time"
)

const (
	// maxDiscovery bounds the epochs under which two devices can meet: after that
	// many rotations behind its back, a device is met by nobody, and is linked again.
	maxDiscovery = 64
	// maxServed bounds the epochs under which a device can be found.
	maxServed = 8
	// toldFor is how long a device that was removed can find out.
	toldFor = 30 * 24 * time.Hour
)

// DiscoveryEpochs returns the epochs under whose keys this device can greet others
// and be greeted: the one it seals in, if any, then the others that it knows, the
// newest first, at most 64. The newest is not always shared: a device that was
// away during a rotation knows an older one only, and so does a device that was
// removed, which is told so under it.
func (id *Identity) DiscoveryEpochs() []EpochTag {
	id.mu.RLock()
	defer id.mu.RUnlock()
	return tagsOf(id.discoveryEpochs())
}

func tagsOf(epochs []*epoch) []EpochTag {
	tags := make([]EpochTag, len(epochs))
	for i, e := range epochs {
		tags[i] = e.tag
	}
	return tags
}

func (id *Identity) discoveryEpochs() []*epoch {
	var epochs []*epoch
	if id.epoch != nil {
		epochs = append(epochs, id.epoch)
	}
	for _, a := range id.ring.newest() {
		e := id.ring.secrets[a.tag]
		if e != nil && len(epochs) < maxDiscovery && !slices.Contains(epochs, e) {
			epochs = append(epochs, e)
		}
	}
	return epochs
}

// ServedEpochs returns the epochs under which this device should be found, the
// first of DiscoveryEpochs first, at most 8: from the current generation down to
// the oldest that some other device may still be at. If these are more than 8,
// the middle ones are left out.
//
// Of an epoch that this device knows, another device is known to have it too if it
// announced it; if its sponsor had announced it when it added the device; or if it
// greeted or sealed in it since this identity was opened. That a device has signed
// an operation after an epoch says nothing, since operations travel ahead of
// records. The other devices are the members, and until 30 days after their
// removal those that were removed, so that they get to hear of it.
//
// So the list holds an epoch that each member has. Which of its own epochs that
// is, a member cannot know: it looks for others under all its DiscoveryEpochs.
func (id *Identity) ServedEpochs(now time.Time) []EpochTag {
	id.mu.RLock()
	defer id.mu.RUnlock()
	floor := id.ring.newest()[0].generation
	for _, add := range id.log.sought(now) {
		if d := add.member.ID; d != id.device {
			floor = min(floor, max(id.ring.reached[d], id.ring.announced(id.log, add, firstOf(len(id.log.ops)))))
		}
	}
	all := id.discoveryEpochs()
	served := slices.Clone(all[:1])
	for _, e := range all[1:] {
		if id.ring.byTag[e.tag][0].generation >= floor {
			served = append(served, e)
		}
	}
	if len(served) > maxServed {
		served = append(served[:maxServed-1], served[len(served)-1])
	}
	return tagsOf(served)
}

// sought returns the adds of the devices that should find this one: members, and
// for a while those that were removed or, with the device that added them, voided.
func (l *membershipLog) sought(now time.Time) (adds []*operation) {
	recent := now.Add(-toldFor).UnixMilli()
	lately := map[int]bool{} // by the index of the target's add
	anybody := false
	for _, r := range l.resolved.removals {
		lately[r.target] = lately[r.target] || r.at >= recent
		anybody = anybody || r.at >= recent
	}
	for _, i := range l.adds { // order-free: only a minimum is taken of what is returned
		late, removed := lately[i]
		if !removed {
			late = anybody
		}
		if op := l.ops[i]; late || l.resolved.find(op.member.ID) != nil {
			adds = append(adds, op)
		}
	}
	return adds
}

// announced returns the newest generation, of the epochs that are known here,
// that a device had by the operations of a past: an epoch of its own, or one that
// its sponsor had when it added the device.
func (k *keyring) announced(log *membershipLog, add *operation, past bitset) uint64 {
	had := uint64(1)
	for _, a := range k.all {
		if a.op != nil && a.op.author == add.index && past.has(a.op.index) && k.secrets[a.tag] != nil {
			had = max(had, a.generation)
		}
	}
	if add.author == noAuthor { // the founder, or a device that the recovery key added
		return had
	}
	return max(had, k.announced(log, log.ops[add.author], add.past))
}

// noteEpoch remembers that a device was seen to have an epoch. Guarded by mu.
func (id *Identity) noteEpoch(d DeviceID, tag EpochTag) {
	id.mu.RLock()
	var generation uint64
	if named := id.ring.byTag[tag]; len(named) > 0 {
		generation = named[0].generation
	}
	known := id.ring.reached[d] >= generation
	id.mu.RUnlock()
	if known {
		return // as nearly always, and then without waiting for the lock
	}
	id.mu.Lock()
	defer id.mu.Unlock()
	id.ring.reached[d] = max(id.ring.reached[d], generation)
}
