package localapi

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"unicode/utf8"

	"github.com/starling-sync/starling/replica/localapi/client"
)

// maxDepth is how deep arrays and objects of a body may nest.
const maxDepth = 64

// decodeStrict reads exactly one JSON value into the variable v points to.
// encoding/json alone takes a key in any case, the last of two equal keys,
// and U+FFFD for half a surrogate pair: an edit would silently mean something
// else than what its sender wrote. A failure is an Error with CodeBadRequest
// that names the place, or with CodeTooLarge for an array of more than
// client.MaxEdits elements.
func decodeStrict(body []byte, v any) error {
	if !utf8.Valid(body) {
		return client.Errorf(client.CodeBadRequest, "body: not valid UTF-8")
	}
	if !json.Valid(body) {
		return client.Errorf(client.CodeBadRequest, "body: not JSON: %w", syntaxError(body))
	}
	walker := &walker{rest: body}
	if err := walker.value(reflect.TypeOf(v).Elem()); err != nil {
		code := client.CodeBadRequest
		if errors.Is(err, errTooMany) {
			code = client.CodeTooLarge
		}
		return client.Errorf(code, "body%s: %w", walker.place(), err)
	}
	if err := json.Unmarshal(body, v); err != nil {
		return client.Errorf(client.CodeBadRequest, "body: %w", typeError(err))
	}
	return nil
}

// syntaxError says what is wrong with body, and where.
func syntaxError(body []byte) error {
	var v json.RawMessage
	err := json.Unmarshal(body, &v)
	if syntax, ok := errors.AsType[*json.SyntaxError](err); ok {
		return fmt.Errorf("%w at byte %d", err, syntax.Offset)
	}
	return err
}

// typeError says a mistaken type in the words of JSON, not of Go.
func typeError(err error) error {
	mistake, ok := errors.AsType[*json.UnmarshalTypeError](err)
	if !ok {
		return err
	}
	want := map[reflect.Kind]string{
		reflect.String: "a string", reflect.Struct: "an object", reflect.Map: "an object",
		reflect.Slice: "an array", reflect.Bool: "true or false",
	}[mistake.Type.Kind()]
	if want == "" {
		want = "a number"
	}
	if mistake.Field == "" {
		return fmt.Errorf("want %s, got %s at byte %d", want, mistake.Value, mistake.Offset)
	}
	return fmt.Errorf("field %q: want %s, got %s at byte %d", mistake.Field, want, mistake.Value, mistake.Offset)
}

// errTooMany refuses an array by its length.
var errTooMany = fmt.Errorf("more than %d elements", client.MaxEdits)

// walker checks the keys, depth, lengths and text of a body that is known to
// be JSON, against the Go type that it will be read into.
type walker struct {
	rest []byte
	path []step // to the value being read
}

// step is one step of a path: into an object if key is not nil, else into an
// array.
type step struct {
	key   *string
	index int
}

// place writes the path for a message.
func (w *walker) place() string {
	var b strings.Builder
	for _, s := range w.path {
		if s.key != nil {
			b.WriteString("." + *s.key)
		} else {
			fmt.Fprintf(&b, "[%d]", s.index)
		}
	}
	return b.String()
}

// value reads one value. A nil type takes anything.
func (w *walker) value(t reflect.Type) error {
	switch w.next() {
	case '{', '[':
		if len(w.path) >= maxDepth {
			return fmt.Errorf("nested deeper than %d", maxDepth)
		}
		if w.rest[0] == '{' {
			return w.object(plain(t))
		}
		return w.array(plain(t))
	case '"':
		_, err := w.text()
		return err
	}
	w.rest = bytes.TrimLeft(w.rest, "+-.0123456789eEtrufalsn") // a number, true, false or null
	return nil
}

// inside reads a value that is one step further in. The path stays where it
// is after a failure, to name the place.
func (w *walker) inside(s step, t reflect.Type) error {
	w.path = append(w.path, s)
	if err := w.value(t); err != nil {
		return err
	}
	w.path = w.path[:len(w.path)-1]
	return nil
}

// next skips white space and returns the byte after it, without taking it.
func (w *walker) next() byte {
	w.rest = bytes.TrimLeft(w.rest, " \t\r\n")
	return w.rest[0]
}

// more says whether another element or member follows, having taken the comma
// before it, or the end.
func (w *walker) more(end byte) bool {
	c := w.next()
	if c == ',' || c == end {
		w.rest = w.rest[1:]
	}
	if c == ',' {
		w.next()
	}
	return c != end
}

func (w *walker) array(t reflect.Type) error {
	var element reflect.Type
	if t != nil && t.Kind() == reflect.Slice {
		element = t.Elem()
	}
	w.rest = w.rest[1:]
	for i := 0; w.more(']'); i++ {
		if i == client.MaxEdits {
			return errTooMany
		}
		if err := w.inside(step{index: i}, element); err != nil {
			return err
		}
	}
	return nil
}

func (w *walker) object(t reflect.Type) error {
	fields := fieldsOf(t)
	seen := make(map[string]bool)
	w.rest = w.rest[1:]
	for w.more('}') {
		key, err := w.text()
		if err != nil {
			return err
		}
		member, known := fields[key]
		switch {
		case fields != nil && !known:
			return fmt.Errorf("unknown field %q", key)
		case seen[key]:
			return fmt.Errorf("field %q twice", key)
		case t != nil && t.Kind() == reflect.Map:
			member = t.Elem()
		}
		seen[key] = true
		w.next()            // white space before the colon
		w.rest = w.rest[1:] // the colon
		if err := w.inside(step{key: &key}, member); err != nil {
			return err
		}
	}
	return nil
}

// text reads a string and refuses half a surrogate pair.
func (w *walker) text() (string, error) {
	end, escaped := 1, false
	for ; w.rest[end] != '"'; end++ {
		if w.rest[end] == '\\' {
			escaped = true
			end++
		}
	}
	raw := w.rest[:end+1]
	w.rest = w.rest[end+1:]
	if escaped {
		return unescape(raw)
	}
	return string(raw[1:end]), nil
}
