package encryption

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestGenesisMakesTheFirstMember(t *testing.T) {
	id := newFounder(t, "laptop", 1)
	members := id.Members()
	if len(members) != 1 || members[0].ID != id.Device() || members[0].Name != "laptop" ||
		members[0].AddedAt != testTime.UnixMilli() || !members[0].AddedBy.IsZero() {
		t.Fatalf("members = %+v", members)
	}
	genesis := id.Ops()[0]
	if id.Account() != accountID(genesis) || id.Device() != deviceID(genesis) {
		t.Error("ids are not hashes of the genesis")
	}
}

func TestAddIsAdmittedOnceAndIdempotent(t *testing.T) {
	a := newFounder(t, "laptop", 1)
	before := a.MembershipDigest()
	op, err := a.PrepareAdd(newTestJoiner(t, "phone", 2).Request(Hash{1}), testTime)
	if err != nil {
		t.Fatal(err)
	}
	if len(a.Members()) != 1 {
		t.Fatal("PrepareAdd admitted by itself")
	}
	added, err := a.Admit(op, op)
	if err != nil || len(added) != 1 || added[0].Name != "phone" || added[0].Kind != OperationAdd || added[0].Author != a.Device() {
		t.Fatalf("added %+v, %v", added, err)
	}
	if again, err := a.Admit(op); err != nil || len(again) != 0 {
		t.Errorf("second time: %+v, %v", again, err)
	}
	if m, ok := a.Member(added[0].Target); !ok || m.AddedBy != a.Device() {
		t.Errorf("member %+v, %v", m, ok)
	}
	if a.MembershipDigest() == before {
		t.Error("the digest did not change")
	}
}

// TestSameMembersForEveryOrder is the convergence property: random worlds of
// devices that add others concurrently and sometimes hear of each other.
func TestSameMembersForEveryOrder(t *testing.T) {
	founder := newFounder(t, "first", 1)
	var joiners []*Joiner
	for i := range 6 {
		joiners = append(joiners, newTestJoiner(t, "device", byte(10+i)))
	}
	rapid.Check(t, func(r *rapid.T) {
		world := []*Identity{view(founder, founder.device, founder.keys, founder.Ops()[:1])}
		for i, j := range joiners[:rapid.IntRange(1, len(joiners)).Draw(r, "devices")] {
			sponsor := rapid.SampledFrom(world).Draw(r, "sponsor")
			op := add(t, sponsor, j.Request(Hash{byte(i)}))
			world = append(world, view(sponsor, deviceID(op), j.keys, sponsor.Ops()))
			if rapid.Bool().Draw(r, "gossip") {
				from, to := rapid.SampledFrom(world).Draw(r, "from"), rapid.SampledFrom(world).Draw(r, "to")
				admitAll(t, to, from.Ops())
			}
		}
		all := [][]byte{}
		for _, id := range world {
			all = append(all, id.Ops()...)
		}
		want := deliver(t, founder, all)
		shuffled := rapid.Permutation(all).Draw(r, "order")
		got := deliver(t, founder, shuffled)
		if !slices.EqualFunc(got.Members(), want.Members(), sameMember) || got.MembershipDigest() != want.MembershipDigest() {
			t.Fatalf("members depend on the order:\n%v\n%v", got.Members(), want.Members())
		}
		if len(got.Members()) != len(world) {
			t.Fatalf("%d members in a world of %d", len(got.Members()), len(world))
		}
	})
}

func sameMember(a, b Member) bool { return a.ID == b.ID && a.Name == b.Name && a.AddedBy == b.AddedBy }

// view is another device of the account, with its own copy of the log.
func view(of *Identity, d DeviceID, keys *deviceKeys, ops [][]byte) *Identity {
	id := &Identity{account: of.account, device: d, keys: keys, epoch: of.epoch, ring: firstOnly(of.ring, keys.hpke), log: newLog(of.account)}
	if _, err := id.log.admit(ops); err != nil {
		panic(err)
	}
	return id
}

// deliver gives the operations one by one, keeping back those that come too
// early, as a device that hears of them over many connections does.
func deliver(t *testing.T, of *Identity, ops [][]byte) *Identity {
	id := &Identity{account: of.account, device: of.device, keys: of.keys, epoch: of.epoch, ring: firstOnly(of.ring), log: newLog(of.account)}
	var early [][]byte
	for _, op := range ops {
		early = append(early, op)
		_, err := id.Admit(early...)
		if err == nil {
			early = nil
		} else if !errors.Is(err, ErrMissingParents) {
			t.Fatal(err)
		}
	}
	if len(early) != 0 {
		t.Fatalf("%d operations were never admitted", len(early))
	}
	return id
}

func TestMissingParentsAdmitNothingOfThatPart(t *testing.T) {
	a := newFounder(t, "laptop", 1)
	b := link(t, a, "phone", 2)
	c := link(t, b, "tablet", 3)
	other := view(a, a.device, a.keys, a.Ops()[:1])
	added, err := other.Admit(c.Ops()[2])
	wantError(t, err, ErrMissingParents)
	if len(added) != 0 || len(other.Members()) != 1 {
		t.Errorf("admitted %v", added)
	}
	// A part that is complete goes in beside one that is not.
	d := link(t, a, "watch", 4)
	last := d.Ops()[len(d.Ops())-1]
	added, err = other.Admit(c.Ops()[2], last, a.Ops()[1])
	if err != nil || len(added) != 3 {
		t.Errorf("admitted %d, %v", len(added), err)
	}
}

// forge returns an add by an author, changed before it is signed.
func forge(author *Identity, keys *deviceKeys, change func(*operationBody, *addAction)) []byte {
	r := (&Joiner{name: "new", keys: keys}).Request(Hash{9})
	action := addAction{SigningKey: r.SigningKey, HPKEKey: r.HPKEKey, Name: r.Name, At: 1, Transcript: r.Transcript, SelfSignature: r.SelfSignature}
	body := author.log.nextBody(author.device)
	body.Kind = OperationAdd
	change(body, &action)
	if body.Action == nil {
		body.Action = encode(action)
	}
	return sealOperation(body, author.keys)
}

func TestAdmitRefusesForgedOperations(t *testing.T) {
	a := newFounder(t, "laptop", 1)
	b := link(t, a, "phone", 2)
	stranger := newFounder(t, "stranger", 3)
	keys := newTestJoiner(t, "new", 4).keys
	genesis := labelOperationHash.hash(a.Ops()[0])
	for name, c := range map[string]struct {
		change func(*operationBody, *addAction)
		want   error
	}{
		"version":                {func(b *operationBody, _ *addAction) { b.Version = 2 }, ErrUnsupported},
		"suite":                  {func(b *operationBody, _ *addAction) { b.Suite = 2 }, ErrUnsupported},
		"unknown kind":           {func(b *operationBody, _ *addAction) { b.Kind = 8 }, ErrUnsupported},
		"kind zero":              {func(b *operationBody, _ *addAction) { b.Kind = 0 }, ErrUnsupported},
		"add by recovery key":    {func(b *operationBody, _ *addAction) { b.Author = DeviceID{} }, ErrSequence},
		"other account":          {func(b *operationBody, _ *addAction) { b.Account = stranger.account }, ErrOtherAccount},
		"author not a member":    {func(b *operationBody, _ *addAction) { b.Author = stranger.device }, ErrNotMember},
		"author not in its past": {func(o *operationBody, _ *addAction) { o.Author, o.Parents = b.device, []Hash{genesis} }, ErrNotMember},
		"sequence skipped":       {func(b *operationBody, _ *addAction) { b.Seq++ }, ErrSequence},
		"sequence repeated":      {func(b *operationBody, _ *addAction) { b.Seq-- }, ErrSequence},
		"sequence zero":          {func(b *operationBody, _ *addAction) { b.Seq = 0 }, ErrMalformed},
		"previous unknown":       {func(b *operationBody, _ *addAction) { b.Previous = Hash{1} }, ErrSequence},
		"previous another's":     {func(b *operationBody, _ *addAction) { b.Previous = genesis }, ErrSequence},
		"no parents":             {func(b *operationBody, _ *addAction) { b.Parents = nil }, ErrMalformed},
		"parent twice":           {func(b *operationBody, _ *addAction) { b.Parents = append(b.Parents, b.Parents...) }, ErrMalformed},
		"17 parents":             {func(b *operationBody, _ *addAction) { b.Parents = make([]Hash, 17) }, ErrMalformed},
		"unknown parent":         {func(b *operationBody, _ *addAction) { b.Parents = []Hash{{1}} }, ErrMissingParents},
		"no name":                {func(_ *operationBody, a *addAction) { a.Name = "" }, ErrMalformed},
		"257 bytes of name":      {func(_ *operationBody, a *addAction) { a.Name = strings.Repeat("x", 257) }, ErrMalformed},
		"name with escape":       {func(_ *operationBody, a *addAction) { a.Name = "\x1b[2J" }, ErrMalformed},
		"name not UTF-8":         {func(_ *operationBody, a *addAction) { a.Name = "\xff" }, ErrMalformed},
		"other name than asked":  {func(_ *operationBody, a *addAction) { a.Name = "new2" }, ErrSignature},
		"other transcript":       {func(_ *operationBody, a *addAction) { a.Transcript = Hash{8} }, ErrSignature},
		"key without a request":  {func(_ *operationBody, a *addAction) { a.SigningKey = stranger.keys.signingPublic() }, ErrSignature},
		"hpke key short":         {func(_ *operationBody, a *addAction) { a.HPKEKey = a.HPKEKey[1:] }, ErrMalformed},
		"hpke key invalid":       {func(_ *operationBody, a *addAction) { a.HPKEKey = slices.Repeat([]byte{0xff}, hpkeKeySize) }, ErrMalformed},
		"signing key short":      {func(_ *operationBody, a *addAction) { a.SigningKey = a.SigningKey[1:] }, ErrMalformed},
		"time before 1970":       {func(_ *operationBody, a *addAction) { a.At = -1 }, ErrMalformed},
		"action of another kind": {func(b *operationBody, _ *addAction) { b.Action = encode(preamble{}) }, ErrMalformed},
		"genesis with a past":    {func(b *operationBody, _ *addAction) { b.Kind = OperationGenesis }, ErrMalformed},
	} {
		if name == "previous another's" {
			add(t, a, newTestJoiner(t, "x", 5).Request(Hash{5}))
		}
		log := a.log.clone()
		added, err := log.admit([][]byte{forge(a, keys, c.change)})
		if len(added) != 0 {
			t.Errorf("%s: admitted", name)
		}
		if !errors.Is(err, c.want) {
			t.Errorf("%s: got %v, want %v", name, err, c.want)
		}
	}
	if _, err := a.log.clone().admit([][]byte{forge(a, keys, func(*operationBody, *addAction) {})}); err != nil {
		t.Errorf("the unchanged operation: %v", err)
	}
}

func TestAdmitVerifiesTheAuthorsSignature(t *testing.T) {
	a := newFounder(t, "laptop", 1)
	b := link(t, a, "phone", 2)
	r := newTestJoiner(t, "new", 3).Request(Hash{})
	body := b.log.nextBody(b.device)
	body.Kind = OperationAdd
	body.Action = encode(addAction{SigningKey: r.SigningKey, HPKEKey: r.HPKEKey, Name: r.Name, Transcript: r.Transcript, SelfSignature: r.SelfSignature})
	_, err := a.Admit(sealOperation(body, a.keys)) // a signs in the name of b
	wantError(t, err, ErrSignature)
	_, err = a.Admit(sealOperation(body, b.keys, b.keys))
	wantError(t, err, ErrMalformed)
	if _, err = a.Admit(sealOperation(body, b.keys)); err != nil {
		t.Error(err)
	}
}

func TestAnotherGenesisIsRefused(t *testing.T) {
	a, b := newFounder(t, "laptop", 1), newFounder(t, "laptop", 2)
	_, err := a.Admit(b.Ops()...)
	wantError(t, err, ErrOtherAccount)
	if len(a.Members()) != 1 {
		t.Error("a foreign genesis made a member")
	}
}

func TestGenesisNeedsBothSignatures(t *testing.T) {
	a, f := newFoundation(t, "laptop", 1)
	recovery, err := recoveryKeys(f.seed)
	if err != nil {
		t.Fatal(err)
	}
	var s signedOperation
	if err := decode(a.Ops()[0], MaxOperation, &s); err != nil {
		t.Fatal(err)
	}
	var body operationBody
	if err := decode(s.Body, MaxOperation, &body); err != nil {
		t.Fatal(err)
	}
	for name, keys := range map[string][]*deviceKeys{
		"device twice":   {a.keys, a.keys},
		"recovery twice": {recovery, recovery},
		"order":          {recovery, a.keys},
	} {
		if _, err := parseOperation(sealOperation(&body, keys...)); !errors.Is(err, ErrSignature) {
			t.Errorf("%s: %v", name, err)
		}
	}
	_, err = parseOperation(sealOperation(&body, a.keys))
	wantError(t, err, ErrMalformed)
}

func TestOperationFlippedAnywhereIsRefused(t *testing.T) {
	a := newFounder(t, "laptop", 1)
	op, err := a.PrepareAdd(newTestJoiner(t, "phone", 2).Request(Hash{1}), testTime)
	if err != nil {
		t.Fatal(err)
	}
	for i := range op {
		bad := slices.Clone(op)
		bad[i] ^= 1 << (i % 8)
		if added, err := a.log.clone().admit([][]byte{bad}); err == nil || len(added) != 0 {
			t.Errorf("flip of bit %d of byte %d was admitted", i%8, i)
		}
	}
}

func TestLimitOfDevices(t *testing.T) {
	a := newFounder(t, "laptop", 1)
	j := newTestJoiner(t, "phone", 2) // the same keys again and again are as many devices
	for i := range MaxDevices - 1 {
		add(t, a, j.Request(Hash{byte(i)}))
	}
	if n := len(a.Members()); n != MaxDevices {
		t.Fatalf("%d members", n)
	}
	_, err := a.PrepareAdd(j.Request(Hash{255}), testTime)
	wantError(t, err, ErrTooManyDevices)
}

func TestLimitOfOperations(t *testing.T) {
	a := newFounder(t, "laptop", 1)
	r := newTestJoiner(t, "phone", 2).Request(Hash{1})
	op, err := a.PrepareAdd(r, testTime)
	if err != nil {
		t.Fatal(err)
	}
	for len(a.log.ops) < MaxOperations {
		a.log.ops = append(a.log.ops, a.log.ops[0])
	}
	_, err = a.Admit(op)
	wantError(t, err, ErrTooManyOperations)
	_, err = a.Admit(make([]byte, MaxOperation+1))
	wantError(t, err, ErrTooLarge)
}

// TestManyHeads has more concurrent adds than an operation can have parents.
func TestManyHeads(t *testing.T) {
	a := newFounder(t, "laptop", 1)
	genesis := a.Ops()[:1]
	j := newTestJoiner(t, "phone", 2)
	for i := range MaxParents + 4 {
		fork := view(a, a.device, a.keys, genesis)
		admitAll(t, a, [][]byte{add(t, fork, j.Request(Hash{byte(i)}))})
	}
	add(t, a, j.Request(Hash{100}))
	add(t, a, j.Request(Hash{101}))
	if n := len(a.log.heads); n >= MaxParents {
		t.Errorf("%d heads left", n)
	}
}
