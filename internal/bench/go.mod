module bq/internal/bench

go 1.26.0

require (
	bq v0.0.0
	github.com/ebitengine/purego v0.9.0
)

require (
	github.com/x448/float16 v0.8.4 // indirect
	golang.org/x/sys v0.49.0 // indirect
	google.golang.org/protobuf v1.36.12 // indirect
)

replace bq => ../..
