// Package onnxpb is ONNX's schema as protoc-gen-go compiles it: a decoder that shares nothing with package onnxio,
// which checks that one in tests. No room may import it, so that it is in no binary. A program may hold each proto
// package only once, and users of onnx-go hold one by the name of onnx: this one is called bq.onnx.test.
//
// onnx.proto is onnx/onnx-ml.proto of ONNX (https://github.com/onnx/onnx, Apache-2.0) with IR version 14, which has all
// fields of ONNX 1.22 and of the next release. onnx.pb.go was made from it in this folder by protoc 35.1, which calls
// itself v7.35.1, and protoc-gen-go v1.36.12, the version of google.golang.org/protobuf in go.mod:
//
//	go install google.golang.org/protobuf/cmd/protoc-gen-go
//	protoc --go_out=. --go_opt=paths=source_relative onnx.proto
package onnxpb
