package disk

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/starling-sync/starling/replica/store"
)

// childResident opens a store, reads all of it once, and prints how much
// memory the process has.
func childResident(dir string) error {
	s, err := Open(dir, testConfig())
	if err != nil {
		return err
	}
	if err := printResident("opened"); err != nil {
		return err
	}
	for table := range store.Table(4) {
		if err := s.Scan(table, nil, nil, func(k, v []byte) error { return nil }); err != nil {
			return err
		}
	}
	if err := printResident("read"); err != nil {
		return err
	}
	return s.Close()
}

// printResident prints the kilobytes of RSS, and of these the anonymous ones:
// the others are pages of files that the system may take back.
func printResident(when string) error {
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return err
	}
	for line := range strings.Lines(string(status)) {
		var kb int
		name, rest, _ := strings.Cut(line, ":")
		if name != "VmRSS" && name != "RssAnon" {
			continue
		}
		if _, err := fmt.Sscan(rest, &kb); err != nil {
			return err
		}
		fmt.Println(when, name, kb)
	}
	return nil
}

// BenchmarkResident reports the memory of a process that has a store of
// 45,000 records open, in MB; it needs Linux.
func BenchmarkResident(b *testing.B) {
	if _, err := os.Stat("/proc/self/status"); err != nil {
		b.Skip("needs /proc: ", err)
	}
	dir := b.TempDir()
	s := openBench(b, dir)
	account(b, s)
	if err := s.Close(); err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		out, err := child("resident", dir).Output()
		if err != nil {
			b.Fatalf("%v: %s", err, out)
		}
		for line := range strings.Lines(string(out)) {
			var when, name string
			var kb float64
			if _, err := fmt.Sscan(line, &when, &name, &kb); err != nil {
				b.Fatalf("%q: %v", line, err)
			}
			b.ReportMetric(kb/1024, when+"-"+name+"-MB")
		}
	}
}
