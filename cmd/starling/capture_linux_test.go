package main

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/starling-sync/starling/crdt/model"
	"github.com/starling-sync/starling/encryption"
)

// TestNothingInTheClear links two daemons whose directories a passphrase
// protects, over a cable on which every byte is recorded, and lets both write
// things with names that occur nowhere else: first after they have found each
// other by multicast, then connected by QUIC, then by TCP. Afterwards nothing that
// a person chose, nor the recovery words, the passphrase and the ids of the
// account and its devices, is in what was on the cable, nor in any file of the
// two directories, while the daemons run, after they were killed and after they
// have ended. What the daemons log in full detail has ids, and else none of it
// either. The scan must find what is planted in either place.
func TestNothingInTheClear(t *testing.T) {
	names := cable(t)
	secrets := newScanner()
	tap := capture(t, names[0])
	a, b := newMachine(t, "a"), newMachine(t, "b")
	for i, m := range []*machine{a, b} {
		m.connect(names[i])
		passphrase := "passphrase-of-" + m.name
		path := filepath.Join(t.TempDir(), "pass")
		m.check(os.WriteFile(path, []byte(passphrase+"\n"), 0o600))
		m.unlock = []string{"--passphrase-file", path}
		secrets.addText(t, "passphrase", passphrase)
	}
	var account begun
	a.run(&account, "init", "--name", "planted-name-of-a", "--yes")
	b.name = "planted-name-of-b"
	a.up()
	a.invite(b)
	secrets.addIDs(t, a, &account)
	scanTrees := func(when string) {
		for _, m := range []*machine{a, b} {
			found, files, size, err := secrets.findInTree(m.dir)
			t.Logf("%s, %s: %d files with %d bytes", when, m.dir, files, size)
			if err != nil || files < 5 || len(found) > 0 {
				t.Errorf("%s: %d files in %s, found %v, %v", when, files, m.dir, found, err)
			}
		}
	}
	b.up()
	planted := plant(t, secrets, "found", a, b)
	scanTrees("running")
	a.listen, b.listen = []string{"--no-discovery", "-v"}, []string{"--no-discovery", "-v"}
	for _, transport := range []string{"udp", "tcp"} {
		a.kill()
		b.kill()
		scanTrees("killed")
		a.up()
		b.up("--peer", a.addr("/ip4/10.78.1.1/"+transport+"/"))
		planted = append(planted, plant(t, secrets, transport, a, b)...)
	}
	var state json.RawMessage
	b.run(&state, "state")
	for _, marker := range planted {
		if !bytes.Contains(state, []byte(marker)) {
			t.Errorf("%s was not written, or has not come over", marker)
		}
	}
	a.verify()
	a.down()
	b.down()
	scanTrees("ended")
	checkLogs(t, secrets, a, b)
	checkCapture(t, tap, secrets, names, planted[0])
	checkScan(t, secrets, planted[0])
}

// checkLogs looks for everything but ids in what the daemons have logged.
func checkLogs(t *testing.T, secrets *scanner, machines ...*machine) {
	t.Helper()
	for _, m := range machines {
		logs := string(m.logs)
		if !strings.Contains(logs, "connected") {
			t.Errorf("%s has not logged that it was connected: %q", m.name, logs)
		}
		t.Logf("%s: %d bytes of logs", m.name, len(logs))
		for _, what := range secrets.find([]byte(logs)) {
			if !strings.HasPrefix(what, "device id ") && !strings.HasPrefix(what, "account id") {
				t.Errorf("%s has logged: %s", m.name, what)
			}
		}
	}
}

// addr returns the daemon's address that begins so.
func (m *machine) addr(prefix string) string {
	m.t.Helper()
	for _, addr := range m.addrs {
		if strings.HasPrefix(addr, prefix) {
			return addr
		}
	}
	m.t.Fatalf("%s has no address %s… among %q", m.name, prefix, m.addrs)
	return ""
}

// addIDs looks for what the account and its devices are called among
// themselves, for the recovery words, and for what they encode. Single words
// are no secret, but two neighbours are.
func (s *scanner) addIDs(t *testing.T, m *machine, account *begun) {
	t.Helper()
	var devices []model.Device
	m.run(&devices, "devices", "list")
	if len(devices) != 2 {
		t.Fatalf("%d devices, want 2", len(devices))
	}
	ids := map[string]string{"account id": account.Account}
	for i, d := range devices {
		ids[fmt.Sprint("device id ", i)] = d.ID
		s.addText(t, "device name", d.Name)
	}
	for what, id := range ids {
		s.addText(t, what, id)
		raw, err := hex.DecodeString(id)
		m.check(err)
		s.add(t, what, raw)
	}
	for i, word := range account.Words[1:] {
		for _, between := range []string{"", " ", "\n", ",", `","`} {
			s.addText(t, "recovery words", account.Words[i]+between+word)
		}
	}
	words, err := encryption.ParseRecoveryWords(strings.Join(account.Words, " "))
	m.check(err)
	seed := words.Seed().Reveal()
	s.add(t, "recovery seed", seed[:])
}

// plant writes everything that a person can, on both ends, waits until both
// have it, and returns the names that were used.
func plant(t *testing.T, s *scanner, transport string, machines ...*machine) (planted []string) {
	t.Helper()
	for _, m := range machines {
		addr := m.connected()
		if transport != "found" && !(strings.Contains(addr, "/10.78.1.") && strings.Contains(addr, "/"+transport+"/")) {
			t.Errorf("connected over %s, want %s over the cable", addr, transport)
		}
	}
	for i, m := range machines {
		name := func(what string) string {
			n := fmt.Sprintf("planted-%s-%s-%d", what, transport, i)
			s.addText(t, what, n)
			if what != "device" { // the second name replaces the first
				planted = append(planted, n)
			}
			return n
		}
		chat := "signal:" + name("chat")
		m.run(nil, "chat", "read", chat, "--at", "2026-01-31T09:30:00Z", "--message", name("message"))
		m.run(nil, "chat", "draft", chat, name("draft"))
		label := name("label")
		m.run(nil, "label", "set", label)
		m.run(nil, "chat", "label", chat, label)
		m.run(nil, "contact", "set", name("contact"), "--name", name("person"), "--phone", name("phone"), "--note", name("note"))
		m.run(nil, "setting", "set", name("setting"), name("value"))
		var status model.Status
		m.run(&status, "status")
		m.run(nil, "devices", "rename", status.Device, name("device"))
	}
	settle(t, machines...)
	return planted
}

// tap is what was on a cable.
type tap struct {
	frames chan []byte // one a frame; closed when capturing has ended
	close  func() error
	drops  func() (uint32, error) // frames that were missed
}

// capture records every frame at the end of a cable that is in ns.
func capture(t *testing.T, ns string) *tap {
	t.Helper()
	tap := &tap{frames: make(chan []byte, 1<<20)}
	inside(t, ns, func() error {
		cable, err := net.InterfaceByName("cable")
		if err != nil {
			return err
		}
		all := binary.BigEndian.Uint16(binary.NativeEndian.AppendUint16(nil, unix.ETH_P_ALL))
		fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, int(all))
		if err != nil {
			return err
		}
		f := os.NewFile(uintptr(fd), "cable")
		t.Cleanup(func() { f.Close() })
		if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, 64<<20); err != nil {
			return err
		}
		tap.close = f.Close
		tap.drops = func() (uint32, error) {
			stats, err := unix.GetsockoptTpacketStats(fd, unix.SOL_PACKET, unix.PACKET_STATISTICS)
			if err != nil {
				return 0, err
			}
			return stats.Drops, nil
		}
		go tap.read(f)
		return unix.Bind(fd, &unix.SockaddrLinklayer{Protocol: all, Ifindex: cable.Index})
	})
	return tap
}

func (tap *tap) read(f *os.File) {
	defer close(tap.frames)
	buffer := make([]byte, 128<<10) // the kernel hands over segments before it cuts them
	for {
		n, err := f.Read(buffer)
		if err != nil {
			return
		}
		tap.frames <- bytes.Clone(buffer[:n])
	}
}

// checkCapture sends a secret over the cable itself, last, and looks for
// secrets in all that was there until then.
func checkCapture(t *testing.T, tap *tap, s *scanner, names [2]string, marker string) {
	t.Helper()
	inside(t, names[0], func() error {
		conn, err := net.Dial("udp", "10.78.1.2:9")
		if err != nil {
			return err
		}
		defer conn.Close()
		_, err = conn.Write([]byte("the last datagram has " + marker + " in it"))
		return err
	})
	sizes := map[string]int{}
	limit := time.After(patience)
	for last := false; !last; {
		select {
		case frame := <-tap.frames:
			last = bytes.Contains(frame, []byte("the last datagram"))
			found := s.find(frame)
			if last != (len(found) > 0) {
				t.Errorf("in a frame of %d bytes: %v\n%s", len(frame), found, hex.Dump(frame[:min(len(frame), 200)]))
			}
			sizes[protocol(frame)] += len(frame)
		case <-limit:
			t.Fatal("what was planted on the cable was not recorded")
		}
	}
	t.Logf("bytes on the cable: %v", sizes)
	if sizes["tcp"] < 10_000 || sizes["udp"] < 10_000 || sizes["mdns"] == 0 {
		t.Errorf("there is hardly anything on the cable: %v", sizes)
	}
	if missed, err := tap.drops(); err != nil || missed > 0 {
		t.Errorf("%d frames were not recorded, %v", missed, err)
	}
	if err := tap.close(); err != nil {
		t.Error(err)
	}
}

// protocol names what is in an Ethernet frame.
func protocol(frame []byte) string {
	ip := frame[min(len(frame), 14):]
	next, header := byte(0), 0
	switch {
	case len(ip) >= 20 && ip[0]>>4 == 4:
		next, header = ip[9], int(ip[0]&15)*4
	case len(ip) >= 40 && ip[0]>>4 == 6:
		next, header = ip[6], 40
	}
	switch {
	case next == unix.IPPROTO_TCP:
		return "tcp"
	case next == unix.IPPROTO_UDP && len(ip) >= header+4 && binary.BigEndian.Uint16(ip[header+2:]) == 5353:
		return "mdns"
	case next == unix.IPPROTO_UDP:
		return "udp"
	}
	return "other"
}

// checkScan plants a secret in files, each time written in another way.
func checkScan(t *testing.T, s *scanner, marker string) {
	t.Helper()
	for _, encoded := range encodings([]byte(marker)) {
		path := filepath.Join(t.TempDir(), "plain")
		if err := os.WriteFile(path, append(bytes.Repeat([]byte{0x80}, 100), encoded...), 0o600); err != nil {
			t.Fatal(err)
		}
		found, files, _, err := s.findInTree(filepath.Dir(path))
		if err != nil || files != 1 || len(found) == 0 {
			t.Errorf("%q in a plain file is not found: %d files, %v", encoded, files, err)
		}
	}
}
