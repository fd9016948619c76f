package bench_test

import (
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// BenchmarkPeers does the work of BenchmarkApart with starling and then with
// automerge-repo, which peers/run measures, and reports both and the ratios:
// times-faster to converge and times-smaller on the wire. It needs node, npm, and
// once the registry.
func BenchmarkPeers(b *testing.B) {
	for b.Loop() {
		b.StopTimer()
		dirs, ids := apart(b)
		b.StartTimer()
		took, bytes := meet(b, dirs, ids, nothing)
		b.StopTimer()
		ours := float64(bytes) / apartChanges
		theirs := runPeers(b)
		b.StartTimer()
		b.ReportMetric(took.Seconds(), "s")
		b.ReportMetric(ours, "B/change")
		b.ReportMetric(theirs.Seconds, "automerge-repo-s")
		b.ReportMetric(theirs.BytesPerChange, "automerge-repo-B/change")
		b.ReportMetric(theirs.Seconds/took.Seconds(), "times-faster")
		b.ReportMetric(theirs.BytesPerChange/ours, "times-smaller")
	}
}

// peersFigures is what peers/run prints with --json.
type peersFigures struct {
	Changes        int               `json:"changes"`
	Seconds        float64           `json:"seconds"`
	BytesPerChange float64           `json:"bytesPerChange"`
	Node           string            `json:"node"`
	Cores          int               `json:"cores"`
	Versions       map[string]string `json:"versions"`
}

// peersAbsent is the exit code of peers/run where node, npm or the packages are
// not to be had.
const peersAbsent = 3

func runPeers(b *testing.B) peersFigures {
	b.Helper()
	cmd := exec.CommandContext(b.Context(), "sh", filepath.Join("peers", "run"), "--json")
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if ended, ok := errors.AsType[*exec.ExitError](err); ok && ended.ExitCode() == peersAbsent {
		b.Skip("no automerge-repo to compare with; see the lines above")
	}
	if err != nil {
		b.Fatalf("peers/run: %v", err)
	}
	var f peersFigures
	if err := json.Unmarshal(out, &f); err != nil {
		b.Fatalf("peers/run printed %q: %v", out, err)
	}
	if f.Changes != apartChanges || f.Seconds <= 0 || f.BytesPerChange <= 0 {
		b.Fatalf("peers/run did other work: %+v", f)
	}
	b.Logf("automerge-repo on node %s, %d cores: %v", f.Node, f.Cores, f.Versions)
	return f
}
