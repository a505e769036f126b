#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Tiny random models in Hugging Face's layout, and preferences in published formats, for tests.

    tiny_models.py ARCHITECTURE VOCABULARY FOLDER     Qwen2, Phi3 or Llama
    tiny_models.py score ARCHITECTURE VOCABULARY FOLDER  the same with a scalar head
    tiny_models.py data FORMAT LINES FILE             pku, ultrafeedback or hh
"""
import array
import json
import os
import random
import struct
import sys

LOGITS, SCORE = "ForCausalLM", "ForSequenceClassification"
WIDTH, HIDDEN, HEADS, KV_HEADS, LAYERS, CONTEXT = 16, 24, 4, 2, 2, 128


def tensors(architecture, vocabulary, head):
    """Names and shapes, as the architecture has them."""
    kv = WIDTH // HEADS * KV_HEADS
    yield "model.embed_tokens.weight", [vocabulary, WIDTH]
    for i in range(LAYERS):
        layer = f"model.layers.{i}."
        yield layer + "input_layernorm.weight", [WIDTH]
        yield layer + "post_attention_layernorm.weight", [WIDTH]
        if architecture == "Phi3":
            yield layer + "self_attn.qkv_proj.weight", [WIDTH + 2 * kv, WIDTH]
            yield layer + "mlp.gate_up_proj.weight", [2 * HIDDEN, WIDTH]
        else:
            for name, rows in (("q", WIDTH), ("k", kv), ("v", kv)):
                yield layer + f"self_attn.{name}_proj.weight", [rows, WIDTH]
                if architecture == "Qwen2":
                    yield layer + f"self_attn.{name}_proj.bias", [rows]
            yield layer + "mlp.gate_proj.weight", [HIDDEN, WIDTH]
            yield layer + "mlp.up_proj.weight", [HIDDEN, WIDTH]
        yield layer + "self_attn.o_proj.weight", [WIDTH, WIDTH]
        yield layer + "mlp.down_proj.weight", [WIDTH, HIDDEN]
    yield "model.norm.weight", [WIDTH]
    if head == SCORE:
        yield "score.weight", [1, WIDTH]
    elif architecture != "Qwen2":
        yield "lm_head.weight", [vocabulary, WIDTH]


def write_model(architecture, vocabulary, folder, head=LOGITS):
    os.makedirs(folder, exist_ok=True)
    rng = random.Random(1)
    header, body = {}, array.array("f")
    for name, shape in tensors(architecture, vocabulary, head):
        count, start = 1, 4 * len(body)
        for size in shape:
            count *= size
        one = name.endswith("norm.weight")
        body.extend(1.0 if one else rng.gauss(0, 0.1) for _ in range(count))
        header[name] = {"dtype": "F32", "shape": shape, "data_offsets": [start, 4 * len(body)]}
    text = json.dumps(header).encode()
    with open(f"{folder}/model.safetensors", "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text + body.tobytes())
    config = {
        "architectures": [architecture + head],
        "model_type": architecture.lower(),
        "hidden_size": WIDTH,
        "intermediate_size": HIDDEN,
        "num_hidden_layers": LAYERS,
        "num_attention_heads": HEADS,
        "num_key_value_heads": KV_HEADS,
        "vocab_size": vocabulary,
        "rms_norm_eps": 1e-5,
        "rope_theta": 10000.0,
        "hidden_act": "silu",
        "max_position_embeddings": CONTEXT,
        "tie_word_embeddings": architecture == "Qwen2",
        "torch_dtype": "float32",
    }
    with open(f"{folder}/config.json", "w") as file:
        json.dump(config, file)


def line(kind, i):
    prompt, good, bad = f"Is {i} even?", f"It is{'' if i % 2 == 0 else ' not'}.", "Who knows, or cares."
    if kind == "pku":
        return {"prompt": prompt, "response_0": bad, "response_1": good, "better_response_id": 1,
                "safer_response_id": 0}
    if kind == "ultrafeedback":
        scores = [(bad, 2), ("Maybe so.", 4), (good, 9), ("I think.", 5)]
        return {"instruction": prompt,
                "completions": [{"response": r, "overall_score": s} for r, s in scores]}
    talk = f"\n\nHuman: Hello.\n\nAssistant: Yes?\n\nHuman: {prompt}\n\nAssistant: "
    return {"chosen": talk + good, "rejected": talk + bad}


def write_data(kind, lines, path):
    with open(path, "w") as file:
        for i in range(lines):
            file.write(json.dumps(line(kind, i)) + "\n")


if __name__ == "__main__":
    if sys.argv[1] == "data":
        write_data(sys.argv[2], int(sys.argv[3]), sys.argv[4])
    elif sys.argv[1] == "score":
        write_model(sys.argv[2], int(sys.argv[3]), sys.argv[4], SCORE)
    else:
        write_model(sys.argv[1], int(sys.argv[2]), sys.argv[3])
