package sim

// Rare is a state that worlds should get into now and then.
type Rare int

// The rare states.
const (
	crashInFlight Rare = iota
	crashBeforeNotice
	crashInCommit
	diskFull
	openFailed
	slowDisk
	twoStreams
	lostOnTheWay
	partOfAFrame
	cutInAFrame
	partition
	duplicate
	buffered
	windowFull
	backlogMet
	added
	addedInSync
	removed
	removedInSync
	toldRemoved
	refusedOutside
	rotated
	away
	clockJump
	backAtOnce
	backByOthers
	backByNobody
	keyLost
	renewed
	compared
	checked
	editNotFound
	copied
	copyNoticed
	lied
	forked
	silent
	falseFrontier
	frozen
	disputed
	logShortened
	offered
	documentsCame
	snapshotEnded
	resumed
	numRare
)

// rareNames say what is counted, in the order of the constants.
var rareNames = [numRare]string{
	crashInFlight:     "crash with a group in flight",
	crashBeforeNotice: "crash between commit and notice",
	crashInCommit:     "crash within a commit that the loop waits for",
	diskFull:          "group not written, disk full",
	openFailed:        "start failed, disk full",
	slowDisk:          "slow disks",
	twoStreams:        "two streams between a pair",
	lostOnTheWay:      "frames lost on their way",
	partOfAFrame:      "part of a frame arrived",
	cutInAFrame:       "stream ended within a frame",
	partition:         "partition",
	duplicate:         "envelope received that is durable",
	buffered:          "envelope held ahead of its past",
	windowFull:        "window full",
	backlogMet:        "met with a backlog",
	added:             "device added",
	addedInSync:       "device added in mid-sync",
	removed:           "device removed",
	removedInSync:     "device removed in mid-sync",
	toldRemoved:       "hello told of a removal",
	refusedOutside:    "edit refused on a removed device",
	rotated:           "epoch begun on demand",
	away:              "device away for weeks",
	clockJump:         "clock jumped",
	backAtOnce:        "put back, noticed at once",
	backByOthers:      "put back, noticed by others",
	backByNobody:      "put back, noticed by nobody",
	keyLost:           "put back without a key that was in use",
	renewed:           "new writer",
	compared:          "fingerprints compared equal",
	checked:           "stored records verified",
	editNotFound:      "edit refused: pin beside nothing",
	copied:            "copy of a directory began to run",
	copyNoticed:       "copy that runs noticed by others",
	lied:              "lie of a hostile member",
	forked:            "fork by a hostile member",
	silent:            "hostile member silent",
	falseFrontier:     "false frontier of a hostile member",
	frozen:            "writer frozen",
	disputed:          "log in dispute",
	logShortened:      "envelope dropped from a log",
	offered:           "snapshot offered",
	documentsCame:     "part of a snapshot received",
	snapshotEnded:     "last part of a snapshot received",
	resumed:           "snapshot resumed after a cut",
}

func (r Rare) String() string { return rareNames[r] }

func (w *world) seen(r Rare) { w.result.Rare[r]++ }

// had says whether a state was reached before now.
func (w *world) had(r Rare) bool { return w.result.Rare[r] > 0 }
