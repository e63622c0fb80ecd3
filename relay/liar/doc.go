// Package liar is a relay that lies, for tests: a proxy between devices and a
// real relay. What it does to which calls and frames is data (Rule). With the
// same seed, the same rules and the same traffic it tells the same lies.
//
// It stands where a hostile relay's operator stands: it sees and changes every
// byte between devices and relay, it can answer by itself, hold back, repeat,
// reorder, cut, forget, send its devices to another relay (Aim: one that was
// restored from an older state, or a fork of it), and send again later what it
// has seen (Calls, Again). It can't open a frame: it has no key.
//
// It speaks plain HTTP on loopback only, as a relay does behind a proxy. It is
// for tests: it bounds nothing that a device sends but a call's body, and
// remembers every call until it is closed.
package liar
