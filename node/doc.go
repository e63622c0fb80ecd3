// Package node is what a wallet embeds: a Device makes shares, takes them in,
// and drives each of them with one goroutine.
//
// The whole loop of a share is: step the pure machine of node/share with what
// happened; save the result and sync it; hand the carrier what is to be sent
// now; reply; tell; start the outstanding task. What is sent is read off the
// saved state, so a crash anywhere is a late send: Resume goes on.
//
// A Device knows no sockets, files or screens. Its Vault, Finders and Formats
// are given by whoever builds it: a command, a wallet, a simulation. The caller
// sees to it that only one process drives a share at a time.
package node
