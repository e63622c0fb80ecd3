// Package fault names the moments at which a crash is most telling: before and
// after every save, every send and every task. A program that is built with the
// tag faults can be killed at any of them, as if the power had gone; built
// without it, a point is an empty function that the compiler leaves out.
//
//	SPAREKEY_FAULT=vault.save.renamed#3   SIGKILL when this point is passed for the third time
//	SPAREKEY_FAULT_LOG=FILE               append the name of each point that is passed, a line each
//
// Package crash finds the points by a run that only logs, and then kills at each.
package fault
