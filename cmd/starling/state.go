package main

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/starling-sync/starling/replica/localapi/client"
)

func (a *app) stateCommand() *cobra.Command {
	return &cobra.Command{
		Use: "state", Short: "Print the whole state as canonical JSON, for comparing", Args: cobra.NoArgs,
		Long: "Print the whole effective state as canonical JSON (RFC 8785), sorted, in one\nline. Devices that have converged print equal bytes.",
		RunE: a.does(func(ctx context.Context, _ []string) error {
			return a.with(ctx, func(api client.API) error {
				s, err := api.State(ctx)
				if err != nil {
					return err
				}
				return client.EncodeState(a.stdout, s)
			})
		}),
	}
}
