package encryption

// label separates one use of a hash, a key derivation, a signature or an AEAD
// from every other. Each label serves exactly one use, and all labels of the
// package stand in this file; a test asserts that they are distinct, well formed
// and prefix-free together with the zero byte that always follows them.
type label string

// Hashes.
const (
	labelAccountID        label = "starling/account-id/v1"
	labelDeviceID         label = "starling/device-id/v1"
	labelWriterID         label = "starling/writer-id/v1"
	labelOperationHash    label = "starling/operation-hash/v1"
	labelMembershipDigest label = "starling/membership-digest/v1"
	labelHelloTranscript  label = "starling/hello-transcript/v1"
	labelEpochWraps       label = "starling/epoch-wraps/v1"
	labelEpochRecordHash  label = "starling/epoch-record-hash/v1"
	labelRestore          label = "starling/restore/v1"
)

// Signatures.
const (
	labelOperationSign label = "starling/operation/v1"
	labelJoinSign      label = "starling/join-request/v1"
	labelWelcomeSign   label = "starling/welcome/v1"
	labelEpochSign     label = "starling/epoch-record/v1"
	labelRewrapSign    label = "starling/epoch-rewrap/v1"
	labelEnvelopeSign  label = "starling/envelope/v1"
	labelHelloSign     label = "starling/hello/v1"
	labelBackupSign    label = "starling/backup/v1"
)

// Key derivation from a device's or the recovery phrase's seed.
const (
	labelRecoverySigning label = "starling/recovery-signing-key/v1"
	labelRecoveryHPKE    label = "starling/recovery-hpke-key/v1"
)

// Key derivation from an epoch secret.
const (
	labelEpochTag              label = "starling/epoch-tag/v1"
	labelEpochData             label = "starling/epoch-data-key/v1"
	labelEpochControl          label = "starling/epoch-control-key/v1"
	labelEpochPrevious         label = "starling/epoch-previous-secrets-key/v1"
	labelEpochDiscovery        label = "starling/epoch-discovery-key/v1"
	labelEpochMailbox          label = "starling/epoch-mailbox-key/v1"
	labelHelloKey              label = "starling/hello-key/v1"
	labelHostSeed              label = "starling/host-seed/v1"
	labelServiceName           label = "starling/service-name/v1"
	labelSecretsFileKey        label = "starling/secrets-file-key/v1"
	labelKeptKey               label = "starling/kept-key/v1"
	labelSecretsFilePassphrase label = "starling/secrets-file-passphrase/v1"
)

// Associated data of symmetric encryption, and info of HPKE.
const (
	labelEnvelopeSeal    label = "starling/envelope-seal/v1"
	labelHelloSeal       label = "starling/hello-seal/v1"
	labelEpochWrap       label = "starling/epoch-wrap/v1"
	labelEpochBody       label = "starling/epoch-body/v1"
	labelEpochSecrets    label = "starling/epoch-previous-secrets/v1"
	labelRewrapBody      label = "starling/epoch-rewrap-body/v1"
	labelWelcomeSeal     label = "starling/welcome-seal/v1"
	labelKeptSeal        label = "starling/kept-key-seal/v1"
	labelSecretsFileSeal label = "starling/secrets-file-seal/v1"
)

// Pairing and its ticket: hashes, keys derived from the invite's secret, and the
// signature that ends it.
const (
	labelTicketChecksum label = "starling/ticket-checksum/v1"
	labelPairCommitment label = "starling/pair-commitment/v1"
	labelPairRequest    label = "starling/pair-request-transcript/v1"
	labelPairTranscript label = "starling/pair-transcript/v1"
	labelPairMACHello   label = "starling/pair-mac-hello/v1"
	labelPairMACInviter label = "starling/pair-mac-inviter/v1"
	labelPairMACJoiner  label = "starling/pair-mac-joiner/v1"
	labelPairMACWelcome label = "starling/pair-mac-welcome/v1"
	labelPairDigits     label = "starling/pair-digits/v1"
	labelPairFinish     label = "starling/pair-finish/v1"
)

// message is the form of everything that is hashed or signed under a label:
// the label, a zero byte, the body.
func (l label) message(body []byte) []byte {
	m := make([]byte, 0, len(l)+1+len(body))
	m = append(m, l...)
	m = append(m, 0)
	return append(m, body...)
}
