package localapi

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/starling-sync/starling/replica/localapi/apitest"
	"github.com/starling-sync/starling/replica/localapi/client"
)

// A locked daemon answers nothing but whether it lives and how to open it.
func TestLockedAnswersNothing(t *testing.T) {
	locker := &apitest.Locker{Key: client.Key{Passphrase: "right"}}
	if err := locker.Lock(t.Context()); err != nil {
		t.Fatal(err)
	}
	h := Locked(locker, nil)
	for _, rt := range (&server{}).routes() {
		target := strings.ReplaceAll(rt.path, "{id}", "x")
		want := http.StatusForbidden
		switch rt.path {
		case "/healthz":
			want = http.StatusOK
		case "/v1/lock":
			want = http.StatusNoContent
		}
		if w := request(h, rt.method, target, ""); w.Code != want {
			t.Errorf("%s %s: %d %s, want %d", rt.method, target, w.Code, w.Body, want)
		}
	}
	if w := request(h, "POST", "/v1/unlock", `{"passphrase":"right"}`); w.Code != http.StatusNoContent || locker.Locked() {
		t.Errorf("unlock: %d %s, locked %v", w.Code, w.Body, locker.Locked())
	}
	if w := request(h, "POST", "/v1/unlock", `{"passphrase":"right"}`); w.Code != http.StatusConflict {
		t.Errorf("unlock again: %d %s", w.Code, w.Body)
	}
}

func TestLockNeedsALocker(t *testing.T) {
	h := New(apitest.New(nil), nil, nil)
	for _, path := range []string{"/v1/lock", "/v1/unlock"} {
		if w := request(h, "POST", path, ""); w.Code != http.StatusServiceUnavailable {
			t.Errorf("%s: %d %s", path, w.Code, w.Body)
		}
	}
	locker := &apitest.Locker{}
	h = New(apitest.New(nil), nil, &Config{Locker: locker})
	if w := request(h, "POST", "/v1/lock", ""); w.Code != http.StatusNoContent || !locker.Locked() {
		t.Errorf("lock: %d %s", w.Code, w.Body)
	}
}

func TestKeyPrintsRedacted(t *testing.T) {
	k := client.Key{Passphrase: "secret", KeyFile: "secret", KeychainKey: "secret"}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x"} {
		if s := fmt.Sprintf(verb, k) + fmt.Sprintf(verb, client.Recovery{Words: []string{"secret"}}); strings.Contains(s, "secret") || strings.Contains(s, fmt.Sprintf("%x", "secret")) {
			t.Errorf("%s prints %s", verb, s)
		}
	}
}
