package beacon

import (
	"encoding/binary"
	"fmt"
	"net"
	"runtime"

	"golang.org/x/net/bpf"
	"golang.org/x/net/ipv4"
)

// A kind is one of the two kinds of message, by what tells it from others.
type kind struct {
	mask, flags uint32 // of the header's second word (RFC 1035, section 4.1.1)
	counts      uint32 // questions and answers
	toGroup     bool   // sent to the group, or to us alone
}

// A question comes from the link: RFC 6762, section 5.5, and what is sent to the
// group can't come from elsewhere.
var (
	questions = kind{0xFA0F, 0x0000, 1 << 16, true} // QR, opcode, TC and RCODE all zero; one question
	answers   = kind{0xF80F, 0x8000, 1, false}      // QR one, opcode and RCODE zero; one answer; to the group where an ear is of it
)

// sift has the system drop, for a socket, all but messages of one kind whose
// first name looks like ours: so the chatter of a room and most of a flood wake
// nobody, and the library never sees what it would have to complain of. It is a
// relief, no guard: systems other than Linux do without, and what passes is
// still read with suspicion.
func sift(c *net.UDPConn, k kind) error {
	if runtime.GOOS != "linux" {
		return nil
	}
	program, err := bpf.Assemble(program(k, familyOf(c)))
	if err != nil {
		return err
	}
	if err := ipv4.NewPacketConn(c).SetBPF(program); err != nil { // the same for IPv6
		return fmt.Errorf("packets can't be filtered: %w", err)
	}
	return nil
}

// program is the filter. It sees a packet from its UDP header on, and the IP
// header at offsets of its own (SKF_NET_OFF of linux/filter.h).
func program(k kind, f family) (steps []bpf.Instruction) {
	const udp, message, name, ip = 0, 8, 8 + 12, 0xFFF00000
	must := func(load bpf.Instruction, mask, want uint32) {
		steps = append(steps, load,
			bpf.ALUOpConstant{Op: bpf.ALUOpAnd, Val: mask},
			bpf.JumpIf{Cond: bpf.JumpEqual, Val: want, SkipTrue: 1},
			bpf.RetConstant{Val: 0})
	}
	const whole = 0xFFFFFFFF
	must(bpf.LoadAbsolute{Off: udp + 4, Size: 2}, ^uint32(maxPacket-1), 0) // its length
	must(bpf.LoadAbsolute{Off: message + 2, Size: 2}, k.mask, k.flags)
	must(bpf.LoadAbsolute{Off: message + 4, Size: 4}, whole, k.counts)
	must(bpf.LoadAbsolute{Off: name, Size: 2}, whole, (1+TagLen)<<8|'_')
	must(bpf.LoadAbsolute{Off: name + 2 + TagLen, Size: 4}, whole, 4<<24|'_'<<16|'u'<<8|'d')
	if k.toGroup {
		to, group := uint32(ip+16), f.group.AsSlice() // the destination, in IPv4's header
		if f == ipv6Family {
			to = ip + 24
		}
		for ; len(group) > 0; to, group = to+4, group[4:] {
			must(bpf.LoadAbsolute{Off: to, Size: 4}, whole, binary.BigEndian.Uint32(group))
		}
	}
	return append(steps, bpf.RetConstant{Val: message + maxPacket})
}
