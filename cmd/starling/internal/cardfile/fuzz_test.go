package cardfile

import (
	"bytes"
	"errors"
	"testing"

	"github.com/starling-sync/starling/cmd/starling/sample"
	"github.com/starling-sync/starling/replica/localapi/client"
)

// Whatever a file holds, reading it ends with cards or with one problem, and
// what was read can be written and read again without another change.
func FuzzRead(f *testing.F) {
	for _, name := range []string{"phone-2.1.vcf", "laptop-3.0.vcf", "tablet-4.0.vcf"} {
		raw, err := sample.Files.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(raw)
	}
	f.Fuzz(func(t *testing.T, file []byte) {
		cards, err := readAll(bytes.NewReader(file))
		var problem *client.Error
		if err != nil && !errors.As(err, &problem) {
			t.Fatalf("%v is no problem with a code", err)
		}
		for _, c := range cards {
			if c.Empty {
				continue
			}
			var first, second bytes.Buffer
			contact := asContact(c)
			if err := Write(&first, &contact); err != nil {
				t.Fatal(err)
			}
			again, err := readAll(bytes.NewReader(first.Bytes()))
			if err != nil || len(again) != 1 {
				t.Fatalf("%d cards, %v, from\n%s", len(again), err, first.String())
			}
			contact = asContact(again[0])
			if err := Write(&second, &contact); err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(first.Bytes(), second.Bytes()) {
				t.Fatalf("written as\n%s\nand then as\n%s", first.String(), second.String())
			}
		}
	})
}
