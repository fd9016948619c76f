package wire

import (
	"bufio"
	"bytes"
	"io"
	"reflect"
	"slices"
	"strings"
	"testing"
	"testing/iotest"

	"pgregory.net/rapid"

	"github.com/starling-sync/starling/crdt/change"

	"github.com/starling-sync/starling/encryption"
)

// TestMessagesRoundTrip sends some messages in a row over a stream that hands
// out a byte at a time.
func TestMessagesRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var stream []byte
		var sent []Message
		for range rapid.IntRange(0, 5).Draw(t, "messages") {
			m := drawMessage(t)
			before := bytes.Clone(stream)
			var err error
			if stream, err = AppendFrame(stream, m); err != nil {
				t.Fatal(err)
			}
			if !bytes.HasPrefix(stream, before) {
				t.Fatal("what stood before the frame was changed")
			}
			sent = append(sent, m)
		}
		r := NewReader(bufio.NewReader(iotest.OneByteReader(bytes.NewReader(stream))))
		for _, want := range sent {
			got, err := r.Read()
			if err != nil {
				t.Fatal(err)
			}
			if !reflect.DeepEqual(got, want) {
				t.Fatalf("sent %+v, received %+v", want, got)
			}
		}
		if m, err := r.Read(); err != io.EOF {
			t.Fatalf("at the end: %v, %v", m, err)
		}
	})
}

// TestEmptyListsHaveOneForm pins that a list without elements is sent as the
// empty list, however the sender holds it, and that null is refused.
func TestEmptyListsHaveOneForm(t *testing.T) {
	for _, m := range []Message{&Frontier{}, &Ack{}, &Members{}, &Epochs{}, frontierOf(0), ackOf(0), &Members{Ops: [][]byte{}},
		&Offer{}, &Want{}, &Neighbours{}, offerOf(0), wantOf(0), neighboursOf(0), &Resume{}, resumeOf(0)} {
		raw := frameOf(t, m)
		if raw[len(raw)-1] != 0x80 {
			t.Errorf("%T ends in %#x", m, raw[len(raw)-1])
		}
		if _, err := readOne(raw); err != nil {
			t.Errorf("%T: %v", m, err)
		}
		raw[len(raw)-1] = 0xf6
		_, err := readOne(raw)
		wantError(t, "null", err, ErrMalformed)
	}
}

func TestOtherVersions(t *testing.T) {
	for _, raw := range [][]byte{{0}, {2}, {2, 1, 2, 3}, append([]byte{255}, make([]byte, MaxHello-1)...)} {
		_, err := readOne(rawFrame(TypeHello, raw))
		wantError(t, "hello", err, ErrUnsupported)
	}
	_, err := readOne(rawFrame(TypeHello, append([]byte{2}, make([]byte, MaxHello)...)))
	wantError(t, "hello over the limit of all versions", err, ErrMalformed)
	for _, codec := range []byte{0, 3, 255} {
		_, err := DecodeBatch(change.Context{}, []byte{codec, 1, 2, 3})
		wantError(t, "batch", err, ErrUnsupported)
	}
}

// What bodies are made of.
const (
	w1   = "50 01010101010101010101010101010101"
	w2   = "50 02020202020202020202020202020202"
	head = "5820 0303030303030303030303030303030303030303030303030303030303030303"
	dig  = "0404040404040404040404040404040404040404040404040404040404040404"
	ins  = "0505050505050505"
	zero = "00000000000000000000000000000000"
)

// TestMessagesAreRefused gives bodies that are not the one spelling of a
// message.
func TestMessagesAreRefused(t *testing.T) {
	refuse(t, map[Type]map[string]string{
		TypeHello: {
			"empty": "", "version only": "01", "cut": "01" + ins + dig, "trailing byte": "01" + ins + dig + "0000",
			"backlog is 2": "01" + ins + dig + "02", "backlog is 255": "01" + ins + dig + "ff",
		},
		TypeFrontier: {
			"empty": "", "no list": dig, "cut digest": dig[2:], "null": dig + "f6", "not a list": dig + "00", "map": dig + "a0",
			"trailing byte": dig + "8000", "number zero": dig + "8183" + w1 + "00" + head,
			"long number": dig + "8183" + w1 + "1801" + head, "long count": dig + "980183" + w1 + "01" + head,
			"indefinite list": dig + "9f83" + w1 + "01" + head + "ff", "indefinite entry": dig + "819f" + w1 + "01" + head + "ff",
			"descending": dig + "8283" + w2 + "01" + head + "83" + w1 + "01" + head, "twice": dig + "8283" + w1 + "01" + head + "83" + w1 + "02" + head,
			"short writer": dig + "8183 41 01 01" + head, "long writer": dig + "8183 51" + w1[3:] + "00 01" + head,
			"short head": dig + "8183" + w1 + "01 4103", "text writer": dig + "8183 70" + w1[3:] + "01" + head,
			"negative": dig + "8183" + w1 + "20" + head, "float": dig + "8183" + w1 + "f93c00" + head, "null number": dig + "8183" + w1 + "f6" + head,
			"number over 64 bits": dig + "8183" + w1 + "c249010000000000000000" + head, "tag": dig + "8183" + w1 + "c101" + head,
			"two fields": dig + "8182" + w1 + "01", "four fields": dig + "8184" + w1 + "01" + head + "00", "null entry": dig + "81f6",
			"writer as list": dig + "8183 90 01010101010101010101010101010101 01" + head, "entry as map": dig + "81a1" + w1 + "01",
		},
		TypeMembers: {
			"empty": "", "null": "f6", "undefined": "f7", "not a list": "40", "null operation": "81f6", "empty operation": "8140",
			"text": "816101", "list of numbers": "818101", "long length": "81580101", "long count": "98014101", "indefinite list": "9f4101ff",
			"indefinite bytes": "815f4101ff", "trailing byte": "81410100", "tag": "81c24101", "cut": "814201",
			"fewer than counted": "824101", "length beyond the end": "815affffffff", "count beyond the end": "9affffffff",
			"length of 64 bits": "815bffffffffffffffff", "count of 64 bits": "9bffffffffffffffff",
		},
		TypeEpochs: {
			"empty": "", "null": "f6", "not a list": "40", "null record": "81f6", "empty record": "8140", "text": "816101",
			"list of numbers": "818101", "long length": "81580101", "long count": "98014101", "indefinite list": "9f4101ff",
			"trailing byte": "81410100", "tag": "81c24101", "cut": "814201", "seventeen": "91" + strings.Repeat("4101", 17),
			"length beyond the end": "815a00040001", "count of 64 bits": "9bffffffffffffffff",
		},
		TypeEnvelope: {"empty": ""},
		TypeAck: {
			"empty": "", "null": "f6", "number zero": "8182" + w1 + "00", "descending": "8282" + w2 + "0182" + w1 + "01",
			"twice": "8282" + w1 + "0182" + w1 + "01", "long number": "8182" + w1 + "190001", "one field": "8181" + w1,
			"three fields": "8183" + w1 + "0100", "trailing byte": "8000", "short writer": "81824f" + w1[5:] + "01", "bool number": "8182" + w1 + "f5",
		},
		TypeCompare:  {"empty": "", "cut": ins[2:], "trailing byte": ins + "00"},
		TypeCompared: {"empty": "", "cut": ins + dig + dig[2:], "trailing byte": ins + dig + dig + "00"},
	})
	accept(t, map[Type]string{ // what the cases above were made from
		TypeHello: "01" + ins + dig + "01", TypeFrontier: dig + "8283" + w1 + "01" + head + "83" + w2 + "01" + head,
		TypeMembers: "814101", TypeEpochs: "814101", TypeAck: "8282" + w1 + "0182" + w2 + "01", TypeCompare: ins, TypeCompared: ins + dig + dig,
	})
}

// TestSnapshotMessagesAreRefused does the same with the messages of a transfer, with
// neighbours, and with what is declined or locked.
func TestSnapshotMessagesAreRefused(t *testing.T) {
	refuse(t, map[Type]map[string]string{
		TypeOffer: {
			"empty": "", "null": "f6", "number zero": "8185" + w1 + "00" + head + w2 + head, "short device": "8185" + w1 + "01" + head + "4101" + head,
			"descending": "8285" + w2 + "01" + head + w2 + head + "85" + w1 + "01" + head + w2 + head, "four fields": "8184" + w1 + "01" + head + w2,
			"trailing byte": "8000", "short members": "8185" + w1 + "01" + head + w2 + "4101",
		},
		TypeWant: {
			"empty": "", "short": w1[5:] + "80", "no list": w1[3:], "null": w1[3:] + "f6", "descending": zero + "82" + w2 + w1, "twice": zero + "82" + w1 + w1,
			"both": w1[3:] + "81" + w2, "short id": zero + "814101", "trailing byte": zero + "8000",
		},
		TypeNeighbours: {
			"empty": "", "null": "f6", "not a list": "40", "descending": "82" + w2 + w1, "twice": "82" + w1 + w1, "short device": "814101",
			"long device": "8151" + w1[3:] + "00", "text": "8170" + w1[3:], "null device": "81f6", "tag": "81c2" + w1, "long count": "9801" + w1,
			"indefinite list": "9f" + w1 + "ff", "cut": "82" + w1, "trailing byte": "8000", "count of 64 bits": "9bffffffffffffffff",
			"device as list": "8190" + w1[3:],
		},
		TypeDecline: {"empty": "", "cut": w1[5:], "trailing byte": w1[3:] + "00"},
		TypeLocked:  {"empty": "", "cut": w1[5:], "trailing byte": w1[3:] + "00"},
		TypePart:    {"empty": "", "flag of 2": "02" + w1[3:] + "01", "cut": "00" + w1[5:], "nothing": "00" + w1[3:]},
	})
	accept(t, map[Type]string{
		TypeOffer: "8185" + w1 + "01" + head + w2 + head, TypeWant: zero + "82" + w1 + w2, TypePart: "01" + w1[3:] + "80",
		TypeNeighbours: "82" + w1 + w2, TypeDecline: w1[3:], TypeLocked: w2[3:],
	})
}

func refuse(t *testing.T, bodies map[Type]map[string]string) {
	t.Helper()
	for typ, cases := range bodies {
		for name, body := range cases {
			if m, err := readOne(rawFrame(typ, unhex(t, body))); err == nil {
				t.Errorf("type %d, %s: accepted as %+v", typ, name, m)
			} else {
				wantError(t, name, err, ErrMalformed)
			}
		}
	}
}

func accept(t *testing.T, bodies map[Type]string) {
	t.Helper()
	for typ, body := range bodies {
		if _, err := readOne(rawFrame(typ, unhex(t, body))); err != nil {
			t.Errorf("type %d: %v", typ, err)
		}
	}
}

// TestMessageLimits tries every limit at the limit and one above, on the way
// out and on the way in.
func TestMessageLimits(t *testing.T) {
	for name, c := range map[string]struct{ at, above Message }{
		"writers of a frontier":        {frontierOf(MaxWriters), frontierOf(MaxWriters + 1)},
		"writers of an acknowledgment": {ackOf(MaxWriters), ackOf(MaxWriters + 1)},
		"writers with small numbers":   {ackOf(MaxWriters), smallAckOf(MaxWriters + 1)},
		"operations":                   {membersOf(MaxOps, 1), membersOf(MaxOps+1, 1)},
		"bytes of an operation":        {membersOf(1, MaxOp), membersOf(1, MaxOp+1)},
		"least bytes of an operation":  {membersOf(1, 1), membersOf(1, 0)},
		"epoch records":                {epochsOf(MaxRecords, 1), epochsOf(MaxRecords+1, 1)},
		"bytes of an epoch record":     {epochsOf(1, MaxRecord), epochsOf(1, MaxRecord+1)},
		"least bytes of a record":      {epochsOf(1, 1), epochsOf(1, 0)},
		"bytes of an envelope":         {&Envelope{Raw: make([]byte, MaxEnvelope)}, &Envelope{Raw: make([]byte, MaxEnvelope+1)}},
		"least bytes of an envelope":   {&Envelope{Raw: []byte{0}}, &Envelope{}},
		"chains of an offer":           {offerOf(MaxWriters), offerOf(MaxWriters + 1)},
		"documents of a request":       {wantOf(MaxWanted), wantOf(MaxWanted + 1)},
		"neighbours":                   {neighboursOf(MaxNearby), neighboursOf(MaxNearby + 1)},
		"writers of a resume":          {resumeOf(MaxWriters), resumeOf(MaxWriters + 1)},
		"bytes of a part":              {&Part{Packed: make([]byte, MaxPart)}, &Part{Packed: make([]byte, MaxPart+1)}},
		"least bytes of a part":        {&Part{Packed: []byte{0}}, &Part{}},
		"bytes of a prefix":            {&Probe{Prefix: make([]byte, MaxPrefix)}, &Probe{Prefix: make([]byte, MaxPrefix+1)}},
		"documents of a branch":        {leavesOf(MaxLeaves), leavesOf(MaxLeaves + 1)},
		"sums of a branch":             {sumsOf(MaxPrefix - 1), sumsOf(MaxPrefix)},
		"all of a membership log":      {membersOf(MaxOps, MaxOp), membersOf(MaxOps, MaxOp+1)},
	} {
		got, err := readOne(frameOf(t, c.at))
		if err != nil {
			t.Errorf("%s, at the limit: %v", name, err)
		} else if !reflect.DeepEqual(got, c.at) {
			t.Errorf("%s, at the limit: received something else", name)
		}
		_, err = AppendFrame(nil, c.above)
		wantError(t, name+", sent", err, ErrMalformed)
		body, err := c.above.append(nil)
		if err != nil {
			t.Fatal(err)
		}
		_, err = decode(c.above.Type(), body)
		wantError(t, name+", received", err, ErrMalformed)
	}
}

// TestLimitsAreThoseOfEncryption pins the limits that another package sets,
// and that this one cannot import.
func TestLimitsAreThoseOfEncryption(t *testing.T) {
	if MaxOp != encryption.MaxOperation || MaxOps != encryption.MaxOperations || MaxEnvelope != encryption.MaxEnvelope {
		t.Error("what package encryption makes cannot be sent, or more than that is accepted")
	}
}

// TestLargestMessagesFillTheirFrames pins that the limit of each frame is
// what the largest message takes: not less, or it could not be sent, and not
// more than is needed.
func TestLargestMessagesFillTheirFrames(t *testing.T) {
	for _, m := range []Message{
		frontierOf(MaxWriters), ackOf(MaxWriters), membersOf(MaxOps, MaxOp), epochsOf(MaxRecords, MaxRecord),
		&Envelope{Raw: make([]byte, MaxEnvelope)}, &Compare{}, &Compared{},
		offerOf(MaxWriters), wantOf(MaxWanted), &Part{Packed: make([]byte, MaxPart)}, neighboursOf(MaxNearby),
		resumeOf(MaxWriters), &further{Rest: make([]byte, MaxEnvelope-sizeFront)},
		&Print{}, &Probe{Prefix: make([]byte, MaxPrefix)}, longLeavesOf(MaxLeaves),
	} {
		body, err := m.append(nil)
		if err != nil {
			t.Fatal(err)
		}
		if limit := maxBody(m.Type()); len(body) != limit {
			t.Errorf("%T: %d bytes, the limit is %d", m, len(body), limit)
		}
	}
}

// TestWhatIsOutOfOrderIsNotSent pins that a sender does not send what the
// receiver would cut it off for.
func TestWhatIsOutOfOrderIsNotSent(t *testing.T) {
	up := []Acked{{Writer: writer(1), Seq: 1}, {Writer: writer(2), Seq: 1}}
	down, twice, zero := slices.Clone(up), slices.Clone(up), slices.Clone(up)
	slices.Reverse(down)
	twice[1].Writer, zero[1].Seq = twice[0].Writer, 0
	for name, entries := range map[string][]Acked{"descending": down, "twice": twice, "number zero": zero} {
		f, o := &Frontier{}, &Offer{}
		for _, e := range entries {
			f.Entries = append(f.Entries, Entry{Writer: e.Writer, Seq: e.Seq})
			o.Chains = append(o.Chains, Chain{Writer: e.Writer, Seq: e.Seq})
		}
		for _, m := range []Message{&Ack{Entries: entries}, f, o} {
			_, err := AppendFrame(nil, m)
			wantError(t, name, err, ErrMalformed)
		}
	}
	frameOf(t, &Ack{Entries: up})
	for name, ids := range map[string][][16]byte{"descending": {writer(2), writer(1)}, "twice": {writer(1), writer(1)}} {
		for _, m := range []Message{&Want{IDs: ids}, &Neighbours{Devices: ids}} {
			_, err := AppendFrame(nil, m)
			wantError(t, name, err, ErrMalformed)
		}
	}
	_, err := AppendFrame(nil, &Want{After: writer(1), IDs: [][16]byte{writer(2)}})
	wantError(t, "documents by name and behind one", err, ErrMalformed)
}
