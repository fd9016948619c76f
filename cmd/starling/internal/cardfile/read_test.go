package cardfile

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"reflect"
	"strings"
	"testing"

	"github.com/starling-sync/starling/cmd/starling/sample"
	"github.com/starling-sync/starling/crdt/model"
	"github.com/starling-sync/starling/replica/localapi/client"
)

func readAll(r io.Reader) ([]Card, error) {
	var cards []Card
	for card, err := range Read(r) {
		if err != nil {
			return cards, err
		}
		cards = append(cards, card)
	}
	return cards, nil
}

func readSample(t *testing.T) map[string]model.ContactPatch {
	t.Helper()
	names, err := fs.Glob(sample.Files, "*.vcf")
	if err != nil || len(names) != 3 {
		t.Fatalf("samples: %v, %v", names, err)
	}
	byName := map[string]model.ContactPatch{}
	for _, name := range names {
		raw, err := sample.Files.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		cards, err := readAll(bytes.NewReader(raw))
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		for _, c := range cards {
			if !c.Empty {
				byName[c.Patch.Fields["name"]] = c.Patch
			}
		}
	}
	return byName
}

// The samples hold what a parser of only RFC 6350 gets wrong; each want is
// what a person reads on the card.
func TestSamples(t *testing.T) {
	cards := readSample(t)
	if len(cards) != sample.Cards {
		t.Errorf("%d contacts, want %d", len(cards), sample.Cards)
	}
	for _, c := range []struct{ name, field, want string }{
		{"Dr. Jürgen Müller", "prefix", "Dr."},
		{"Dr. Jürgen Müller", "birthday", "19581109"},
		{"Dr. Jürgen Müller", "note", "Kommt freitags\nzum Schach, bringt Kuchen mit.\nTür links."},
		{"María José Nuñez", "company", "Panadería Nuñez, Obrador"},
		{"山田太郎", "family", "山田"},
		{"Chidi Okafor", "given", "Chidi"},
		{"Åsa Lindqvist", "birthday", "--0606"},
		{"Åsa Lindqvist", "company", "Fjällräven Kartor AB, Karttecknare"},
		{"Σοφία Παπαδοπούλου", "note", "Συνάντηση κάθε Τρίτη, 18:00.\nΝα φέρω το βιβλίο που μου δάνεισε τον Μάρτιο· το χρειάζεται πίσω."},
		{"أمينة الحداد", "family", "الحداد"},
		{"The Corner Pharmacy", "family", ""},
		{"Nguyễn Thị Minh Khai", "birthday", "--0930"},
		{"李小龍", "note", "Semi;colons, commas and a back\\slash\nand a second line."},
		{"李小龍", "photo", ""},
		{"Zoë O’Brien-Łukaszewicz", "additional", "Anne Marie"},
		{"Zoë O’Brien-Łukaszewicz", "nickname", "Zo, Zozo"},
		{"👩‍🚀 Valentina", "name", "👩‍🚀 Valentina"},
	} {
		if got := cards[c.name].Fields[c.field]; got != c.want {
			t.Errorf("%s: %s is %q, want %q", c.name, c.field, got, c.want)
		}
	}
	first := cards["山田太郎"].Fields["photo"]
	if !strings.HasPrefix(first, "sha256:") {
		t.Errorf("photo %q, want a digest", first)
	}
	for _, name := range []string{"Åsa Lindqvist", "Zoë O’Brien-Łukaszewicz"} {
		if got := cards[name].Fields["photo"]; got != first {
			t.Errorf("%s: photo %s, want %s: the three versions hold the same picture", name, got, first)
		}
	}
}

func TestSampleItems(t *testing.T) {
	cards := readSample(t)
	for _, c := range []struct {
		name string
		want model.ContactItems
	}{
		{"Dr. Jürgen Müller", model.ContactItems{
			Phones:    []model.Labelled{{Value: "+49 151 23456789", Label: "cell"}, {Value: "+49 30 901820", Label: "work fax"}},
			Emails:    []model.Labelled{{Value: "juergen@example.org", Label: "home"}},
			Addresses: []model.Labelled{{Value: ";;Straße des 17. Juni 135;Berlin;;10623;Deutschland", Label: "home"}},
		}},
		{"Åsa Lindqvist", model.ContactItems{
			Phones:    []model.Labelled{{Value: "+46 70 123 45 67", Label: "Stugan"}, {Value: "+46 73 765 43 21", Label: "cell"}},
			Emails:    []model.Labelled{{Value: "asa@example.se", Label: "work"}},
			Addresses: []model.Labelled{{Value: `;;Storgatan 1\, tr 3;Kiruna;;981 31;Sverige`, Label: "home"}},
			Links:     []model.Labelled{{Value: "https://example.se/kartor", Label: "homepage"}},
		}},
		{"Nguyễn Thị Minh Khai", model.ContactItems{
			Phones:    []model.Labelled{{Value: "+84-90-555-0123", Label: "cell"}},
			Emails:    []model.Labelled{{Value: "minhkhai@example.vn", Label: "work"}},
			Addresses: []model.Labelled{{Value: ";;12 Lê Lợi;Thành phố Hồ Chí Minh;;700000;Việt Nam", Label: "home"}},
		}},
	} {
		if got := cards[c.name].Add; !reflect.DeepEqual(got, c.want) {
			t.Errorf("%s:\n got %s\nwant %s", c.name, asJSON(got), asJSON(c.want))
		}
	}
}

func asJSON(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		return err.Error()
	}
	return string(b)
}

func card(lines ...string) string {
	return "BEGIN:VCARD\r\n" + strings.Join(lines, "\r\n") + "\r\nEND:VCARD\r\n"
}

// Each refusal is one line, has the code that the exit code follows from,
// and says where in the file.
func TestRefuses(t *testing.T) {
	good := card("VERSION:4.0", "FN:A")
	for name, c := range map[string]struct {
		file string
		code client.Code
		want string
	}{
		"empty file":       {"", client.CodeBadRequest, "the file is empty"},
		"blank file":       {"\r\n \r\n", client.CodeBadRequest, "the file is empty"},
		"text":             {"dear diary\n", client.CodeBadRequest, "line 1 is not BEGIN:VCARD"},
		"zip":              {"PK\x03\x04\x00\x00", client.CodeBadRequest, "line 1 is not BEGIN:VCARD"},
		"calendar":         {"BEGIN:VCALENDAR\nEND:VCALENDAR\n", client.CodeBadRequest, "line 1 is not BEGIN:VCARD"},
		"open quote":       {card(`TITLE;X-A="b:c`), client.CodeBadRequest, "is not a property"},
		"half a card":      {good + "BEGIN:VCARD\nFN:B\n", client.CodeBadRequest, "begins in line 5 has no END:VCARD"},
		"cut in a line":    {good[:len(good)-7], client.CodeBadRequest, "no END:VCARD"},
		"begin in a card":  {"BEGIN:VCARD\nFN:A\nBEGIN:VCARD\nFN:B\nEND:VCARD\n", client.CodeBadRequest, "another begins in line 3"},
		"no property":      {card("VERSION:4.0", "hello"), client.CodeBadRequest, `"hello" is not a property`},
		"behind the cards": {good + "and more\n", client.CodeBadRequest, "line 5 is not BEGIN:VCARD"},
		"character set":    {card("FN;CHARSET=KLINGON:A"), client.CodeBadRequest, `unknown character set "KLINGON"`},
		"quoted-printable": {card("FN;ENCODING=QUOTED-PRINTABLE:a\x01"), client.CodeBadRequest, "not quoted-printable"},
		"long line":        {card("NOTE:" + strings.Repeat("x", MaxCard)), client.CodeTooLarge, "line 2 is longer than 1048576 bytes"},
		"large card":       {card(strings.Repeat("NOTE:x\r\n", MaxCard/6) + "FN:A"), client.CodeTooLarge, "larger than 1048576 bytes"},
		"folded for ever":  {card("NOTE:x" + strings.Repeat("\r\n x", MaxCard/2)), client.CodeTooLarge, "larger than 1048576 bytes"},
	} {
		_, err := readAll(strings.NewReader(c.file))
		var problem *client.Error
		if !errors.As(err, &problem) {
			t.Errorf("%s: %v, want a problem", name, err)
			continue
		}
		if problem.Code != c.code || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: %s %q, want %s %q", name, problem.Code, err, c.code, c.want)
		}
	}
}

// repeated gives the same text again and again, without holding it.
type repeated struct {
	text string
	left int
}

func (r *repeated) Read(p []byte) (int, error) {
	if r.left == 0 {
		return 0, io.EOF
	}
	n := copy(p, r.text)
	r.left--
	return n, nil
}

func TestLimitsOfAFile(t *testing.T) {
	for name, c := range map[string]struct {
		text  string
		times int
		want  string
	}{
		"a file of 100 MB": {card("NOTE:"+strings.Repeat("x", 1800), "FN:A"), 55_000, "larger than 64 MiB"},
		"too many cards":   {card("FN:A"), MaxCards + 1, "more than 100000 cards"},
	} {
		cards := 0
		var last error
		for _, err := range Read(&repeated{c.text, c.times}) {
			if cards, last = cards+1, err; err != nil {
				break
			}
		}
		var problem *client.Error
		if !errors.As(last, &problem) || problem.Code != client.CodeTooLarge || !strings.Contains(last.Error(), c.want) {
			t.Errorf("%s: %v after %d cards, want %q", name, last, cards, c.want)
		}
	}
}

// What real programs write beside the standards.
func TestTolerates(t *testing.T) {
	for name, c := range map[string]struct{ file, want string }{
		"byte order mark": {"\ufeff" + card("FN:A"), `{"name":"A"}`},
		"UTF-16":          {utf16(card("FN:Ä")), `{"name":"Ä"}`},
		"unix line ends":  {"begin:vcard\nfn:A\nend:vcard", `{"name":"A"}`},
		"blank lines":     {"\n\n" + card("FN:A", "") + "\n", `{"name":"A"}`},
		"agent":           {card("VERSION:2.1", "FN:A", "AGENT:", "BEGIN:VCARD", "FN:B", "END:VCARD", "TITLE:C"), `{"name":"A","title":"C"}`},
		"windows letters": {card("VERSION:2.1", "FN:M\xfcller"), `{"name":"Müller"}`},
		"bare base64":     {card("VERSION:2.1", "PHOTO;ENCODING=BASE64;JPEG:aGVs", "bG8=", ""), `{"photo":"sha256:2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824"}`},
		"only N":          {card("VERSION:2.1", "N:Doe;Jane;;Dr."), `{"family":"Doe","given":"Jane","name":"Dr. Jane Doe","prefix":"Dr."}`},
		"no name":         {card("VERSION:3.0", "FN:", "N:;;;;"), `{}`},
		"quoted colon":    {card(`TITLE;X-A="b:c;d":e`), `{"title":"e"}`},
		"backslashes":     {card(`TITLE;TYPE="\q\":e`), `{"title":"e"}`},
		"2.1 comma":       {card("VERSION:2.1", "N:a,b;c"), `{"family":"a,b","given":"c","name":"c a,b"}`},
		"2.1 fold":        {card("VERSION:2.1", "TITLE:a", " b"), `{"title":"a b"}`},
		"3.0 fold":        {card("VERSION:3.0", "TITLE:a", " b"), `{"title":"ab"}`},
		"two notes":       {card("NOTE:a", "NOTE:b"), `{"note":"a\nb"}`},
		"preferred name":  {card("FN:A", "FN;PREF=1:B"), `{"name":"B"}`},
		"birthday text":   {card("BDAY;VALUE=text:circa 1800"), `{"birthday":"circa 1800"}`},
		"birthday, time":  {card("BDAY:1980-05-12T00:00:00Z"), `{"birthday":"19800512"}`},
	} {
		cards, err := readAll(strings.NewReader(c.file))
		if err != nil || len(cards) != 1 {
			t.Errorf("%s: %d cards, %v", name, len(cards), err)
			continue
		}
		if got := asJSON(cards[0].Patch.Fields); got != c.want {
			t.Errorf("%s: %s, want %s", name, got, c.want)
		}
	}
}

func utf16(s string) string {
	out := []byte{0xff, 0xfe}
	for _, r := range s {
		out = append(out, byte(r), byte(r>>8))
	}
	return string(out)
}

func TestIDs(t *testing.T) {
	id := func(file string) string {
		cards, err := readAll(strings.NewReader(file))
		if err != nil || len(cards) != 1 {
			t.Fatalf("%q: %v", file, err)
		}
		return cards[0].ID
	}
	a := id(card("FN:A", "TEL:1", "TEL:2"))
	if b := id(card("VERSION:4.0", "TEL:2", "TEL:1", "FN:A", "NOTE:later")); a != b {
		t.Errorf("the order of numbers changed the id: %s, %s", a, b)
	}
	if b := id(card("FN:A", "TEL:12")); a == b {
		t.Errorf("different numbers, same id %s", a)
	}
	if got := id(card("FN:A", "UID:urn:uuid:1")); got != "urn:uuid:1" {
		t.Errorf("id %s, want the UID", got)
	}
	if got := id(card("FN:A", "TEL:1", "TEL:2", "UID:"+strings.Repeat("x", 513))); got != a {
		t.Errorf("id %s, want the hash %s: the UID is too long", got, a)
	}
}
