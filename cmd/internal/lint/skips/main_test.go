package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const passed = `{"Action":"run","Package":"example.com/a/b/p2p","Test":"TestA"}
{"Action":"output","Package":"example.com/a/b/p2p","Test":"TestA","Output":"=== RUN   TestA\n"}
{"Action":"pass","Package":"example.com/a/b/p2p","Test":"TestA"}
{"Action":"output","Package":"example.com/a/b/p2p","Output":"PASS\n"}
{"Action":"output","Package":"example.com/a/b/p2p","Output":"ok  \texample.com/a/b/p2p\t0.1s\n"}
{"Action":"pass","Package":"example.com/a/b/p2p"}
`

const skipped = `{"Action":"output","Package":"example.com/a/b/p2p","Test":"TestS","Output":"=== RUN   TestS\n"}
{"Action":"output","Package":"example.com/a/b/p2p","Test":"TestS","Output":"    s_test.go:7: needs root\n"}
{"Action":"output","Package":"example.com/a/b/p2p","Test":"TestS","Output":"--- SKIP: TestS (0.00s)\n"}
{"Action":"skip","Package":"example.com/a/b/p2p","Test":"TestS"}
`

const failed = `{"Action":"output","Package":"example.com/a/b/p2p","Test":"TestF","Output":"    f_test.go:9: boom\n"}
{"Action":"fail","Package":"example.com/a/b/p2p","Test":"TestF"}
{"Action":"fail","Package":"example.com/a/b/p2p"}
`

const unbuilt = `{"Action":"build-output","ImportPath":"example.com/a/b/p2p","Output":"p2p/x.go:1: syntax error\n"}
{"Action":"build-fail","ImportPath":"example.com/a/b/p2p"}
{"Action":"fail","Package":"example.com/a/b/p2p","FailedBuild":"example.com/a/b/p2p"}
`

func TestRun(t *testing.T) {
	for _, c := range []struct {
		name, in, list string
		ok             bool
		prints         string
	}{
		{"pass", passed, "none", true, "1 tests passed, 0 failed, 0 skipped"},
		{"summary line of a package", passed, "none", true, "ok  \texample.com/a/b/p2p"},
		{"nothing", "", "none", false, "0 tests passed"},
		{"skip without a list", passed + skipped, "", true, "skipped: p2p TestS: s_test.go:7: needs root"},
		{"skip on the list", passed + skipped, "p2p TestS needs root", true, "skipped: p2p TestS"},
		{"skip off the list", passed + skipped, "p2p TestOther needs root", false, "not on the list: p2p TestS: s_test.go:7: needs root"},
		{"fail", passed + failed, "none", false, "f_test.go:9: boom"},
		{"build failure", passed + unbuilt, "none", false, "p2p/x.go:1: syntax error"},
	} {
		t.Run(c.name, func(t *testing.T) {
			var out strings.Builder
			ok, err := run(strings.NewReader(c.in), &out, writeList(t, c.list))
			if err != nil || ok != c.ok || !strings.Contains(out.String(), c.prints) {
				t.Errorf("ok %v, error %v, want ok %v and %q in:\n%s", ok, err, c.ok, c.prints, out.String())
			}
		})
	}
}

// writeList returns a file with the list: "" is no file, "none" an empty one.
func writeList(t *testing.T, list string) string {
	t.Helper()
	if list == "" {
		return ""
	}
	name := filepath.Join(t.TempDir(), "skips.txt")
	content := "# comment\n\n" + strings.TrimPrefix(list, "none") + "\n"
	if err := os.WriteFile(name, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

func TestRunRefuses(t *testing.T) {
	for name, in := range map[string]struct{ in, list string }{
		"not JSON":                {"ok  \tp2p\n", "none"},
		"list without a reason":   {passed, "p2p TestS"},
		"cut off in mid-document": {passed[:len(passed)-5], "none"},
	} {
		if ok, err := run(strings.NewReader(in.in), &strings.Builder{}, writeList(t, in.list)); err == nil || ok {
			t.Errorf("%s: accepted", name)
		}
	}
	if _, err := run(strings.NewReader(passed), &strings.Builder{}, filepath.Join(t.TempDir(), "absent")); err == nil {
		t.Error("a list that does not exist: accepted")
	}
}
