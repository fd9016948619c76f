package encryption

import "slices"

const (
	// maxDiscovery bounds the epochs under which two devices can meet: after that
	// many rotations behind its back, a device is met by nobody, and is linked again.
	maxDiscovery = 64
	// maxServed bounds the epochs under which a device can be found.
	maxServed = 8
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
// first of DiscoveryEpochs first, at most 8: those of the generations from the
// current one down to the oldest that some other member may still be at. If these
// are more than 8, the middle ones are left out.
//
// A member is at least at the generation of an epoch that it announced itself; of
// one that its sponsor was at when it added it; and of one in which it greeted or
// sealed since this identity was opened. That it has signed an operation after an
// epoch says nothing, since operations travel ahead of records. Each device may
// know less about the others than they do, so two lists may differ; but the oldest
// epoch of the one is never newer than what the other device has, which is why a
// device looks for others under all of its DiscoveryEpochs.
func (id *Identity) ServedEpochs() []EpochTag {
	id.mu.RLock()
	defer id.mu.RUnlock()
	floor := id.ring.floor(id.log, id.device)
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

// floor returns the oldest generation that some other member may be at.
func (k *keyring) floor(log *membershipLog, self DeviceID) uint64 {
	floor := k.newest()[0].generation
	for _, m := range log.members() {
		if m.ID != self {
			floor = min(floor, max(k.reached[m.ID], k.announced(log, m.ID, firstOf(len(log.ops)))))
		}
	}
	return floor
}

// announced returns the newest generation that a device is known to have had by
// the operations of a past: its own epochs, or what its sponsor had when it added
// the device.
func (k *keyring) announced(log *membershipLog, d DeviceID, past bitset) uint64 {
	own := uint64(1)
	for _, a := range k.all {
		if a.op != nil && a.op.Author == d && past.has(a.op.index) {
			own = max(own, a.generation)
		}
	}
	add := log.ops[log.adds[d]]
	if add.genesis != nil {
		return own
	}
	return max(own, k.announced(log, add.Author, add.past))
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
