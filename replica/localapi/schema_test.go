package localapi

import (
	"encoding/json"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
)

// object is a part of the description as YAML reads it.
type object = map[string]any

// schema checks values against the part of JSON Schema that openapi.yaml
// uses. A keyword that it does not know is an error, so that the description
// cannot say what nobody checks.
//
// An object may hold only what properties names, although the description
// leaves it open where fields may be added: ours are all to be in it.
type schema struct{ root object }

// annotations are keywords that constrain nothing.
var annotations = []string{"description", "example"}

func (s schema) resolve(node any) (object, error) {
	o, ok := node.(object)
	if !ok {
		return nil, fmt.Errorf("%v is not an object", node)
	}
	ref, ok := o["$ref"].(string)
	if !ok {
		return o, nil
	}
	at := any(s.root)
	for name := range strings.SplitSeq(strings.TrimPrefix(ref, "#/"), "/") {
		inner, ok := at.(object)
		if !ok || inner[name] == nil {
			return nil, fmt.Errorf("%s leads nowhere", ref)
		}
		at = inner[name]
	}
	return s.resolve(at)
}

// check says where v, as encoding/json gives it, breaks the schema.
func (s schema) check(node, v any) error {
	o, err := s.resolve(node)
	if err != nil {
		return err
	}
	for _, keyword := range slices.Sorted(maps.Keys(o)) {
		if slices.Contains(annotations, keyword) {
			continue
		}
		if err := s.keyword(o, keyword, v); err != nil {
			return err
		}
	}
	return nil
}

func (s schema) keyword(o object, keyword string, v any) error {
	given := o[keyword]
	switch keyword {
	case "type":
		return checkType(given, v)
	case "enum":
		if !slices.Contains(given.([]any), v) {
			return fmt.Errorf("%v is none of %v", v, given)
		}
	case "pattern":
		if text, ok := v.(string); ok && !regexp.MustCompile(given.(string)).MatchString(text) {
			return fmt.Errorf("%q does not match %s", text, given)
		}
	case "minimum":
		if n, ok := v.(float64); ok && n < float64(given.(int)) {
			return fmt.Errorf("%v is below %v", n, given)
		}
	case "maxItems":
		if list, ok := v.([]any); ok && len(list) > given.(int) {
			return fmt.Errorf("%d elements, at most %v", len(list), given)
		}
	case "items":
		return s.items(given, v)
	case "required":
		return checkRequired(given.([]any), v)
	case "properties":
		return s.properties(given.(object), v)
	case "additionalProperties":
		return s.additional(o, v)
	case "oneOf":
		return s.oneOf(given.([]any), v)
	default:
		return fmt.Errorf("the schema has a keyword %q that this test does not know", keyword)
	}
	return nil
}

func (s schema) oneOf(schemas []any, v any) error {
	var fits int
	var why []string
	for _, one := range schemas {
		if err := s.check(one, v); err != nil {
			why = append(why, err.Error())
		} else {
			fits++
		}
	}
	if fits != 1 {
		return fmt.Errorf("fits %d of the schemas: %v", fits, why)
	}
	return nil
}

func checkType(want, v any) error {
	got := map[bool]string{true: "null"}[v == nil]
	switch t := v.(type) {
	case string:
		got = "string"
	case bool:
		got = "boolean"
	case float64:
		got = "number"
		if t == float64(int64(t)) {
			got = "integer"
		}
	case []any:
		got = "array"
	case object:
		got = "object"
	}
	if want == any(got) {
		return nil
	}
	if list, ok := want.([]any); ok && slices.Contains(list, any(got)) {
		return nil
	}
	return fmt.Errorf("%v is %s, want %v", v, got, want)
}

func (s schema) items(node, v any) error {
	list, _ := v.([]any)
	for i, e := range list {
		if err := s.check(node, e); err != nil {
			return fmt.Errorf("[%d]: %w", i, err)
		}
	}
	return nil
}

func checkRequired(names []any, v any) error {
	o, _ := v.(object)
	for _, name := range names {
		if _, ok := o[name.(string)]; !ok {
			return fmt.Errorf("%s is missing", name)
		}
	}
	return nil
}

func (s schema) properties(properties object, v any) error {
	o, _ := v.(object)
	for name, value := range o {
		if properties[name] == nil {
			return fmt.Errorf("%s is not described", name)
		}
		if err := s.check(properties[name], value); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	return nil
}

// additional is for maps; where there are properties, those are all.
func (s schema) additional(o object, v any) error {
	members, _ := v.(object)
	if o["properties"] != nil || o["additionalProperties"] == false {
		return nil
	}
	for name, value := range members {
		if err := s.check(o["additionalProperties"], value); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	return nil
}

// plainJSON gives v the types that encoding/json reads.
func plainJSON(v any) (any, error) {
	raw, err := json.Marshal(v)
	if err != nil {
		return nil, err
	}
	var out any
	err = json.Unmarshal(raw, &out)
	return out, err
}
