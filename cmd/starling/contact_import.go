package main

import (
	"context"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"github.com/starling-sync/starling/cmd/starling/internal/cardfile"
	"github.com/starling-sync/starling/crdt/model"
	"github.com/starling-sync/starling/replica/localapi/client"
)

func (a *app) contactImportCommand() *cobra.Command {
	return &cobra.Command{
		Use: "import FILE.vcf|-", Short: "Import vCards of version 2.1, 3.0 or 4.0", Args: cobra.ExactArgs(1),
		Long: "Import a vCard file: all of it, or nothing when any card of it is malformed. What\na card does not mention stays as it is, so importing a file twice changes nothing.",
		RunE: a.does(func(ctx context.Context, args []string) error {
			edits, skipped, err := a.readCards(args[0])
			if err != nil {
				return err
			}
			return a.with(ctx, func(api client.API) error {
				a.progress("Importing %s …", count(len(edits), "contact"))
				for _, part := range parts(edits) {
					if err := api.Apply(ctx, part); err != nil {
						return err
					}
				}
				done := map[string]int{"imported": len(edits), "skipped": skipped}
				return a.report(done, "Imported %s from %s%s.", count(len(edits), "contact"), args[0], alsoSkipped(skipped))
			})
		}),
	}
}

func alsoSkipped(n int) string {
	if n == 0 {
		return ""
	}
	return fmt.Sprintf(", left out %s without a contact", count(n, "card"))
}

// readCards reads the whole file before anything is changed.
func (a *app) readCards(path string) (edits []model.Edit, skipped int, err error) {
	f, err := a.openInput(path)
	if err != nil {
		return nil, 0, err
	}
	defer f.Close()
	return importEdits(path, f)
}

// openInput opens a regular file or pipe that is not too large, or standard
// input for "-".
func (a *app) openInput(path string) (io.ReadCloser, error) {
	if path == "-" {
		return io.NopCloser(a.lines), nil
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("import: %w", err)
	}
	info, err := f.Stat()
	switch {
	case err != nil:
	case info.IsDir():
		err = client.Errorf(client.CodeBadRequest, "import %s: is a directory", path)
	case info.Size() > cardfile.MaxFile:
		err = client.Errorf(client.CodeTooLarge, "import %s: the file is larger than %d MiB", path, cardfile.MaxFile>>20)
	}
	if err != nil {
		_ = f.Close() // nothing was written to it
		return nil, err
	}
	return f, nil
}

func importEdits(path string, r io.Reader) (edits []model.Edit, skipped int, err error) {
	for card, err := range cardfile.Read(r) {
		if err != nil {
			return nil, 0, fmt.Errorf("import %s: %w", path, err)
		}
		if card.Empty {
			skipped++
			continue
		}
		edit := model.Edit{Op: model.ContactSet, ID: card.ID, Contact: &card.Patch}
		if err := edit.Validate(); err != nil {
			return nil, 0, client.Errorf(client.CodeBadRequest, "import %s: card in line %d: %w", path, card.Line, err)
		}
		edits = append(edits, edit)
	}
	return edits, skipped, nil
}

// parts splits edits so that each is well below what one Apply may carry to
// a daemon. Any usual address book is one part.
func parts(edits []model.Edit) [][]model.Edit {
	const room = client.MaxEditsBody / 3 // JSON may write a letter in up to three times its bytes here
	var out [][]model.Edit
	begin, size := 0, 0
	for i := range edits {
		n := editSize(&edits[i])
		if i > begin && (size+n > room || i-begin == client.MaxEdits) {
			out = append(out, edits[begin:i])
			begin, size = i, 0
		}
		size += n
	}
	if begin < len(edits) {
		out = append(out, edits[begin:])
	}
	return out
}

// editSize is about what a contact takes as JSON.
func editSize(e *model.Edit) int {
	const names = 40
	n := len(e.ID) + 2*names
	for _, v := range e.Contact.Fields {
		n += len(v) + names
	}
	for _, l := range e.Contact.Add.Lists() {
		for _, item := range *l.Items {
			n += len(item.Value) + len(item.Label) + names
		}
	}
	return n
}
