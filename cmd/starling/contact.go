package main

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/starling-sync/starling/crdt/model"
	"github.com/starling-sync/starling/replica/localapi/client"
)

func (a *app) contactCommand() *cobra.Command {
	return group("contact", "Keep contacts; import and export vCards",
		a.contactSetCommand(), a.contactShowCommand(), a.contactListCommand(), a.contactRemoveCommand(),
		a.contactImportCommand(), a.contactExportCommand())
}

func (a *app) contactShowCommand() *cobra.Command {
	return &cobra.Command{
		Use: "show CONTACT", Short: "Show one contact", Args: cobra.ExactArgs(1),
		RunE: a.does(func(ctx context.Context, args []string) error {
			return a.with(ctx, func(api client.API) error {
				c, err := api.GetContact(ctx, args[0])
				if err != nil {
					return err
				}
				if a.json {
					return a.emit(client.WithFields([]model.Contact{c})[0])
				}
				return a.table([]string{"contact", c.ID}, contactRows(&c), "")
			})
		}),
	}
}

func contactRows(c *model.Contact) [][]string {
	var rows [][]string
	for _, name := range model.ContactFieldNames {
		if v := c.Fields[name]; v != "" {
			rows = append(rows, []string{name, v})
		}
	}
	for _, l := range []struct {
		name  string
		items []model.Labelled
	}{{"phone", c.Phones}, {"email", c.Emails}, {"address", c.Addresses}, {"link", c.Links}} {
		for _, item := range l.items {
			rows = append(rows, []string{l.name, labelled(item)})
		}
	}
	return rows
}

func labelled(l model.Labelled) string {
	if l.Label == "" {
		return l.Value
	}
	return l.Value + " (" + l.Label + ")"
}

func (a *app) contactListCommand() *cobra.Command {
	return &cobra.Command{
		Use: "list", Short: "List all contacts", Args: cobra.NoArgs,
		RunE: a.does(func(ctx context.Context, _ []string) error {
			return a.with(ctx, func(api client.API) error {
				contacts, err := api.ListContacts(ctx)
				if err != nil {
					return err
				}
				if a.json {
					return a.emit(list(client.WithFields(contacts)))
				}
				rows := make([][]string, 0, len(contacts))
				for _, c := range contacts {
					rows = append(rows, []string{orDash(c.Fields["name"]), firstOf(c.Phones), firstOf(c.Emails), c.ID})
				}
				return a.table([]string{"NAME", "PHONE", "EMAIL", "ID"}, rows, "No contacts.")
			})
		}),
	}
}

// firstOf is the one item that a list has room for.
func firstOf(items []model.Labelled) string {
	if len(items) == 0 {
		return "–"
	}
	return items[0].Value
}

func (a *app) contactRemoveCommand() *cobra.Command {
	return &cobra.Command{
		Use: "rm CONTACT", Short: "Remove a contact", Args: cobra.ExactArgs(1),
		RunE: a.does(func(ctx context.Context, args []string) error {
			return a.with(ctx, func(api client.API) error {
				if _, err := api.GetContact(ctx, args[0]); err != nil {
					return err
				}
				if err := a.apply(ctx, api, model.Edit{Op: model.ContactRemove, ID: args[0]}); err != nil {
					return err
				}
				return a.report(map[string]string{"removed": args[0]}, "Removed contact %s.", args[0])
			})
		}),
	}
}
