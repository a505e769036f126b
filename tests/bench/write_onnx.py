#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""A Llama in Hugging Face's layout as ONNX models (fp32), as one would write them for ONNX Runtime.

    write_onnx.py FOLDER DECODE.onnx SCORE.onnx

Both are made of ONNX Runtime's fused operators: GroupQueryAttention, which turns queries and keys by
their positions and keeps keys and values in place in one buffer, and normalisation with the sum
before it. Matrices are constants in the layout that is packed at load, query, key and value in one.

DECODE maps token ids [batch, tokens] with the past of each layer [batch, heads, length, size] to
probabilities [batch, vocabulary] of the token behind the last, their sums over blocks, in which a
token can be drawn in few steps, and the present of each layer. SCORE maps token ids and the targets
behind each, [batch, tokens], to log-probabilities of the targets.
"""
import struct
import sys

import numpy

from hugging_face import Llama

BLOCK = 128  # of probabilities in a sum
OPSET, IR_VERSION = 17, 8
FLOAT, INT32, INT64 = 1, 6, 7  # types of elements
MICROSOFT = "com.microsoft"  # the fused operators' domain


# ---- protobuf: a message is a list of fields, each a number with its value ----

def varint(value):
    value &= (1 << 64) - 1
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    out.append(value)
    return bytes(out)


def field(number, value):
    """A field: an integer, a real, a text, bytes or a message made before, or a list of them."""
    if isinstance(value, list):
        return b"".join(field(number, each) for each in value)
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    if isinstance(value, float):
        return varint(number << 3 | 5) + struct.pack("<f", value)
    data = value.encode() if isinstance(value, str) else value
    return varint(number << 3 | 2) + varint(len(data)) + data


def message(**fields):
    """f1=..., f8=...: the fields by their numbers."""
    return b"".join(field(int(name[1:]), value) for name, value in fields.items())


# ---- ONNX ----

def attribute(name, value):
    if isinstance(value, int):
        return message(f1=name, f3=value, f20=2)
    return message(f1=name, f2=value, f20=1)


def tensor(name, array):
    kind = {"float32": FLOAT, "int64": INT64}[array.dtype.name]
    return message(f1=list(array.shape), f2=kind, f8=name,
                   f9=numpy.ascontiguousarray(array).tobytes())


def value_info(name, kind, shape):
    """An input or output; sizes that are not known before have names."""
    dims = [message(f2=size) if isinstance(size, str) else message(f1=size) for size in shape]
    return message(f1=name, f2=message(f1=message(f1=kind, f2=message(f1=dims))))


class Graph:
    """Nodes as they are added; each gives the name of its first output."""

    def __init__(self):
        self.nodes, self.constants, self.inputs, self.outputs = [], [], [], []

    def node(self, operator, inputs, outputs=1, domain="", **attributes):
        """`outputs` are names, or the number of those to be named here."""
        if isinstance(outputs, int):
            outputs = [f"t{len(self.nodes)}_{i}" for i in range(outputs)]
        self.nodes.append(message(
            f1=inputs, f2=outputs, f3=f"n{len(self.nodes)}_{operator}", f4=operator,
            f5=[attribute(key, value) for key, value in attributes.items()], f7=domain))
        return outputs[0]

    def constant(self, array):
        name = f"c{len(self.constants)}"
        self.constants.append(tensor(name, array))
        return name

    def input(self, name, kind, shape):
        self.inputs.append(value_info(name, kind, shape))
        return name

    def output(self, name, kind, shape):
        self.outputs.append(value_info(name, kind, shape))

    def times(self, x, matrix):
        """x [..., columns] by a matrix that is stored [rows, columns]."""
        return self.node("MatMul", [x, self.constant(matrix.T)])

    def write(self, path):
        graph = message(f1=self.nodes, f2="model", f5=self.constants, f11=self.inputs,
                        f12=self.outputs)
        opsets = [message(f1="", f2=OPSET), message(f1=MICROSOFT, f2=1)]
        with open(path, "wb") as file:
            file.write(message(f1=IR_VERSION, f2="regatta", f7=graph, f8=opsets))


# ---- the model ----

def rotary(model):
    """Cosines and sines [positions, half a head]."""
    half = model.rope_base ** (-numpy.arange(0, model.size, 2) / model.size)
    angles = numpy.outer(numpy.arange(model.context), half)
    return numpy.cos(angles).astype(numpy.float32), numpy.sin(angles).astype(numpy.float32)


def attention(g, model, layer, x, tables, lengths, past):
    """Of normalised x; the past is a pair of inputs, or None."""
    names = ["self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"]
    qkv = g.times(x, numpy.concatenate([model.layer(layer, name) for name in names]))
    present = [f"present.{layer}.key", f"present.{layer}.value"]
    g.node("GroupQueryAttention", [qkv, "", "", *(past or ["", ""]), *lengths, *tables],
           [f"attention.{layer}", *present], MICROSOFT, num_heads=model.heads,
           kv_num_heads=model.kv_heads, do_rotary=1)
    return g.times(f"attention.{layer}", model.layer(layer, "self_attn.o_proj"))


def feed_forward(g, model, layer, x):
    gate = g.times(x, model.layer(layer, "mlp.gate_proj"))
    up = g.times(x, model.layer(layer, "mlp.up_proj"))
    silu = g.node("QuickGelu", [gate], 1, MICROSOFT, alpha=1.0)
    return g.times(g.node("Mul", [silu, up]), model.layer(layer, "mlp.down_proj"))


def add_and_norm(g, model, x, update, weight):
    """The sum of x and its update, and that normalised."""
    total, normed = f"sum.{len(g.nodes)}", f"normed.{len(g.nodes)}"
    g.node("SkipSimplifiedLayerNormalization", [update, x, g.constant(weight)],
           [normed, "", "", total], MICROSOFT, epsilon=model.epsilon)
    return total, normed


def past_of(g, model, layer):
    """The past of a layer as inputs, and its present as outputs."""
    shape = ["batch", model.kv_heads, "length", model.size]
    for part in ("key", "value"):
        g.output(f"present.{layer}.{part}", FLOAT, shape)
    return [g.input(f"past.{layer}.{part}", FLOAT, shape) for part in ("key", "value")]


def hidden(g, model, has_past):
    """[batch, tokens, width] behind the last norm."""
    token = g.input("token", INT64, ["batch", "tokens"])
    lengths = [g.input("last", INT32, ["batch"]), g.input("total", INT32, [1])]
    tables = [g.constant(table) for table in rotary(model)]
    norms = [model.layer(i, "input_layernorm") for i in range(model.layers)] + [model.norm]
    x = g.node("Gather", [g.constant(model.embedding), token])
    normed = g.node("SimplifiedLayerNormalization", [x, g.constant(norms[0])], 1, axis=-1,
                    epsilon=model.epsilon, stash_type=1)
    for i in range(model.layers):
        past = past_of(g, model, i) if has_past else None
        update = attention(g, model, i, normed, tables, lengths, past)
        x, normed = add_and_norm(g, model, x, update, model.layer(i, "post_attention_layernorm"))
        x, normed = add_and_norm(g, model, x, feed_forward(g, model, i, normed), norms[i + 1])
    return normed


def decoder(model):
    g = Graph()
    last = g.node("Gather", [hidden(g, model, True), g.constant(numpy.array(-1))], axis=1)
    g.node("Softmax", [g.times(last, model.head)], ["probability"], axis=-1)
    blocks = g.node("Reshape", ["probability", g.constant(numpy.array([0, -1, BLOCK]))])
    g.node("ReduceSum", [blocks, g.constant(numpy.array([-1]))], ["block"], keepdims=0)
    g.output("probability", FLOAT, ["batch", model.vocabulary])
    g.output("block", FLOAT, ["batch", model.vocabulary // BLOCK])
    return g


def scorer(model):
    g = Graph()
    target = g.input("target", INT64, ["batch", "tokens", 1])
    logits = g.times(hidden(g, model, False), model.head)
    each = g.node("LogSoftmax", [logits], axis=-1)
    g.node("GatherElements", [each, target], ["logprob"], axis=-1)
    g.output("logprob", FLOAT, ["batch", "tokens", 1])
    return g


def main():
    if len(sys.argv) != 4:
        sys.exit(__doc__)
    model = Llama(sys.argv[1])
    if model.vocabulary % BLOCK:
        sys.exit(f"write_onnx.py: the vocabulary, {model.vocabulary}, is no multiple of {BLOCK}")
    decoder(model).write(sys.argv[2])
    scorer(model).write(sys.argv[3])


if __name__ == "__main__":
    main()
