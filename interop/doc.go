// Package interop holds a second sparekey, small and made for tests: a link's
// reader, a receiver and a sender that do what the PROTOCOL.md pages say, over crypto
// primitives, net/http and JSON, and in a room over QUIC and DNS messages. It imports
// nothing of ours but the networks and programs that its tests run on, and house_test.go
// sees to that. Its tests do two things:
//
//   - they hand shares over between it and the real programs, both ways, with a
//     real relay between them or alone in a room: no mistake in code that both use
//     can hide;
//   - they do each case of the test vectors that the other packages publish.
//
// So all of it stands in files of tests. Where it had to guess, a page was
// wrong or silent, and the page was mended. The room's side was written from its page
// before its code was read. But who wrote the rest had read the code: that all pages
// alone are enough, only a stranger's implementation can show.
//
// It is no model for a device: it saves nothing, so a crash loses its share.
package interop
