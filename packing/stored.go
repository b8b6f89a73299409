package packing

// StoredLen returns how many bytes q takes in a container: its packed codes, and the scales, zero points and levels
// in the shortest form that is exact. Alignment and the index entry come on top.
func (q *Quant) StoredLen() int {
	params, _ := appendParams(nil, q)
	return PackedLen(len(q.Codes), q.Bits) + len(params)
}
