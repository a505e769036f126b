#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""A Llama in Hugging Face's layout as a GGUF file (version 3, F32), which llama.cpp loads.

    write_gguf.py FOLDER FILE.gguf

There is no tokenizer in it: a bench speaks in token ids.
"""
import struct
import sys

import numpy

from hugging_face import Llama

ALIGNMENT = 32
UINT32, FLOAT32, STRING = 4, 6, 8  # types of values of the header
F32 = 0  # type of a tensor


def text(value):
    data = value.encode()
    return struct.pack("<Q", len(data)) + data


def entry(key, value):
    """A key of the header with its value."""
    if isinstance(value, str):
        return text(key) + struct.pack("<I", STRING) + text(value)
    if isinstance(value, float):
        return text(key) + struct.pack("<If", FLOAT32, value)
    return text(key) + struct.pack("<II", UINT32, value)


def header(model):
    return {
        "general.architecture": "llama",
        "general.file_type": 0,  # all F32
        "llama.vocab_size": model.vocabulary,
        "llama.context_length": model.context,
        "llama.embedding_length": model.width,
        "llama.block_count": model.layers,
        "llama.feed_forward_length": model.hidden,
        "llama.attention.head_count": model.heads,
        "llama.attention.head_count_kv": model.kv_heads,
        "llama.attention.layer_norm_rms_epsilon": float(model.epsilon),
        "llama.rope.freq_base": float(model.rope_base),
        "llama.rope.dimension_count": model.size,
        "tokenizer.ggml.model": "none",
    }


def in_pairs(matrix, heads):
    """Rows of a query or key matrix in the order in which llama.cpp turns Llama's heads: numbers
    that are turned together stand side by side, where Hugging Face has them half a head apart."""
    half = matrix.shape[0] // heads // 2
    return matrix.reshape(heads, 2, half, -1).swapaxes(1, 2).reshape(matrix.shape)


def tensors(model):
    """Name and numbers of each tensor. A head that is the embeddings is not written twice."""
    yield "token_embd.weight", model.embedding
    for i in range(model.layers):
        def of(name, number=i):
            return model.layer(number, name)
        yield f"blk.{i}.attn_norm.weight", of("input_layernorm")
        yield f"blk.{i}.attn_q.weight", in_pairs(of("self_attn.q_proj"), model.heads)
        yield f"blk.{i}.attn_k.weight", in_pairs(of("self_attn.k_proj"), model.kv_heads)
        yield f"blk.{i}.attn_v.weight", of("self_attn.v_proj")
        yield f"blk.{i}.attn_output.weight", of("self_attn.o_proj")
        yield f"blk.{i}.ffn_norm.weight", of("post_attention_layernorm")
        yield f"blk.{i}.ffn_gate.weight", of("mlp.gate_proj")
        yield f"blk.{i}.ffn_up.weight", of("mlp.up_proj")
        yield f"blk.{i}.ffn_down.weight", of("mlp.down_proj")
    yield "output_norm.weight", model.norm
    if model.head is not model.embedding:
        yield "output.weight", model.head


def padded(size):
    return -size % ALIGNMENT


def write(model, path):
    entries, listed = header(model), list(tensors(model))
    head = struct.pack("<4sIQQ", b"GGUF", 3, len(listed), len(entries))
    head += b"".join(entry(key, value) for key, value in entries.items())
    offset = 0
    for name, numbers in listed:
        sizes = numbers.shape[::-1]  # columns first
        head += text(name) + struct.pack(f"<I{len(sizes)}QIQ", len(sizes), *sizes, F32, offset)
        offset += numbers.nbytes + padded(numbers.nbytes)
    with open(path, "wb") as file:
        file.write(head + bytes(padded(len(head))))
        for _, numbers in listed:
            file.write(numpy.ascontiguousarray(numbers).tobytes() + bytes(padded(numbers.nbytes)))


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    write(Llama(sys.argv[1]), sys.argv[2])
