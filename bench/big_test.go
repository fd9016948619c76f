package bench_test

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/starling-sync/starling/crdt/model"
	"github.com/starling-sync/starling/encryption"
	"github.com/starling-sync/starling/p2p/p2ptest"
	"github.com/starling-sync/starling/replica"
	"github.com/starling-sync/starling/replica/store"
	"github.com/starling-sync/starling/replica/store/disk"
)

var bigChanges = flag.Int("big", 10_000,
	"changes of the history of BenchmarkBig and BenchmarkNewDevice, with a chat for each 200 and a contact for each 100; 1000000 take minutes to make")

// bigSize is what a big store holds.
type bigSize struct{ chats, contacts, changes int }

func sizeOfBig() bigSize { return bigSize{*bigChanges / 200, *bigChanges / 100, *bigChanges} }

// big is the store that the benchmarks of this file share. It is made once, by
// one device alone, and its history is sealed.
var big struct {
	once sync.Once
	dir  string // removed by TestMain
	id   *encryption.Identity
	took time.Duration
	err  error
}

func makeBig(b *testing.B) {
	b.Helper()
	big.once.Do(func() { big.err = makeBigStore(b, sizeOfBig()) })
	if big.err != nil {
		b.Fatal(big.err)
	}
}

func makeBigStore(b *testing.B, size bigSize) (err error) {
	if big.dir, err = os.MkdirTemp("", "starling-big-"); err != nil {
		return err
	}
	if big.id, _, err = encryption.Create(big.dir, childKey(), &encryption.CreateOptions{Name: "first", Now: person.now()}); err != nil {
		return err
	}
	r, err := replica.Open(big.dir, &replica.Config{Identity: big.id, Clock: person.now})
	if err != nil {
		return err
	}
	began := time.Now()
	changes, err := writeBig(b, r, size)
	big.took = time.Since(began)
	if err == nil && changes != size.changes {
		err = fmt.Errorf("made %d changes, want %d", changes, size.changes)
	}
	return errors.Join(err, r.Close())
}

// writeBig applies the work and counts the changes that it made: neighbouring edits
// of one document are one. In the end all of them are sealed.
func writeBig(b *testing.B, r *replica.Replica, size bigSize) (changes int, err error) {
	for edits := range bigEdits(size) {
		if err := r.Apply(b.Context(), edits); err != nil {
			return 0, err
		}
		for i, e := range edits {
			if i == 0 || e.ID != edits[i-1].ID {
				changes++
			}
		}
	}
	_, err = r.Backup(b.Context(), io.Discard) // seals
	return changes, err
}

// bigEdits yields the edits of a big store, those of one Apply at a time. Every
// chat and contact is made; each contact is altered four times; and all other
// changes are of chats, read mostly, muted and unmuted now and then. Chats take
// turns in blocks, so that each edit is a change of its own.
func bigEdits(size bigSize) func(yield func([]model.Edit) bool) {
	return func(yield func([]model.Edit) bool) {
		for _, edits := range manyEdits(size.chats, size.contacts) {
			if !yield(edits) {
				return
			}
		}
		for round := range 4 {
			for part := range slices.Chunk(upTo(size.contacts), editsAtOnce) {
				if !yield(editsOf(part, round, alterContact)) {
					return
				}
			}
		}
		rest := size.changes - size.chats - 5*size.contacts
		for block := range slices.Chunk(upTo(size.chats), blockChats) {
			rounds := rest / size.chats
			if block[0] == 0 {
				rounds += rest % size.chats / len(block) // what does not divide
			}
			for round := 0; round < rounds; round += blockRounds {
				var edits []model.Edit
				for r := round; r < min(rounds, round+blockRounds); r++ {
					edits = append(edits, editsOf(block, r, useChat)...)
				}
				if !yield(edits) {
					return
				}
			}
		}
	}
}

// The chats of one block stay in memory, and make one Apply of the largest group.
const (
	blockChats  = 50
	blockRounds = 80
)

func upTo(n int) []int {
	all := make([]int, n)
	for i := range all {
		all[i] = i
	}
	return all
}

func editsOf(entities []int, round int, edit func(i, round int) model.Edit) []model.Edit {
	var edits []model.Edit
	for _, i := range entities {
		edits = append(edits, edit(i, round))
	}
	return edits
}

func alterContact(i, round int) model.Edit {
	return model.Edit{Op: model.ContactSet, ID: fmt.Sprintf("contact-%d", i), Contact: &model.ContactPatch{
		Fields: map[string]string{"company": fmt.Sprintf("Company %d", (i+7*round+1)%1000)},
	}}
}

func useChat(i, round int) model.Edit {
	id := fmt.Sprintf("signal:+49%08d", i)
	switch round % 10 {
	case 3:
		return model.Edit{Op: model.ChatMute, ID: id, Until: model.Time(1800000000000 + 3_600_000*round)}
	case 7:
		return model.Edit{Op: model.ChatUnmute, ID: id}
	}
	at := 1767225600000 + 100_000*(round+1) + 37*i
	return model.Edit{Op: model.ChatRead, ID: id, At: &model.Position{Time: model.Time(at), ID: fmt.Sprintf("m%d", 1000*round+i)}}
}

// BenchmarkBig reports of a device with a long history, 10,000 changes of 50 chats
// and 100 contacts, or as many as -big says: what it takes on disk (disk-MB as the file
// system counts blocks, files-MB as it counts sizes), the sizes of the records by
// kind before the store adds its own (records-MB; log, documents and index of it),
// and what a process takes that opens it with a network on loopback: open-ms after
// the identity is open, rss-MB as soon as it is open, and idle-MB when it has
// collected its garbage.
func BenchmarkBig(b *testing.B) {
	if _, err := os.Stat("/proc/self/status"); err != nil {
		b.Skip("needs /proc: ", err)
	}
	makeBig(b)
	figures := map[string][]float64{}
	for b.Loop() {
		c := startChild(b, &childTask{Dir: big.dir})
		figures["open-ms"] = append(figures["open-ms"], c.OpenMS)
		figures["rss-MB"] = append(figures["rss-MB"], memory(b, c.cmd, "VmRSS"))
		if err := c.ask(); err != nil {
			b.Fatal(err)
		}
		figures["idle-MB"] = append(figures["idle-MB"], memory(b, c.cmd, "VmRSS"))
		c.end(b)
	}
	for name, values := range figures {
		slices.Sort(values)
		b.ReportMetric(values[len(values)/2], name)
	}
	b.ReportMetric(big.took.Seconds(), "make-s")
	reportDisk(b)
}

// The tables whose shares are told apart, by their numbers on disk.
var bigTables = map[store.Table]string{3: "log-MB", 6: "documents-MB", 7: "index-MB"}

func reportDisk(b *testing.B) {
	blocks, files := diskUse(b, filepath.Join(big.dir, replica.StoreDir))
	b.ReportMetric(blocks, "disk-MB")
	b.ReportMetric(files, "files-MB")
	s, err := disk.Open(filepath.Join(big.dir, replica.StoreDir), &disk.Config{
		BadgerKey: big.id.BadgerKey().Reveal(), RecordKey: big.id.RecordKey().Reveal(),
	})
	if err != nil {
		b.Fatal(err)
	}
	var all float64
	for t := store.Table(1); t < 32; t++ {
		n := 0
		if err := s.Scan(t, nil, nil, func(key, value []byte) error { n += len(key) + len(value); return nil }); err != nil {
			b.Fatal(err)
		}
		all += megabytes(n)
		if name := bigTables[t]; name != "" {
			b.ReportMetric(megabytes(n), name)
		}
	}
	b.ReportMetric(all, "records-MB")
	if err := s.Close(); err != nil {
		b.Fatal(err)
	}
}

func megabytes[N int | int64](n N) float64 { return float64(n) / 1e6 }

// diskUse returns the MB of a directory, in blocks and by the sizes of its files.
func diskUse(b *testing.B, dir string) (blocks, files float64) {
	b.Helper()
	err := filepath.WalkDir(dir, func(_ string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		files += megabytes(info.Size())
		blocks += megabytes(allocated(info))
		return nil
	})
	if err != nil {
		b.Fatal(err)
	}
	return blocks, files
}

// BenchmarkNewDevice is how a new device, a process of its own, joins the device of
// BenchmarkBig over loopback: in-sync-s from the first stream until it holds
// everything, and the other knows; the bytes of ours that crossed, both ways, for
// each change of the history; and the most memory that it ever had.
func BenchmarkNewDevice(b *testing.B) {
	if _, err := os.Stat("/proc/self/status"); err != nil {
		b.Skip("needs /proc: ", err)
	}
	makeBig(b)
	size := sizeOfBig()
	for b.Loop() {
		b.StopTimer()
		dir := b.TempDir()
		addTo(b, big.id, dir)
		b.StartTimer()
		r, net := openMetered(b, big.dir, big.id)
		c := startChild(b, &childTask{Dir: dir, Peer: net.Addrs()[0], Device: big.id.Device().String()})
		peak := memory(b, c.cmd, "VmHWM")
		s, err := r.Status(b.Context())
		if err != nil {
			b.Fatal(err)
		}
		if c.Fingerprint != s.Fingerprint || c.Chats != size.chats || c.Contacts != size.contacts {
			b.Fatalf("not equal: %+v and %+v", c.childFigures, s)
		}
		sent := c.Sent + net.sent.Load()
		c.end(b)
		if err := r.Close(); err != nil {
			b.Fatal(err)
		}
		b.ReportMetric(c.InSyncS, "in-sync-s")
		b.ReportMetric(float64(sent)/float64(size.changes), "B/change")
		b.ReportMetric(peak, "peak-MB")
	}
}

// addTo makes a new device in dir and adds it by sponsor.
func addTo(b *testing.B, sponsor *encryption.Identity, dir string) {
	b.Helper()
	j, err := encryption.NewJoiner(&encryption.JoinOptions{Name: "new"})
	if err != nil {
		b.Fatal(err)
	}
	request := j.Request(encryption.Hash{1})
	welcome, err := p2ptest.Approve(sponsor, request)
	if err == nil {
		err = j.OpenWelcome(request.Transcript, welcome)
	}
	if err == nil {
		_, err = j.Save(dir, childKey())
	}
	if err != nil {
		b.Fatal(err)
	}
}
