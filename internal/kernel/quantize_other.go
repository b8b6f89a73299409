//go:build !amd64

package kernel

// turns returns how many of n elements fill turns of vectors.
func turns(int) int { return 0 }

func minMaxVectors(*[3][16]float32, []float32) int { return 0 }

func dotVectors(*[16]float64, []float32, []float32) int { return 0 }

func cellIndexVectors([]uint32, []float32, float32, float32, float64, float64, uint32) int { return 0 }

func assignVectors([]uint8, []float32, []float32, float32, float32) int { return 0 }

func roundClampVectors([]uint8, []float32, float32, float32, float32, float32, float32) int { return 0 }

func decodeVectors([]float32, []uint8, *Values, int, float32) int { return 0 }

func projectVectors(*[16]float64, []float32, []uint8, *Values, int, float32) int { return 0 }

func codeErrorsVectors(*[2][16]float64, []float32, []uint8, *Values, int, float32) int { return 0 }

func cheapMovesVectors([]uint32, []float32, []uint8, *Values, *Values, int, float32, float32, float32) (int, int) {
	return 0, 0
}

func gridErrorsVectors(*[2][16]float64, []float32, float32, float32, float32, float32) int { return 0 }
