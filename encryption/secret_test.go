package encryption

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"
)

// holder keeps secrets the way careless code does: in unexported fields, where
// fmt cannot ask their methods.
type holder struct {
	Exported Secret
	secret   Secret
	list     []Secret
	unlock   Unlock
	key      Unlock
	keys     *deviceKeys
	identity *Identity
	joiner   *Joiner
}

func TestSecretsPrintRedacted(t *testing.T) {
	var b [32]byte
	copy(b[:], "TELLTALE-TELLTALE-TELLTALE-TELLT")
	s := NewSecret(b)
	id := newFounder(t, "laptop", 1)
	j := newTestJoiner(t, "phone", 2)
	h := holder{s, s, []Secret{s}, UnlockPassphrase(b[:]), UnlockKey(b[:]), id.keys, id, j}
	values := []any{s, &s, h, &h, h.unlock, h.key, id.keys, *id.keys, id, j, map[string]Secret{"k": s}, []any{s}}
	tells := tellTales(b[:], id.keys, j.keys)
	for _, v := range values {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%b", "%o", "%c", "%U", "%e", "%t", "%p", "%T"} {
			wantClean(t, verb, fmt.Sprintf(verb, v), tells)
		}
		text, err := json.Marshal(v)
		if err == nil {
			wantClean(t, "json", string(text), tells)
		}
		var out bytes.Buffer
		slog.New(slog.NewJSONHandler(&out, nil)).Info("x", "v", v)
		slog.New(slog.NewTextHandler(&out, nil)).Info("x", "v", v)
		wantClean(t, "slog", out.String(), tells)
	}
	if got := fmt.Sprint(s); got != "[redacted]" {
		t.Errorf("a secret prints %q", got)
	}
}

// tellTales are forms in which fmt and the encoders would show the bytes.
func tellTales(b []byte, keys ...*deviceKeys) []string {
	var out []string
	all := [][]byte{b}
	for _, k := range keys {
		all = append(all, k.signingSeed.slice(), k.hpkeSeed.slice(), k.signing())
	}
	for _, b := range all {
		b = b[:8]
		list := strings.Trim(fmt.Sprint(b), "[]")
		out = append(out, string(b), fmt.Sprintf("%x", b), fmt.Sprintf("%X", b), list,
			strings.ReplaceAll(list, " ", ","), fmt.Sprintf("0x%x, 0x%x, 0x%x", b[0], b[1], b[2]))
	}
	return out
}

func wantClean(t *testing.T, how, text string, tells []string) {
	t.Helper()
	for _, tell := range tells {
		if strings.Contains(text, tell) {
			t.Fatalf("%s shows a secret: %.300s", how, text)
		}
	}
}

func TestSecretEqual(t *testing.T) {
	a, b := NewSecret([32]byte{1}), NewSecret([32]byte{2})
	if !a.Equal(NewSecret([32]byte{1})) || a.Equal(b) || (Secret{}).Equal(NewSecret([32]byte{})) {
		t.Error("Equal is wrong")
	}
	if !(Secret{}).IsZero() || a.IsZero() || (Secret{}).Reveal() != [32]byte{} {
		t.Error("the zero Secret holds something")
	}
}
