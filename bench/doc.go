// Package bench measures starling: how long an edit takes to be durable and to be
// visible on another device, how long a device that was away takes to catch up and
// what that costs, and what a long history takes on disk and in memory. Its
// benchmarks run the real engine over real stores and real connections on
// loopback and print their figures as benchmark metrics:
//
//	go test ./bench -bench . -run '^$'
//
// Some measure more when they are told to, which takes minutes:
//
//	go test ./bench -bench 'Big|NewDevice' -run '^$' -benchtime 1x -timeout 1h -big 1000000
//	go test ./bench -bench Growth -run '^$' -benchtime 1x -timeout 1h -growth growth.png
//
// BenchmarkPeers does the same work with automerge-repo, as peers/run measures it,
// and needs node and npm.
//
// Figures depend on the machine and its disk: compare ratios within one run.
// Seconds of the processors bear other work on the machine better than others.
package bench
