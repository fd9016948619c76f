package cardfile

import (
	"bytes"
	"reflect"
	"strings"
	"testing"

	vcard "github.com/emersion/go-vcard"
	"pgregory.net/rapid"

	"github.com/starling-sync/starling/crdt/model"
)

// asContact is what a contact holds after the patch met an empty one.
func asContact(c Card) model.Contact {
	return model.Contact{
		ID: c.ID, Fields: c.Patch.Fields,
		Phones: c.Patch.Add.Phones, Emails: c.Patch.Add.Emails,
		Addresses: c.Patch.Add.Addresses, Links: c.Patch.Add.Links,
	}
}

func roundTrip(t rapid.TB, c model.Contact) model.Contact {
	t.Helper()
	var file bytes.Buffer
	if err := Write(&file, &c); err != nil {
		t.Fatal(err)
	}
	cards, err := readAll(bytes.NewReader(file.Bytes()))
	if err != nil || len(cards) != 1 {
		t.Fatalf("%d cards, %v, from\n%s", len(cards), err, file.String())
	}
	return asContact(cards[0])
}

func TestSamplesComeBack(t *testing.T) {
	for name, patch := range readSample(t) {
		c := asContact(Card{ID: "id:" + name, Patch: patch})
		if got := roundTrip(t, c); !reflect.DeepEqual(got, c) {
			t.Errorf("%s:\n got %s\nwant %s", name, asJSON(got), asJSON(c))
		}
	}
}

// anyText holds what vCard gives a meaning to, and what is folded.
func anyText() *rapid.Generator[string] {
	letters := []rune("ab ,;:\\\n\"=._$!<>Äß日👩\u200d🚀{}")
	return rapid.StringOfN(rapid.SampledFrom(letters), 1, 90, -1)
}

func anyItems(value *rapid.Generator[string]) *rapid.Generator[[]model.Labelled] {
	label := rapid.OneOf(rapid.Just(""), rapid.SampledFrom([]string{
		"home", "work fax", "voice", "pref", "Home", "home ", "_$!<Home>!$_", "_$!<x>!$_",
	}), anyText())
	item := rapid.Custom(func(t *rapid.T) model.Labelled {
		return model.Labelled{Value: value.Draw(t, "value"), Label: label.Draw(t, "label")}
	})
	return rapid.SliceOfNDistinct(item, 0, 4, func(l model.Labelled) string { return l.Value })
}

func anyContact(t *rapid.T) model.Contact {
	c := model.Contact{ID: "id:" + strings.ReplaceAll(anyText().Draw(t, "id"), "\n", ""), Fields: model.ContactFields{}}
	for _, name := range model.ContactFieldNames {
		if name != "photo" && rapid.Bool().Draw(t, name) {
			c.Fields[name] = anyText().Draw(t, name)
		}
	}
	if rapid.Bool().Draw(t, "date") {
		c.Fields["birthday"] = rapid.SampledFrom([]string{"19800512", "1980-05-12", "--0512", "--05-12", "1980", "1980-05", "tomorrow"}).Draw(t, "birthday")
	}
	filled := func(s string) bool { return s != "" }
	trimmed := rapid.Map(anyText(), strings.TrimSpace).Filter(filled)
	address := rapid.Map(anyText(), Address).Filter(func(s string) bool { return strings.Trim(s, "; ") != "" })
	c.Phones = anyItems(trimmed).Draw(t, "phones")
	c.Emails = anyItems(trimmed).Draw(t, "emails")
	c.Addresses = anyItems(address).Draw(t, "addresses")
	c.Links = anyItems(trimmed).Draw(t, "links")
	return c
}

func TestEveryContactComesBack(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := anyContact(t)
		if got := roundTrip(t, c); asJSON(got) != asJSON(c) {
			t.Fatalf("\n got %s\nwant %s", asJSON(got), asJSON(c))
		}
	})
}

// Another program's parser reads what Write wrote, in lines of 75 octets.
func TestOthersReadIt(t *testing.T) {
	c := model.Contact{
		ID:        "urn:uuid:1",
		Fields:    model.ContactFields{"name": "Zoë, Prof.", "given": "Zoë", "note": strings.Repeat("lang und länger ", 12)},
		Phones:    []model.Labelled{{Value: "+1 555", Label: "work fax"}, {Value: "+1 556", Label: "hut"}},
		Addresses: []model.Labelled{{Value: ";;Main St 1;Springfield;;;"}},
	}
	var file bytes.Buffer
	if err := Write(&file, &c); err != nil {
		t.Fatal(err)
	}
	for line := range strings.SplitSeq(strings.TrimSuffix(file.String(), "\r\n"), "\r\n") {
		if len(line) > 75 {
			t.Errorf("%d octets: %s", len(line), line)
		}
	}
	card, err := vcard.NewDecoder(&file).Decode()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range []struct{ name, got, want string }{
		{"FN", card.Value("FN"), "Zoë, Prof."},
		{"N", card.Name().GivenName, "Zoë"},
		{"NOTE", card.Value("NOTE"), c.Fields["note"]},
		{"TEL", card.Value("TEL"), "+1 555"},
		{"ADR", card.Address().Locality, "Springfield"},
		{"VERSION", card.Value("VERSION"), "4.0"},
	} {
		if f.got != f.want {
			t.Errorf("%s is %q, want %q", f.name, f.got, f.want)
		}
	}
	if got := card["TEL"][0].Params.Types(); !reflect.DeepEqual(got, []string{"work,fax"}) && !reflect.DeepEqual(got, []string{"work", "fax"}) {
		t.Errorf("types %q", got)
	}
}

// A photo that is named in another way than by its digest is left out
// rather than written as something it is not.
func TestPhoto(t *testing.T) {
	digest := "sha256:" + strings.Repeat("ab", 32)
	for photo, want := range map[string]string{digest: digest, "sha256:ab": "", "file:///a.jpg": ""} {
		c := model.Contact{ID: "a", Fields: model.ContactFields{"name": "A", "photo": photo}}
		if got := roundTrip(t, c).Fields["photo"]; got != want {
			t.Errorf("%s came back as %q, want %q", photo, got, want)
		}
	}
}
