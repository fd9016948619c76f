package replica_test

import (
	"bytes"
	"context"

	"github.com/starling-sync/starling/replica"
	"github.com/starling-sync/starling/replica/localapi/client"
)

// tester is what testing.TB and rapid.T have in common.
type tester interface {
	Helper()
	Fatal(args ...any)
	Fatalf(format string, args ...any)
	Context() context.Context
}

// stateOf returns what `starling state` prints.
func stateOf(t tester, r *replica.Replica) string {
	t.Helper()
	s, err := r.State(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	if err := client.EncodeState(&b, s); err != nil {
		t.Fatal(err)
	}
	return b.String()
}
