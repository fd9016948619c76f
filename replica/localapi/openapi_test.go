package localapi

import (
	"bytes"
	"encoding/json"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"github.com/starling-sync/starling/crdt/model"
	"github.com/starling-sync/starling/replica/localapi/apitest"
	"github.com/starling-sync/starling/replica/localapi/client"
)

// described are the schemas of openapi.yaml and the types they stand for.
var described = map[string]reflect.Type{
	"Applied":           reflect.TypeFor[applied](),
	"Chat":              reflect.TypeFor[model.Chat](),
	"Confirmation":      reflect.TypeFor[confirmation](),
	"Contact":           reflect.TypeFor[model.Contact](),
	"ContactItems":      reflect.TypeFor[model.ContactItems](),
	"ContactPatch":      reflect.TypeFor[model.ContactPatch](),
	"Counts":            reflect.TypeFor[model.Counts](),
	"Device":            reflect.TypeFor[client.Device](),
	"DeviceName":        reflect.TypeFor[model.DeviceName](),
	"Draft":             reflect.TypeFor[model.Draft](),
	"Edit":              reflect.TypeFor[model.Edit](),
	"Event":             reflect.TypeFor[model.Event](),
	"Invitation":        reflect.TypeFor[client.Invitation](),
	"Joining":           reflect.TypeFor[joining](),
	"Key":               reflect.TypeFor[client.Key](),
	"Label":             reflect.TypeFor[model.Label](),
	"Labelled":          reflect.TypeFor[model.Labelled](),
	"Peer":              reflect.TypeFor[model.Peer](),
	"DifferentDocument": reflect.TypeFor[model.DifferentDocument](),
	"PeerVerification":  reflect.TypeFor[model.PeerVerification](),
	"Position":          reflect.TypeFor[model.Position](),
	"Problem":           reflect.TypeFor[client.Problem](),
	"Recovery":          reflect.TypeFor[client.Recovery](),
	"Removal":           reflect.TypeFor[model.Removal](),
	"Removals":          reflect.TypeFor[removals](),
	"Setting":           reflect.TypeFor[model.Setting](),
	"State":             reflect.TypeFor[model.State](),
	"Status":            reflect.TypeFor[model.Status](),
	"Verification":      reflect.TypeFor[model.Verification](),
}

func readDescription(t *testing.T) object {
	t.Helper()
	raw, err := os.ReadFile("openapi.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var root object
	if err := yaml.Unmarshal(raw, &root); err != nil {
		t.Fatal(err)
	}
	return root
}

// dig follows names into the description.
func dig(t *testing.T, o object, names ...string) object {
	t.Helper()
	for _, name := range names {
		inner, ok := o[name].(object)
		if !ok {
			t.Fatalf("no %q in %v", name, slices.Sorted(maps.Keys(o)))
		}
		o = inner
	}
	return o
}

func differences(a, b []string) []string {
	var out []string
	for _, s := range a {
		if !slices.Contains(b, s) {
			out = append(out, s)
		}
	}
	return out
}

// Every route is described with its parameters, and nothing else is.
func TestDescribedRoutes(t *testing.T) {
	root := readDescription(t)
	var inFile, inCode []string
	for path, operations := range dig(t, root, "paths") {
		for method, operation := range operations.(object) {
			line := strings.ToUpper(method) + " " + path
			for _, p := range parameters(t, root, operation.(object)) {
				line += " " + p
			}
			inFile = append(inFile, line)
		}
	}
	for _, rt := range (&server{}).routes() {
		line := rt.method + " " + rt.path
		var want []string
		if strings.Contains(rt.path, "{id}") {
			want = append(want, "path:id")
		}
		for _, q := range rt.query {
			want = append(want, "query:"+q)
		}
		slices.Sort(want)
		inCode = append(inCode, strings.Join(append([]string{line}, want...), " "))
	}
	for _, s := range differences(inCode, inFile) {
		t.Errorf("openapi.yaml lacks %s", s)
	}
	for _, s := range differences(inFile, inCode) {
		t.Errorf("no handler has %s", s)
	}
}

// parameters returns those of the address. Headers are tried by their tests.
func parameters(t *testing.T, root, operation object) []string {
	t.Helper()
	list, _ := operation["parameters"].([]any)
	var out []string
	for _, p := range list {
		o, err := schema{root}.resolve(p)
		if err != nil {
			t.Fatal(err)
		}
		if o["in"] != "header" {
			out = append(out, fmt.Sprintf("%s:%s", o["in"], o["name"]))
		}
	}
	slices.Sort(out)
	return out
}

func enum(t *testing.T, root object, path ...string) []string {
	t.Helper()
	var out []string
	for _, v := range dig(t, root, path...)["enum"].([]any) {
		out = append(out, v.(string))
	}
	return out
}

func asStrings[S ~string](list []S) []string {
	var out []string
	for _, s := range list {
		out = append(out, string(s))
	}
	return out
}

// The codes and the operations of edits are those of the code.
func TestDescribedNames(t *testing.T) {
	root := readDescription(t)
	codes := enum(t, root, "components", "schemas", "Problem", "properties", "code")
	if want := asStrings(client.Codes()); !slices.Equal(codes, want) {
		t.Errorf("codes %v, want %v", codes, want)
	}
	ops := enum(t, root, "components", "schemas", "Edit", "properties", "op")
	if want := asStrings(model.Ops()); !slices.Equal(ops, want) {
		t.Errorf("operations %v, want %v", ops, want)
	}
}

// Every constant of type Code has a status, and so is in Codes.
func TestEveryCodeHasAStatus(t *testing.T) {
	file, err := parser.ParseFile(token.NewFileSet(), "client/errors.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	ast.Inspect(file, func(n ast.Node) bool {
		spec, ok := n.(*ast.ValueSpec)
		if ok && fmt.Sprint(spec.Type) == "Code" {
			names = append(names, strings.Trim(spec.Values[0].(*ast.BasicLit).Value, `"`))
		}
		return true
	})
	slices.Sort(names)
	if want := asStrings(client.Codes()); !slices.Equal(names, want) || len(names) == 0 {
		t.Errorf("errors.go has the codes %v, problem.go knows %v", names, want)
	}
}

// The schemas have the fields of the types, and require those that are always
// written.
func TestDescribedTypes(t *testing.T) {
	schemas := dig(t, readDescription(t), "components", "schemas")
	for name := range schemas {
		if described[name] == nil && name != "Time" && name != "Health" {
			t.Errorf("schema %s stands for no type", name)
		}
	}
	for name, typ := range described {
		always, sometimes := jsonFields(typ)
		if name == "Chat" { // its MarshalJSON writes one more
			always = append(always, "muted_until")
		}
		o := dig(t, schemas, name)
		properties := slices.Sorted(maps.Keys(dig(t, o, "properties")))
		all := slices.Sorted(slices.Values(append(slices.Clone(always), sometimes...)))
		if !slices.Equal(properties, all) {
			t.Errorf("schema %s has %v, the type %v", name, properties, all)
		}
		var required []string
		list, _ := o["required"].([]any)
		for _, r := range list {
			required = append(required, r.(string))
		}
		slices.Sort(required)
		slices.Sort(always)
		if !slices.Equal(required, always) {
			t.Errorf("schema %s requires %v, the type always writes %v", name, required, always)
		}
	}
}

// jsonFields returns the names of a struct's fields in JSON.
func jsonFields(typ reflect.Type) (always, sometimes []string) {
	for field := range typ.Fields() {
		tag := field.Tag.Get("json")
		name, options, _ := strings.Cut(tag, ",")
		switch {
		case field.Anonymous && tag == "":
			a, s := jsonFields(field.Type)
			always, sometimes = append(always, a...), append(sometimes, s...)
		case name == "-":
		case strings.Contains(options, "omit"):
			sometimes = append(sometimes, name)
		default:
			always = append(always, name)
		}
	}
	return always, sometimes
}

// Every example fits its schema, and the handler takes those of requests.
func TestExamples(t *testing.T) {
	root := readDescription(t)
	n := 0
	walk(root, func(media string, content object) {
		examples := []any{}
		if e, ok := content["example"]; ok {
			examples = append(examples, e)
		}
		named, _ := content["examples"].(object)
		for _, e := range named {
			examples = append(examples, e.(object)["value"])
		}
		if len(examples) == 0 {
			t.Errorf("%s %v has no example", media, content)
		}
		for _, e := range examples {
			n++
			v, err := plainJSON(e)
			if err != nil {
				t.Fatal(err)
			}
			if err := (schema{root}).check(content["schema"], v); err != nil {
				t.Errorf("example %v: %v", e, err)
			}
		}
	})
	if n < 20 {
		t.Errorf("only %d examples were found", n)
	}
	edits := dig(t, root, "paths", "/v1/edits", "post", "requestBody", "content", "application/json", "examples")
	for name, e := range edits {
		raw, err := json.Marshal(e.(object)["value"])
		if err != nil {
			t.Fatal(err)
		}
		if w := request(New(apitest.New(nil), nil, nil), "POST", "/v1/edits", string(raw)); w.Code != 200 {
			t.Errorf("example %s: %d %s", name, w.Code, w.Body)
		}
	}
}

// walk calls fn for each media type of the description.
func walk(node any, fn func(media string, content object)) {
	switch n := node.(type) {
	case object:
		for name, inner := range n {
			if content, ok := inner.(object); ok && strings.Contains(name, "/") && content["schema"] != nil {
				fn(name, content)
			}
			walk(inner, fn)
		}
	case []any:
		for _, inner := range n {
			walk(inner, fn)
		}
	}
}

func request(h http.Handler, method, target, body string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, target, strings.NewReader(body))
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

// What the handler answers fits the description, for every route but the
// stream, whose bytes have a test of their own.
func TestAnswersAreDescribed(t *testing.T) {
	root := readDescription(t)
	api := apitest.New(nil)
	h := New(api, api, &Config{Locker: &apitest.Locker{}, Keeper: api})
	for range 2 { // the second finds the invite with the digits
		if _, err := api.Invite(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	digits, err := api.Join("ticket-2", "phone")
	if err != nil {
		t.Fatal(err)
	}
	visited := map[string]bool{"GET /v1/events": true}
	for _, c := range []struct{ method, path, target, body string }{
		{"GET", "/healthz", "", ""}, {"GET", "/readyz", "", ""},
		{"POST", "/v1/edits", "", `[{"op":"chat.read","id":"a/b","at":{"time":0,"id":"m"}},{"op":"chat.mute","id":"a/b","until":"forever"},
			{"op":"chat.draft","id":"a/b","text":""},{"op":"chat.archive","id":"a/b","at":{"time":1,"id":"m"}},{"op":"chat.pin","id":"a/b"},
			{"op":"chat.label","id":"a/b","label":"l"},{"op":"contact.set","id":"k","contact":{"add":{"links":[{"value":"x"}]}}},
			{"op":"contact.set","id":"e","contact":{"fields":{"name":""}}},
			{"op":"setting.set","id":"s","scope":"account","value":null},{"op":"label.set","id":"l","name":"L"}]`},
		{"POST", "/v1/edits", "", `[{"op":"no"}]`},
		{"GET", "/v1/invites/{id}", "/v1/invites/invite%2F2", ""},
		{"POST", "/v1/invites/{id}/confirm", "/v1/invites/invite%2F2/confirm", `{"digits":"` + digits + `"}`},
		{"POST", "/v1/invites/{id}/confirm", "/v1/invites/invite%2F2/confirm", `{"digits":"` + digits + `"}`},
		{"POST", "/v1/invites", "", ""},
		{"DELETE", "/v1/invites/{id}", "/v1/invites/invite%2F3", ""},
		{"GET", "/v1/chats", "", ""}, {"GET", "/v1/chats/{id}", "/v1/chats/a%2Fb", ""}, {"GET", "/v1/chats/{id}", "/v1/chats/x", ""},
		{"GET", "/v1/contacts", "", ""}, {"GET", "/v1/contacts/{id}", "/v1/contacts/k", ""}, {"GET", "/v1/settings", "", ""},
		{"GET", "/v1/labels", "", ""}, {"GET", "/v1/devices", "", ""}, {"GET", "/v1/state", "", ""},
		{"GET", "/v1/status", "", ""}, {"POST", "/v1/verify", "", "{}"},
		{"POST", "/v1/devices/{id}/readd", "/v1/devices/" + apitest.Orphan + "/readd", ""},
		{"DELETE", "/v1/devices/{id}", "/v1/devices/" + apitest.Orphan, ""}, {"DELETE", "/v1/devices/{id}", "/v1/devices/x", ""},
		{"GET", "/v1/removals", "", ""}, {"POST", "/v1/rotate", "", ""}, {"POST", "/v1/backup", "", ""},
		{"POST", "/v1/recover", "", `{"words":["x"],"devices":[]}`}, {"POST", "/v1/recover", "", `{"words":["` + apitest.Word + `"],"devices":["` + apitest.Device + `"]}`},
		{"POST", "/v1/words", "", `{"words":["` + apitest.Word + `"]}`},
		{"POST", "/v1/lock", "", "{}"}, {"POST", "/v1/unlock", "", `{"passphrase":"x"}`}, {"POST", "/v1/unlock", "", "{}"},
	} {
		target := c.target
		if target == "" {
			target = c.path
		}
		visited[c.method+" "+c.path] = true
		w := request(h, c.method, target, c.body)
		operation := dig(t, root, "paths", c.path, strings.ToLower(c.method))
		if err := answerFits(root, operation, w); err != nil {
			t.Errorf("%s %s: %d %s: %v", c.method, target, w.Code, w.Body, err)
		}
	}
	for _, rt := range (&server{}).routes() {
		if !visited[rt.method+" "+rt.path] {
			t.Errorf("%s %s was not tried", rt.method, rt.path)
		}
	}
}

func answerFits(root, operation object, w *httptest.ResponseRecorder) error {
	responses := operation["responses"].(object)
	node, ok := responses[fmt.Sprint(w.Code)]
	if !ok {
		if w.Code < 400 {
			return fmt.Errorf("the status is not described")
		}
		node = responses["default"]
	}
	answer, err := schema{root}.resolve(node)
	if err != nil {
		return err
	}
	content, ok := answer["content"].(object)
	if !ok {
		if w.Body.Len() > 0 {
			return fmt.Errorf("has a body that is not described")
		}
		return nil
	}
	media, ok := content[w.Header().Get("Content-Type")].(object)
	if !ok {
		return fmt.Errorf("media type %q is not described", w.Header().Get("Content-Type"))
	}
	if w.Header().Get("Content-Type") == "application/octet-stream" {
		return nil // no JSON to compare
	}
	var v any
	if err := json.NewDecoder(bytes.NewReader(w.Body.Bytes())).Decode(&v); err != nil {
		return err
	}
	return schema{root}.check(media["schema"], v)
}
