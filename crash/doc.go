// Command crash kills the real programs at every point of package fault and at
// random moments, starts them again, and looks at what became of the share.
//
//	go run . -points 200 -kills 300
//	go run . -only 'handover|receiver.0|vault.save.renamed#3'
//
// A scenario runs a relay, a sender and receivers as processes of their own, with
// vaults and files of their own. A first run of each only logs the points that
// are passed. Then one run for each point of a sample, spread evenly over all of
// them: the process is killed there (SIGKILL), the command is given again as a
// person would, and the share is driven to its end. What must come out: the
// credential is in its place once, or nowhere; all sides name ends that go
// together, or `unresolved` where the scenario says so; and nothing half made is
// left in a vault or beside the credential.
//
// Nothing here counts on time to pass: it waits for a process to end, for what it
// prints, and for the points that it logs. It only pauses before it gives a command
// again that was told that another process has the share.
package main
