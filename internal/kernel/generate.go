package kernel

//go:generate go run -C _generate . -part gemm -out ../gemm_amd64.s -stubs ../gemm_amd64.go -pkg kernel
//go:generate go run -C _generate . -part depthwise -out ../depthwise_amd64.s -stubs ../depthwise_amd64.go -pkg kernel
//go:generate go run -C _generate . -part pack -out ../pack_amd64.s -stubs ../pack_amd64.go -pkg kernel
//go:generate go run -C _generate . -part integer -out ../integer_amd64.s -stubs ../integer_amd64.go -pkg kernel
//go:generate go run -C _generate . -part span -out ../span_amd64.s -stubs ../span_stubs_amd64.go -pkg kernel
//go:generate go run -C _generate . -part vector -out ../vector_amd64.s -stubs ../vector_amd64.go -pkg kernel
//go:generate go run -C _generate . -part relation -out ../relation_amd64.s -stubs ../relation_stubs_amd64.go -pkg kernel
//go:generate go run -C _generate . -part half -out ../half_amd64.s -stubs ../half_stubs_amd64.go -pkg kernel
//go:generate go run -C _generate . -part blocks -out ../blocks_amd64.s -stubs ../blocks_stubs_amd64.go -pkg kernel
//go:generate go run -C _generate . -part bytes -out ../bytes_amd64.s -stubs ../bytes_stubs_amd64.go -pkg kernel
//go:generate go run -C _generate . -part pixels -out ../pixels_amd64.s -stubs ../pixels_stubs_amd64.go -pkg kernel
//go:generate go run -C _generate . -part planes -out ../planes_amd64.s -stubs ../planes_stubs_amd64.go -pkg kernel
//go:generate go run -C _generate . -part codebook -out ../codebook_amd64.s -stubs ../codebook_stubs_amd64.go -pkg kernel
//go:generate go run -C _generate . -part quantize -out ../quantize_amd64.s -stubs ../quantize_stubs_amd64.go -pkg kernel
//go:generate go run -C _generate . -part subtract -out ../subtract_amd64.s -stubs ../subtract_stubs_amd64.go -pkg kernel
//go:generate go run -C _generate . -neon ..
