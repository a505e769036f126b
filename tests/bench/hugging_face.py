# SPDX-License-Identifier: MIT
"""Reading a folder in Hugging Face's layout, as `regatta export` writes it: config.json and F32
tensors in one model.safetensors. Of architectures only Llama, which both writers beside this file
(write_gguf.py, write_onnx.py) know."""
import json
import os
import sys

import numpy


class Llama:
    """The config's sizes, and the tensors by name, [rows, columns], straight from the file."""

    def __init__(self, folder):
        with open(os.path.join(folder, "config.json")) as file:
            config = json.load(file)
        if config["architectures"] != ["LlamaForCausalLM"]:
            sys.exit(f"{folder}: expected LlamaForCausalLM, found {config['architectures']}")
        self.layers, self.width = config["num_hidden_layers"], config["hidden_size"]
        self.heads, self.kv_heads = config["num_attention_heads"], config["num_key_value_heads"]
        self.hidden, self.vocabulary = config["intermediate_size"], config["vocab_size"]
        self.context, self.epsilon = config["max_position_embeddings"], config["rms_norm_eps"]
        self.rope_base, self.size = config["rope_theta"], self.width // self.heads
        self.tensors = tensors(os.path.join(folder, "model.safetensors"))

    def layer(self, number, name):
        return self.tensors[f"model.layers.{number}.{name}.weight"]

    @property
    def embedding(self):
        return self.tensors["model.embed_tokens.weight"]

    @property
    def norm(self):
        return self.tensors["model.norm.weight"]

    @property
    def head(self):
        return self.tensors.get("lm_head.weight", self.embedding)


def tensors(path):
    """A safetensors file: the length of a JSON header, the header, the numbers."""
    with open(path, "rb") as file:
        length = int.from_bytes(file.read(8), "little")
        header = json.loads(file.read(length))
    found = {}
    for name, about in header.items():
        if name == "__metadata__":
            continue
        if about["dtype"] != "F32":
            sys.exit(f"{path}: {name} is {about['dtype']}, expected F32")
        found[name] = numpy.memmap(path, numpy.float32, "r", 8 + length + about["data_offsets"][0],
                                   tuple(about["shape"]))
    return found
