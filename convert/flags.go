package convert

// Flags are TableFlags as the metadata of a container holds them, where every byte counts: what is left out was not asked for. A
// file that was made with the same flags, model and calibration table has the same bytes.
type Flags struct {
	Bits        int      `json:"bits,omitempty"`   // left out under a budget
	Budget      string   `json:"budget,omitempty"` // bpw, size or drift; left out: bits
	Value       float64  `json:"value,omitempty"`
	Method      string   `json:"method"`
	Group       string   `json:"group"`
	Codec       string   `json:"codec"`
	ActBits     int      `json:"act_bits,omitempty"`     // left out: activations stayed float
	Keep        []string `json:"keep,omitempty"`         // globs
	BitsOf      []string `json:"bits_of,omitempty"`      // GLOB=N
	MinElements int      `json:"min_elements,omitempty"` // left out: MinElements
	KeepBiases  bool     `json:"keep_biases,omitempty"`  // left out: biases were corrected
}

// newFlags leaves out of f what was not asked for.
func newFlags(f TableFlags) *Flags {
	s := Flags(f)
	if s.Budget == NoBudget.String() {
		s.Budget = ""
	}
	if s.MinElements == MinElements {
		s.MinElements = 0
	}
	return &s
}

// Full returns the flags with what was left out.
func (s *Flags) Full() TableFlags {
	f := TableFlags(*s)
	if f.Budget == "" {
		f.Budget = NoBudget.String()
	}
	if f.MinElements == 0 {
		f.MinElements = MinElements
	}
	f.Keep, f.BitsOf = append([]string{}, f.Keep...), append([]string{}, f.BitsOf...)
	return f
}
