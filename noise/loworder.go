package noise

// lowOrderPoints are the encodings of the points of Curve25519 and its twist
// whose order divides 8, with bit 255 clear: with one of them every Diffie-Hellman
// gives zero. The library refuses them too, but only where it multiplies; an
// offer is refused before anyone is shown it.
var lowOrderPoints = [...][32]byte{
	{},  // 0, of order 2
	{1}, // 1, of order 4
	{ // of order 8
		0xe0, 0xeb, 0x7a, 0x7c, 0x3b, 0x41, 0xb8, 0xae, 0x16, 0x56, 0xe3, 0xfa, 0xf1, 0x9f, 0xc4, 0x6a,
		0xda, 0x09, 0x8d, 0xeb, 0x9c, 0x32, 0xb1, 0xfd, 0x86, 0x62, 0x05, 0x16, 0x5f, 0x49, 0xb8, 0x00,
	},
	{ // of order 8
		0x5f, 0x9c, 0x95, 0xbc, 0xa3, 0x50, 0x8c, 0x24, 0xb1, 0xd0, 0xb1, 0x55, 0x9c, 0x83, 0xef, 0x5b,
		0x04, 0x44, 0x5c, 0xc4, 0x58, 0x1c, 0x8e, 0x86, 0xd8, 0x22, 0x4e, 0xdd, 0xd0, 0x9f, 0x11, 0x57,
	},
	nearPrime(0xec), // p − 1, of order 4 on the twist
	nearPrime(0xed), // p, which reads as 0
	nearPrime(0xee), // p + 1, which reads as 1
}

// nearPrime returns the number below 2^255 that ends, little endian, in this
// byte; 2^255 − 19 ends in 0xed.
func nearPrime(low byte) (p [32]byte) {
	for i := range p {
		p[i] = 0xff
	}
	p[0], p[31] = low, 0x7f
	return p
}

// lowOrder reports whether a public point has low order. Points are public, so
// the comparison needs no constant time.
func lowOrder(point [32]byte) bool {
	point[31] &= 0x7f // X25519 ignores bit 255 (RFC 7748, section 5)
	for _, p := range lowOrderPoints {
		if point == p {
			return true
		}
	}
	return false
}
