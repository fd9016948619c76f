// Package bench measures starling: how long an edit takes to be visible on
// another device, and how long a device that was away takes to catch up. Its
// benchmarks run the real engine over real stores and real connections on
// loopback and print their figures as benchmark metrics:
//
//	go test ./bench -bench . -run '^$'
//
// Figures depend on the machine and its disk: compare ratios within one run.
package bench
