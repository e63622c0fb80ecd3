package beacon

import (
	"errors"
	"net"
	"runtime"

	"golang.org/x/net/bpf"
	"golang.org/x/net/ipv4"
)

// A kind is one of the two kinds of message, by the header bits that tell.
type kind struct {
	mask, flags uint32 // of the header's second word (RFC 1035, section 4.1.1)
	counts      uint32 // questions and answers
}

var (
	questions = kind{0xFA0F, 0x0000, 1 << 16} // QR, opcode, TC and RCODE all zero; one question
	answers   = kind{0xF80F, 0x8000, 1}       // QR one, opcode and RCODE zero; one answer
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
	program, err := bpf.Assemble(sieveFor(k))
	if err != nil {
		return err
	}
	if err := ipv4.NewPacketConn(c).SetBPF(program); err != nil { // the same for IPv6
		return errors.New("packets can't be filtered: " + err.Error())
	}
	return nil
}

// sieveFor is the filter's program. It sees a packet from its UDP header on.
func sieveFor(k kind) []bpf.Instruction {
	const header, name = 8, 8 + 12
	checks := []struct {
		load bpf.Instruction
		mask uint32
		want uint32
	}{
		{bpf.LoadAbsolute{Off: header + 2, Size: 2}, k.mask, k.flags},
		{bpf.LoadAbsolute{Off: header + 4, Size: 4}, 0xFFFFFFFF, k.counts},
		{bpf.LoadAbsolute{Off: name, Size: 2}, 0xFFFF, (1+TagLen)<<8 | '_'},
		{bpf.LoadAbsolute{Off: name + 2 + TagLen, Size: 4}, 0xFFFFFFFF, 4<<24 | '_'<<16 | 'u'<<8 | 'd'},
	}
	steps := []bpf.Instruction{
		bpf.LoadExtension{Num: bpf.ExtLen},
		bpf.JumpIf{Cond: bpf.JumpLessOrEqual, Val: header + maxPacket, SkipTrue: 1},
		bpf.RetConstant{Val: 0},
	}
	for _, c := range checks {
		steps = append(steps, c.load,
			bpf.ALUOpConstant{Op: bpf.ALUOpAnd, Val: c.mask},
			bpf.JumpIf{Cond: bpf.JumpEqual, Val: c.want, SkipTrue: 1},
			bpf.RetConstant{Val: 0})
	}
	return append(steps, bpf.RetConstant{Val: header + maxPacket})
}
