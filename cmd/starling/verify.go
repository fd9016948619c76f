package main

import (
	"context"
	"strings"

	"github.com/spf13/cobra"

	"github.com/starling-sync/starling/crdt/model"
	"github.com/starling-sync/starling/replica/localapi/client"
)

func (a *app) verifyCommand() *cobra.Command {
	return &cobra.Command{
		Use: "verify", Short: "Read and check everything stored, and compare with connected devices", Args: cobra.NoArgs,
		RunE: a.does(func(ctx context.Context, _ []string) error {
			return a.with(ctx, func(api client.API) error {
				v, err := api.Verify(ctx)
				if err != nil {
					return err
				}
				if err := a.report(v, "Checked %s and %s: %s.", count(v.Documents, "document"), count(v.Envelopes, "envelope"), verdict(&v)); err != nil {
					return err
				}
				return verified(&v)
			})
		}),
	}
}

func verdict(v *model.Verification) string {
	if v.OK {
		return "nothing is wrong, fingerprint " + v.Fingerprint
	}
	return "not in order"
}

// verified makes a failure of what was found.
func verified(v *model.Verification) error {
	if len(v.Problems) > 0 {
		return client.Errorf(client.CodeDamaged, "verify: %s; starling doctor says what can be done", strings.Join(v.Problems, "; "))
	}
	for _, p := range v.Peers {
		if p.Result == "different" {
			return client.Errorf(codeDifferent, "verify: device %s holds the same changes and another state", p.Device)
		}
	}
	if !v.OK {
		return client.Errorf(client.CodeDamaged, "verify: the store is not in order; starling doctor says what can be done")
	}
	return nil
}
