package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/starling-sync/starling/crdt/model"
	"github.com/starling-sync/starling/replica/localapi/client"
)

func (a *app) verifyCommand() *cobra.Command {
	return &cobra.Command{
		Use: "verify", Short: "Read and check everything stored, compare with connected devices, and repair what differs", Args: cobra.NoArgs,
		RunE: a.does(func(ctx context.Context, _ []string) error {
			return a.with(ctx, func(api client.API) error {
				v, err := api.Verify(ctx)
				if err != nil {
					return err
				}
				if err := a.reportVerification(&v); err != nil {
					return err
				}
				return verified(&v)
			})
		}),
	}
}

func (a *app) reportVerification(v *model.Verification) error {
	if a.json {
		return a.emit(v)
	}
	for _, line := range verification(v) {
		if err := a.say("%s", line); err != nil {
			return err
		}
	}
	return nil
}

// verification says what was found in one line, and in one more for each device with
// other documents.
func verification(v *model.Verification) []string {
	lines := []string{fmt.Sprintf("Checked %s and %s: %s.", count(v.Documents, "document"), count(v.Envelopes, "envelope"), verdict(v))}
	for _, p := range v.Peers {
		switch {
		case p.Result == "repaired":
			lines = append(lines, fmt.Sprintf("Repaired with device %s, and equal now: %s.", p.Device, p.Differing()))
		case p.Result == "different" && len(p.Documents) > 0:
			lines = append(lines, fmt.Sprintf("Different from device %s: %s.", p.Device, p.Differing()))
		}
	}
	return lines
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
			of := ""
			if len(p.Documents) > 0 {
				of = " of " + p.Differing()
			}
			return client.Errorf(codeDifferent, "verify: device %s holds the same changes and another state%s", p.Device, of)
		}
	}
	if !v.OK {
		return client.Errorf(client.CodeDamaged, "verify: the store is not in order; starling doctor says what can be done")
	}
	return nil
}
