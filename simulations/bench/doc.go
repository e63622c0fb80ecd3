// Command bench measures what sparekey costs, each figure beside what it can be
// compared with in the same run, and says of each whether it reaches its goal:
//
//	make bench                  all rows: a table, and bench.json
//	make bench BENCH=short      fewer runs: a few minutes
//	bin/bench -only share       the rows whose name begins so
//
// Rows of whole processes are measured on a wire of namespaces (package
// simulations/wire), so it needs Linux and root. Rows inside one process are Go
// benchmarks, which bench runs with go test and reads; any of them can be run
// alone. What each row means, and what stands between it and its goal, is in
// docs/bench.md.
package main
