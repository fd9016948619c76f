package main

import (
	"bufio"
	"context"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/starling-sync/starling/cmd/starling/internal/cardfile"
	"github.com/starling-sync/starling/crdt/model"
	"github.com/starling-sync/starling/replica/localapi/client"
)

func (a *app) contactExportCommand() *cobra.Command {
	return &cobra.Command{
		Use: "export [FILE.vcf]", Short: "Write all contacts as vCard 4.0, to a file or standard output", Args: cobra.MaximumNArgs(1),
		RunE: a.does(func(ctx context.Context, args []string) error {
			return a.with(ctx, func(api client.API) error {
				contacts, err := api.ListContacts(ctx)
				if err != nil {
					return err
				}
				if len(args) == 0 {
					return writeCards(a.stdout, contacts)
				}
				if err := replaceFile(args[0], func(w io.Writer) error { return writeCards(w, contacts) }); err != nil {
					return fmt.Errorf("export: %w", err)
				}
				return a.report(map[string]int{"exported": len(contacts)}, "Exported %s to %s.", count(len(contacts), "contact"), args[0])
			})
		}),
	}
}

func writeCards(w io.Writer, contacts []model.Contact) error {
	buffered := bufio.NewWriter(w)
	for i := range contacts {
		if err := cardfile.Write(buffered, &contacts[i]); err != nil {
			return err
		}
	}
	return buffered.Flush()
}
