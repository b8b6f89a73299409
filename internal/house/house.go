// Package house holds the rules that the whole module keeps; its test enforces them.
//
// Rooms are listed from the bottom up, each with the rooms of this module that it may import. An arrow only ever
// points to a room above it in the list, convert and verify never meet, and only internal/cli knows them all.
package house

// Rooms maps each package of the module to the packages of the module that it may import.
var Rooms = map[string][]string{
	"bq/onnxio":            {},
	"bq/packing":           {},
	"bq/internal/kernel":   {},
	"bq/balance":           {"bq/internal/kernel"}, // its inner loops; kernel is the only home of vector code
	"bq/internal/drift":    {},
	"bq/internal/house":    {},
	"bq/internal/parallel": {},
	"bq/internal/page":     {}, // numbers and words into HTML; knows no models
	"bq/internal/onnxpb":   {}, // imported by tests alone
	"bq/internal/moments":  {"bq/internal/kernel"},
	"bq/internal/shape":    {"bq/onnxio"},
	"bq/internal/opset":    {"bq/onnxio", "bq/internal/shape"},
	"bq/internal/infer":    {"bq/onnxio", "bq/internal/kernel"},
	"bq/onnxio/onnxgo":     {"bq/onnxio", "bq/internal/infer"},
	"bq/internal/dataset":  {"bq/onnxio"},
	"bq/internal/compare":  {"bq/onnxio", "bq/internal/infer", "bq/internal/dataset", "bq/internal/drift", "bq/internal/parallel"},
	"bq/convert": {
		"bq/onnxio", "bq/balance", "bq/packing",
		"bq/internal/kernel", "bq/internal/moments", "bq/internal/infer", "bq/internal/dataset", "bq/internal/drift", "bq/internal/compare",
		"bq/internal/parallel", "bq/internal/opset", "bq/internal/shape",
	},
	"bq/verify": {
		"bq/onnxio", "bq/internal/kernel", "bq/internal/infer", "bq/internal/dataset", "bq/internal/drift", "bq/internal/compare", "bq/internal/parallel",
	},
	"bq/internal/cli": {
		"bq/onnxio", "bq/onnxio/onnxgo", "bq/balance", "bq/packing", "bq/convert", "bq/verify",
		"bq/internal/infer", "bq/internal/shape", "bq/internal/dataset", "bq/internal/drift", "bq/internal/compare", "bq/internal/parallel", "bq/internal/page",
	},
	"bq": {"bq/internal/cli"},
}
