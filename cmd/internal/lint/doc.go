// Package lint holds the house rules of this repository, as code that reads
// the repository. Its tests are the enforcement: `go test ./cmd/internal/lint`.
//
// A [Tree] is the checked-out module: every Go file parsed, every other file
// within reach. A [Rule] looks at a Tree and returns a [Finding] for each
// breach, which says what is wrong, why that is a rule here, and what to write
// instead. A reader who meets a rule for the first time meets it in its message.
//
// A few rules can be set aside where the code has a reason, and then the
// reason stands in the code, on the line or directly above it:
//
//	//lint:allow NAME reason   one finding of a banned call or import
//	//lint:long reason         a function over 70 lines (in it or in its comment),
//	                           or a file over 500 (above its package clause)
//	// order-free: reason      a range over a map, in a pure package
//	// unreachable: reason     a panic outside tests
//
// A reason that excuses nothing is itself a finding, so none outlives its cause.
//
// The rules read the files through [io/fs] inside the test. The go command
// notices every file a test opens, so a cached result is never older than the
// code; a test that ran a linter as a child process would be.
//
// Each rule has bad samples in testdata/samples that it must refuse. Frozen
// test vectors are recorded in testdata/vectors.sum; see [Vectors].
package lint
