package packing

// arith is a carry-less binary arithmetic coder with 32-bit bounds, the one of lpaq1 (Matt Mahoney, 2007): the interval
// [low, high] narrows to the part of each bit, and bytes leave when both bounds agree in them. One type writes and
// reads, so that a model needs one procedure for both.
type arith struct {
	low, high uint32
	code      uint32 // reading: the four bytes that stand at low and high; zero bytes follow the last
	buf       []byte // written, or to be read
	pos       int    // reading: bytes taken, those behind the last too
	reading   bool
}

// startReading takes the first four bytes of src.
func (c *arith) startReading(src []byte) {
	*c = arith{high: 1<<32 - 1, buf: src, reading: true}
	for range 4 {
		c.shiftCode()
	}
}

// startWriting appends to dst, which may be nil.
func (c *arith) startWriting(dst []byte) { *c = arith{high: 1<<32 - 1, buf: dst} }

// bit writes y, or reads and returns it. p is the probability of 1 in units of 1/65536, from 1 to 65535.
func (c *arith) bit(p uint32, y int) int {
	mid := c.low + uint32(uint64(c.high-c.low)*uint64(p)>>16)
	if c.reading {
		y = 0
		if c.code <= mid {
			y = 1
		}
	}
	if y != 0 {
		c.high = mid
	} else {
		c.low = mid + 1
	}
	for (c.low^c.high)>>24 == 0 {
		c.shift()
	}
	return y
}

// shift moves both bounds by a byte in which they agree.
func (c *arith) shift() {
	if c.reading {
		c.shiftCode()
	} else {
		c.buf = append(c.buf, byte(c.high>>24))
	}
	c.low <<= 8
	c.high = c.high<<8 | 255
}

func (c *arith) shiftCode() {
	c.code <<= 8
	if c.pos < len(c.buf) {
		c.code |= uint32(c.buf[c.pos])
	}
	c.pos++
}

// tail returns the fewest bytes that, with zero bytes behind, name a number in [low, high], and that number: low, rounded
// up to a whole number of them.
func (c *arith) tail() (number uint32, bytes int) {
	for bytes = 0; bytes < 4; bytes++ {
		rest := uint64(1)<<(32-8*bytes) - 1
		if v := (uint64(c.low) + rest) &^ rest; v <= uint64(c.high) {
			return uint32(v), bytes
		}
	}
	return c.low, 4
}

// finish writes the tail and returns all that was written.
func (c *arith) finish() []byte {
	v, n := c.tail()
	for i := range n {
		c.buf = append(c.buf, byte(v>>(24-8*i)))
	}
	return c.buf
}

// ended reports whether the bytes that were read are just those that a writer of the same bits leaves.
func (c *arith) ended() bool {
	v, n := c.tail()
	return c.code == v && len(c.buf) == c.pos-4+n
}
