package model

import (
	"bytes"
	"encoding/json"
	"reflect"
	"strings"
	"testing"
)

func TestCanonicalJSON(t *testing.T) {
	for in, want := range map[string]string{
		` null `:                           `null`,
		"[ true , false ]":                 `[true,false]`,
		`{"b":1,"a":{"d":2,"c":[]}}`:       `{"a":{"c":[],"d":2},"b":1}`,
		`{}`:                               `{}`,
		`"\u0041\/\u00e9"`:                 `"A/é"`,
		`"\u0008\t\n\f\r\u000b\u0000\"\\"`: `"\b\t\n\f\r\u000b\u0000\"\\"`,
		`"\ud83d\ude43"`:                   `"🙃"`,
		`"\\ud83d"`:                        `"\\ud83d"`,
		"\"\u2028<>&\"":                    "\"\u2028<>&\"",
		// Numbers of RFC 8785 appendix B.
		`0`: `0`, `-0`: `0`, `-0.0`: `0`, `5e-324`: `5e-324`, `-5e-324`: `-5e-324`,
		`1.7976931348623157e308`: `1.7976931348623157e+308`, `9007199254740992`: `9007199254740992`,
		`-9007199254740992`: `-9007199254740992`, `295147905179352830000`: `295147905179352830000`,
		`9.999999999999997e22`: `9.999999999999997e+22`, `1e23`: `1e+23`, `1e21`: `1e+21`, `1e20`: `100000000000000000000`,
		`999999999999999700000`: `999999999999999700000`, `0.000001`: `0.000001`, `0.0000001`: `1e-7`,
		`9.999999999999997e-7`: `9.999999999999997e-7`, `333333333.3333332`: `333333333.3333332`, `1E+2`: `100`, `4.50`: `4.5`,
		`0.1`: `0.1`, `-1.5e-10`: `-1.5e-10`,
		// Members in the order of RFC 8785 section 3.2.3, by UTF-16 code units.
		`{"\u20ac":1,"\r":2,"\ufb33":3,"1":4,"\ud83d\ude00":5,"\u0080":6,"\u00f6":7}`: "{\"\\r\":2,\"1\":4,\"\u0080\":6,\"ö\":7,\"€\":1,\"😀\":5,\"\ufb33\":3}",
	} {
		if got, err := CanonicalJSON([]byte(in)); err != nil || string(got) != want {
			t.Errorf("%s: %s, %v, want %s", in, got, err, want)
		}
	}
}

func TestCanonicalJSONRefuses(t *testing.T) {
	for in, want := range map[string]string{
		"":                    "unexpected EOF",
		"NaN":                 "invalid character",
		"-":                   "JSON",
		"01":                  "JSON",
		"1e400":               "range of a double",
		"9007199254740993":    "not exact",
		"[1,":                 "unexpected EOF",
		"[1]]":                "",
		"1 2":                 "something follows",
		`{"a":1,"a":1}`:       `"a" occurs twice`,
		`{"a":1,"\u0061":1}`:  `"a" occurs twice`,
		`{"a":{"b":1,"b":2}}`: `"b" occurs twice`,
		`"a"b"`:               "something follows",
		`"`:                   "JSON",
		`1a`:                  "JSON",
		`{a:1}`:               "JSON",
		"\"\xff\"":            "UTF-8",
		`"\ud83d"`:            "surrogate",
		`"\ude43\ud83d"`:      "surrogate",
		`"\ud83d\n"`:          "surrogate",
		`{"\ud800":1}`:        "surrogate",
		strings.Repeat("[", 33) + strings.Repeat("]", 33): "nested deeper than 32",
	} {
		if got, err := CanonicalJSON([]byte(in)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %s, %v, want %q", in, got, err, want)
		}
	}
}

func FuzzCanonicalJSON(f *testing.F) {
	for _, s := range []string{`{"b":[1.5e300,"\u0000"],"a":null}`, `"\ud83d\ude43"`, `-0`, `1e21`, `{"a":1,"a":2}`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		out, err := CanonicalJSON(b)
		if err != nil {
			return
		}
		if again, err := CanonicalJSON(out); err != nil || !bytes.Equal(again, out) {
			t.Fatalf("%q becomes %q and then %q (%v)", b, out, again, err)
		}
		var before, after any
		if json.Unmarshal(b, &before) != nil || json.Unmarshal(out, &after) != nil || !reflect.DeepEqual(before, after) {
			t.Fatalf("%q and %q mean different things", b, out)
		}
	})
}
