package main

import (
	"context"
	"strings"

	"github.com/spf13/cobra"

	"github.com/starling-sync/starling/cmd/starling/internal/cardfile"
	"github.com/starling-sync/starling/crdt/model"
	"github.com/starling-sync/starling/replica/localapi/client"
)

// contactFlags are the flags of contact set: one for each field of a card,
// and two for each list.
type contactFlags struct {
	fields      map[string]*string
	add, remove map[string]*[]string
}

func (a *app) contactSetCommand() *cobra.Command {
	f := contactFlags{fields: map[string]*string{}, add: map[string]*[]string{}, remove: map[string]*[]string{}}
	cmd := &cobra.Command{
		Use: "set CONTACT", Short: "Change what the flags name of a contact, or make it", Args: cobra.ExactArgs(1),
		Long: "Change what the flags name and leave the rest of the card alone. An empty value\nempties a field. Flags for lists can be repeated; a label goes behind a semicolon.\nAn address is a text, or the seven components of RFC 6350 with semicolons.",
		Example: "  starling contact set ada --name 'Ada Lovelace' --phone '+44 20 7946 0018;work'\n" +
			"  starling contact set ada --nickname '' --remove-phone '+44 20 7946 0018'",
	}
	f.define(cmd)
	cmd.RunE = a.does(func(ctx context.Context, args []string) error {
		edit := model.Edit{Op: model.ContactSet, ID: args[0], Contact: f.patch(cmd)}
		return a.with(ctx, func(api client.API) error {
			if err := a.apply(ctx, api, edit); err != nil {
				return err
			}
			if !a.json {
				return a.say("Set contact %s.", args[0])
			}
			c, err := api.GetContact(ctx, args[0])
			if err != nil {
				return err
			}
			return a.emit(client.WithFields([]model.Contact{c})[0])
		})
	})
	return cmd
}

func (f *contactFlags) define(cmd *cobra.Command) {
	for _, name := range model.ContactFieldNames {
		f.fields[name] = cmd.Flags().String(name, "", "")
	}
	for _, name := range []string{"phone", "email", "address", "link"} {
		f.add[name] = cmd.Flags().StringArray(name, nil, "add `VALUE[;LABEL]`")
		f.remove[name] = cmd.Flags().StringArray("remove-"+name, nil, "remove the one with this `VALUE`")
	}
}

// patch holds the flags that were given, also those that are empty.
func (f *contactFlags) patch(cmd *cobra.Command) *model.ContactPatch {
	p := &model.ContactPatch{Fields: map[string]string{}}
	for name, value := range f.fields {
		if cmd.Flags().Changed(name) {
			p.Fields[name] = *value
		}
	}
	p.Add = items(f.add)
	p.Remove = items(f.remove)
	return p
}

func items(lists map[string]*[]string) model.ContactItems {
	return model.ContactItems{
		Phones:    each(*lists["phone"], valueAndLabel),
		Emails:    each(*lists["email"], valueAndLabel),
		Addresses: each(*lists["address"], addressAndLabel),
		Links:     each(*lists["link"], valueAndLabel),
	}
}

func each(values []string, parse func(string) model.Labelled) []model.Labelled {
	var out []model.Labelled
	for _, v := range values {
		out = append(out, parse(v))
	}
	return out
}

func valueAndLabel(s string) model.Labelled {
	value, label, _ := strings.Cut(s, ";")
	return model.Labelled{Value: strings.TrimSpace(value), Label: strings.TrimSpace(label)}
}

// addressAndLabel takes a text without components for the street.
func addressAndLabel(s string) model.Labelled {
	parts := strings.Split(s, ";")
	if len(parts) < 7 {
		l := valueAndLabel(s)
		return model.Labelled{Value: cardfile.Address(";;" + l.Value), Label: l.Label}
	}
	return model.Labelled{
		Value: cardfile.Address(strings.Join(parts[:7], ";")),
		Label: strings.TrimSpace(strings.Join(parts[7:], ";")),
	}
}
