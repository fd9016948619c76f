package wire

// Limits on what arrives. They are part of the protocol: a sender that
// exceeds one is cut off.
const (
	MaxEnvelope  = 1 << 20 // bytes of one sealed envelope
	MaxWriters   = 4096    // entries of one frontier or acknowledgement
	MaxOps       = 4096    // membership operations in one message
	MaxOp        = 64 << 10
	MaxControl   = 4 << 20   // bytes of any frame that is not an envelope
	MaxBatchDocs = 16 << 10  // documents that one batch touches
	MaxBatch     = 16 << 20  // bytes of one batch after decompression
	MaxEntity    = 512       // bytes of an entity id
	MaxChange    = 4 << 20   // bytes of one change
	MaxChanges   = 128 << 10 // changes in one batch
)
