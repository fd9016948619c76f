package localapi

import (
	"encoding/json"
	"errors"
	"reflect"
	"strconv"
	"strings"
	"sync"
	"unicode/utf8"
)

// plain returns what a pointer points to, and nil for a type that reads its
// JSON itself.
func plain(t reflect.Type) reflect.Type {
	unmarshaler := reflect.TypeFor[json.Unmarshaler]()
	for t != nil && t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	if t == nil || reflect.PointerTo(t).Implements(unmarshaler) {
		return nil
	}
	return t
}

// fieldCache holds the outcome of fieldsOf by type; it only grows by the
// handful of types that bodies have.
var fieldCache sync.Map

// fieldsOf returns the JSON names of the fields of a struct with their types,
// and nil for everything else.
func fieldsOf(t reflect.Type) map[string]reflect.Type {
	if t == nil || t.Kind() != reflect.Struct {
		return nil
	}
	if cached, ok := fieldCache.Load(t); ok {
		return cached.(map[string]reflect.Type)
	}
	fields := make(map[string]reflect.Type, t.NumField())
	for field := range t.Fields() {
		name, _, _ := strings.Cut(field.Tag.Get("json"), ",")
		if name != "-" && name != "" {
			fields[name] = field.Type
		}
	}
	fieldCache.Store(t, fields)
	return fields
}

var errSurrogate = errors.New(`half of a surrogate pair ("\ud800" to "\udfff") is no character`)

// unescape reads a valid JSON string with its quotes. encoding/json gives
// U+FFFD for half a surrogate pair, which is told apart from a written one by
// looking at the escapes.
func unescape(raw []byte) (string, error) {
	var s string
	if err := json.Unmarshal(raw, &s); err != nil {
		return "", err
	}
	if strings.ContainsRune(s, utf8.RuneError) && loneSurrogate(raw) {
		return "", errSurrogate
	}
	return s, nil
}

// loneSurrogate says whether an escape in the valid JSON string raw is half a
// surrogate pair.
func loneSurrogate(raw []byte) bool {
	for i := 0; i < len(raw); i++ {
		if raw[i] != '\\' {
			continue
		}
		i++
		if raw[i] != 'u' {
			continue
		}
		unit := unitAt(raw, i-1)
		i += 4
		if unit < 0xd800 || unit > 0xdfff {
			continue
		}
		low := unitAt(raw, i+1)
		if unit >= 0xdc00 || low < 0xdc00 || low > 0xdfff {
			return true
		}
		i += 6
	}
	return false
}

// unitAt returns the UTF-16 code unit of the escape that starts at i, 0 when
// there is none.
func unitAt(raw []byte, i int) uint64 {
	if i+6 > len(raw) || raw[i] != '\\' || raw[i+1] != 'u' {
		return 0
	}
	unit, _ := strconv.ParseUint(string(raw[i+2:i+6]), 16, 16)
	return unit
}
