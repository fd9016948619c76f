package wire

// Limits on what is sent and on what arrives. They are part of the protocol:
// a sender that exceeds one is cut off.
const (
	MaxHello     = 4 << 10   // bytes of a Hello, of any version
	MaxWriters   = 4096      // entries of one frontier or acknowledgement
	MaxOps       = 4096      // membership operations in one message: all of an account
	MaxOp        = 4 << 10   // bytes of one membership operation
	MaxRecords   = 16        // epoch records in one message; more take several
	MaxRecord    = 256 << 10 // bytes of one epoch record or rewrap
	MaxEnvelope  = 1 << 20   // bytes of one sealed envelope, and of the batch in it
	MaxBatch     = 16 << 20  // bytes of one batch after decompression
	MaxBatchDocs = 16 << 10  // documents that one batch touches
	MaxEntity    = 512       // bytes of an entity id
	MaxChange    = 4 << 20   // bytes of one change
	MaxChanges   = 128 << 10 // changes in one batch
	MaxWindow    = 8 << 20   // bytes of a zstd frame's window
	MaxSaved     = 8 << 20   // bytes of one saved document
	MaxPart      = 9 << 20   // bytes of the documents of one Part, packed; unpacked at most MaxBatch
	MaxWanted    = 1024      // documents that one Want names
	MaxNearby    = 64        // devices that one Neighbours names: all of an account
	MaxPrefix    = 15        // bytes of the prefix of a Probe: all of an id but one
	MaxLeaves    = 512       // documents that one Probed names
)

// The most bytes that CBOR takes for the head of a list within the limits
// above, and for the elements of each list.
const (
	maxHead  = 3
	maxEntry = 1 + 1 + 16 + 9 + 2 + 32
	maxAcked = 1 + 1 + 16 + 9
	maxChain = maxEntry + 1 + 16 + 2 + 32
)

// maxBody returns how many bytes the body of a frame of type t may have. Each
// is what the largest message within the limits takes, so that whatever can
// be said can be sent. It is -1 for a type that is not known.
func maxBody(t Type) int {
	switch t {
	case TypeHello:
		return MaxHello
	case TypeFrontier:
		return 32 + maxHead + MaxWriters*maxEntry
	case TypeMembers:
		return maxHead + MaxOps*(maxHead+MaxOp)
	case TypeEpochs:
		return 1 + MaxRecords*(5+MaxRecord)
	case TypeEnvelope:
		return MaxEnvelope
	case TypeAck:
		return maxHead + MaxWriters*maxAcked
	case TypeCompare:
		return sizeCompare
	case TypeCompared:
		return sizeCompared
	case TypeOffer:
		return maxHead + MaxWriters*maxChain
	case TypeWant:
		return 16 + maxHead + MaxWanted*(1+16)
	case TypeNeighbours:
		return 2 + MaxNearby*(1+16)
	case TypeResume:
		return sizeResume + 1 + 34 + maxHead + MaxWriters*maxEntry
	case TypeFurther:
		return MaxEnvelope - sizeFront
	case TypePart:
		return sizePart + MaxPart
	case TypeDecline, TypeLocked:
		return sizeRefusal
	case TypePrint:
		return sizePrint
	case TypeProbe:
		return MaxPrefix
	case TypeProbed:
		return 1 + MaxPrefix - 1 + 1 + MaxLeaves*sizeLeaf // below the longest prefix there are fewer
	}
	return -1
}
