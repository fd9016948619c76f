package encryption

import "errors"

// Errors a caller branches on. All others wrap one of these or come from the
// file system. None of them carries a secret or content.
var (
	// ErrMalformed: bytes that are not in the one canonical form of their format.
	ErrMalformed = errors.New("malformed")
	// ErrTooLarge: over a documented limit.
	ErrTooLarge = errors.New("over the limit")
	// ErrUnsupported: a version, suite or kind this build does not know. The bytes
	// may be valid for a newer build.
	ErrUnsupported = errors.New("made by a newer version")
	// ErrSignature: a signature that does not verify.
	ErrSignature = errors.New("signature does not verify")

	// ErrExists: the directory already holds an identity; nothing was written.
	ErrExists = errors.New("an identity exists already")
	// ErrNoIdentity: the directory holds no identity.
	ErrNoIdentity = errors.New("no identity here")
	// ErrWrongUnlock: the secrets file did not open. A wrong passphrase or key and
	// a damaged file cannot be told apart.
	ErrWrongUnlock = errors.New("wrong passphrase or key file, or a damaged identity file")
	// ErrDamaged: the identity file's header or contents cannot be what was written.
	ErrDamaged = errors.New("damaged identity file")
	// ErrEmptyPassphrase: an empty passphrase protects nothing and is refused.
	ErrEmptyPassphrase = errors.New("empty passphrase")

	// ErrMissingParents: operations whose parents are not known; none of these
	// operations was admitted. Ask the sender for the rest.
	ErrMissingParents = errors.New("operation with unknown parents")
	// ErrOtherAccount: an operation or welcome of another account.
	ErrOtherAccount = errors.New("belongs to another account")
	// ErrNotMember: the author of an operation was not a member in its past.
	ErrNotMember = errors.New("author is not a member")
	// ErrRemoved: a device of the account that is not a member any more, or was added
	// in vain. What it signed is genuine; whether it counts is another question.
	ErrRemoved = errors.New("device is not a member any more")
	// ErrWords: recovery words that are not those of this account, or not any more.
	ErrWords = errors.New("not the recovery words of this account")
	// ErrBackup: a file that is no backup, or one that was cut, altered or forged.
	ErrBackup = errors.New("no backup, or a damaged or forged one")
	// ErrSequence: an operation that does not continue its author's own chain.
	ErrSequence = errors.New("does not continue its author's operations")
	// ErrTooManyOperations: the log holds 4,096 operations.
	ErrTooManyOperations = errors.New("too many membership operations")
	// ErrTooManyDevices: the account has 64 devices.
	ErrTooManyDevices = errors.New("too many devices")

	// ErrUnknownEpoch: sealed under an epoch whose secret this device does not have.
	ErrUnknownEpoch = errors.New("unknown epoch")
	// ErrMissingOperation: an epoch record that no admitted operation announces, or
	// a rewrap whose author none adds. Admit the sender's operations first, then
	// offer the record again.
	ErrMissingOperation = errors.New("epoch record that no known operation accounts for")
	// ErrNeedsEpoch: devices that are not members may know every epoch there is.
	// Make a new one with PrepareEpoch, then seal again.
	ErrNeedsEpoch = errors.New("no epoch that only members know")
	// ErrDecrypt: a known epoch, but bytes that were not sealed with its key.
	ErrDecrypt = errors.New("does not decrypt")
	// ErrUnknownDevice: the signing device is not a member.
	ErrUnknownDevice = errors.New("unknown device")
	// ErrWriter: a writer id that is not the hash of its device and nonce, or not
	// the one the chain belongs to.
	ErrWriter = errors.New("writer does not belong to the device")
	// ErrGap: the envelope is not the next one of its writer; earlier ones are missing.
	ErrGap = errors.New("earlier envelopes are missing")
	// ErrDuplicate: an envelope with this number is already part of the chain.
	// Whether it is the same one (harmless) or another (a fork) is for the holder
	// of the log to say.
	ErrDuplicate = errors.New("number is already taken in the chain")
	// ErrFork: two different envelopes or operations with one author and number.
	// This package never returns it by itself: it does not keep the log.
	ErrFork = errors.New("fork: two contents under one number")

	// ErrHello is the one answer to any failure of the mutual authentication. What
	// went wrong is reachable by errors.Unwrap, for local debugging only; it must
	// not influence anything the other side can see.
	ErrHello = errors.New("hello failed")
	// ErrWelcome: the welcome of the inviting device does not hold.
	ErrWelcome = errors.New("welcome does not verify")
)
