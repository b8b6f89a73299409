package cli

import (
	"fmt"
	"slices"
	"strings"
)

// topic is a page of help on a subject rather than a command.
type topic struct{ name, about, text string }

// topics are printed by `bq help NAME`; `bq help topics` lists them. Lines fit 80 columns.
var topics = []topic{
	{"budgets", "how many bits a model gets, and what that costs", `How many bits a model gets.

  bq convert m.onnx --bits 4            at most 16 levels a tensor
  bq convert m.onnx --bits 4 --bits-of 'conv1.*=8' --keep '*head*'

--bits is a promise: no tensor that it covers gets more levels, and none gets
fewer bits than the file says. Eight, the default, hardly ever changes an
answer; four usually needs --data; below, look at the drift first.

Bits per weight count all bytes that float weights take in the file, kept ones
too: codes, scales and levels, and what stayed float. Small tensors, biases and
normalizations stay float, each with its reason: bq inspect m.bq --tensors.

What a budget will give, and what it will take, before anything is written:

  bq plan m.onnx --max-drift 0.01 --data samples.npz --curve

plan makes the conversion in memory: its bytes and drift are the conversion's
own, and it takes as long. One of many minutes is made with fewer samples, and
the line below the forecast says so; with --calib the drift is that of the
conversion which the table repeats, else a sum over weights. The curve is of
one pass, scaled to go through that point. It stands in the reports too:

  bq convert m.onnx --bits 4 --data samples.npz --report made.html
  bq verify m.onnx m.bq --data samples.npz --report drift.html

bq.yaml has two keys that are no flags: correct: false leaves biases as they
are, and min-elements moves the line below which tensors are kept as small.

Which tensor to give more bits: bq verify ... --blame names the tensors that
cause the drift, and prints the flags that help with their price in bytes. It
runs each tensor on 64 samples, on more where there are fewer than 48 tensors.
`},
	{"data", "what --data takes, and how pictures become numbers", `What --data takes.

  x.npz, x.npy      arrays named as the model's inputs; the first axis counts
                    samples; an array "labels" is not fed but judged by
  a folder          of .npy or .npz files, of pictures, or of ONNX test sets
                    (test_data_set_0/input_0.pb, ...)
  x.yaml            a data spec, which can say all of that and more

Nothing about values is guessed. Pictures need --image or a spec:

  --image preset=raw        pixels 0 to 255
  --image preset=unit       0 to 1
  --image preset=signed     -1 to 1
  --image preset=imagenet   short side 256, centre 224, mean and deviation

or single keys: size, resize, short, crop, pad, color, layout, scale, mean, std.
What is fed is (pixel*scale - mean)/std. A data spec:

  version: 1
  inputs:
    input_1:
      images: photos/          # or npy:, npz:, value: 16000, zeros: [2, 1, 128]
      image: {preset: imagenet}
  carry: {stateN: state}       # an output is an input of the next step
  labels: folder               # or a .npy file, {npz: ...}, {next: tokens}

Paths are relative to the spec. Files are taken in byte order of their paths;
--samples N takes N, spread evenly. --synthetic N makes random numbers, which
say little about real data; every result says that it is of such.
`},
	{"drift", "what verify measures, and which limits to set", `What verify measures.

Both models run on the same samples in the same float engine.

  KL           for outputs with classes: mean over rows of
               sum p*(log p - log q) in nats, with its standard error, the
               99th percentile and the largest; 0 is no change
  same top-1   share of rows whose largest class is the same
  accuracy, nll, perplexity   with labels, of both models
  SQNR         signal over noise in dB; every 6 dB halve the error

Whether an output has classes is read from the graph and printed;
--output-kind NAME=logits|probs|logprobs|values says otherwise.

Limits: --max-kl, --min-agree, --max-top1-drop, --min-sqnr. A figure is compared
with its limit as it is; within two standard errors a note says how many samples
would decide. Status 3 says that a limit failed, 1 that there was no result.

For a start: --max-kl 0.02 --min-agree 99%. Or accept what there is now

  bq verify m.onnx m.bq --data d.npz --baseline drift.json --update-baseline

commit drift.json, and run the same without the last flag: from then on a loss
that grows by more than --tolerance, 5 % of itself and one row, fails.

When it fails: --blame names the tensors, --report FILE.html shows everything.
`},
	{"formats", "the files that bq reads and writes", `The files that bq reads and writes.

  .onnx   models, of operator sets 7 and up; weights in external data are read
          inside the model's folder only
  .bq     graph, kept tensors and codes, each with a checksum, and a digest over
          all; packing/FORMAT.md specifies every byte; bq check tests all of it
  .json   results of --json: the first field names command and version, such as
          bq.verify/1; fields are only added under one version; schemas/ in the
          source has JSON schemas; no clock and no host, so equal runs give
          equal bytes
  .xml    JUnit of verify: a case for each limit and baseline metric
  .html   the report of verify: one file, no script, no network

bq export turns a .bq into an ONNX file again:

  --form qdq     codes behind DequantizeLinear or a table behind Gather
  --form ort     ONNX Runtime's own operators where they serve: MatMulNBits,
                 GatherBlockQuantized; with --act-bits MatMulIntegerToFloat,
                 and DynamicQuantizeLSTM and DynamicQuantizeMatMul, which round
                 activations that stayed float; else as qdq
  --form float   plain float32

Files are written beside the target, read again, and renamed; what bq did not
write is not replaced without --force. - stands for stdin or stdout.
`},
}

// findTopic returns a page of help; false where there is none.
func findTopic(name string) (topic, bool) {
	if name == "topics" {
		return topic{"topics", "", topicList()}, true
	}
	i := slices.IndexFunc(topics, func(t topic) bool { return t.name == name })
	if i < 0 {
		return topic{}, false
	}
	return topics[i], true
}

func topicList() string {
	var b strings.Builder
	b.WriteString("Help beyond the commands:\n\n")
	for _, t := range topics {
		fmt.Fprintf(&b, "  bq help %-9s  %s\n", t.name, t.about)
	}
	return b.String()
}
