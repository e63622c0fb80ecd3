// Package programs runs the real sparekey and sparekey-relay on the hosts of a
// wire, as a person's scripts would: it knows them by their flags, their exit
// codes and the lines of --json alone.
package programs
