package virtual_test

import (
	"flag"
	"testing"

	"go.uber.org/goleak"
)

// More than the defaults is for campaigns, for instance
//
//	go test ./bench/virtual -run '^TestRandomWorld$' -v -virtual-hours 200 -virtual-devices 5 -timeout 0
var (
	virtualHours   = flag.Int("virtual-hours", 3, "hours of each random world, in virtual time")
	virtualWorlds  = flag.Int("virtual-worlds", 1, "random worlds, of consecutive seeds")
	virtualSeed    = flag.Uint64("virtual-seed", 1, "of the first random world")
	virtualDevices = flag.Int("virtual-devices", 4, "devices of each random world")
	virtualStore   = flag.String("virtual-store", "", "badger or memory, for all worlds; empty: what each is written for")
	virtualWeekly  = flag.Int("virtual-weekly", 8, "edits of each week of the year; from 80 on, a new device gets documents, from 700 on, also who was away")
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }
