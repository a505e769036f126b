#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The golden log-probabilities of tests/test_architectures.c, and the values of a scalar head: tiny
random models of architectures of Hugging Face, computed in float64 with plain lists, one position
after the other, from the published definitions of each architecture. It knows nothing of Regatta's options and shares no code with it.

Run:  tests/golden/models.py > tests/golden/models.json
"""
import json
import math
import sys

VOCABULARY = 23
CLASSIFIER = "ForSequenceClassification"


# ---- weights: a generator that is as short in C ----

def numbers(name, count, scale, centre):
    """Multiples of 2^-21, which a float holds: centre plus or minus scale / 2."""
    state = 2166136261
    for byte in name.encode():
        state = (state ^ byte) * 16777619 % 2**32
    values = []
    for _ in range(count):
        state = (state * 1664525 + 1013904223) % 2**32
        values.append(centre + ((state >> 12) / 2**20 - 0.5) * scale)
    return values


class Weights:
    """The tensors of a checkpoint, made when they are first asked for."""

    def __init__(self, norm_centre):
        self.norm_centre, self.shapes, self.value = norm_centre, {}, {}

    def get(self, name, *shape):
        if name in self.shapes:
            assert self.shapes[name] == list(shape), name
            return self.value[name]
        norm = len(shape) == 1 and name.endswith(".weight")
        flat = numbers(name, math.prod(shape), 1 if len(shape) == 2 else 0.5,
                       self.norm_centre if norm else 0)
        self.shapes[name] = list(shape)
        if len(shape) == 2:
            flat = [flat[r * shape[1]:(r + 1) * shape[1]] for r in range(shape[0])]
        self.value[name] = flat
        return flat


# ---- functions of vectors ----

def product(matrix, x, bias=None):
    y = [sum(a * b for a, b in zip(row, x)) for row in matrix]
    return [a + b for a, b in zip(y, bias)] if bias else y


def add(x, y):
    return [a + b for a, b in zip(x, y)]


def rms_norm(x, weight, epsilon, offset=0):
    scale = 1 / math.sqrt(sum(a * a for a in x) / len(x) + epsilon)
    return [a * scale * (offset + b) for a, b in zip(x, weight)]


def layer_norm(x, weight, bias, epsilon):
    mean = sum(x) / len(x)
    scale = 1 / math.sqrt(sum((a - mean) ** 2 for a in x) / len(x) + epsilon)
    return [(a - mean) * scale * b + c for a, b, c in zip(x, weight, bias)]


def silu(x):
    return x / (1 + math.exp(-x))


def gelu(x):
    return x * (1 + math.erf(x / math.sqrt(2))) / 2


def gelu_tanh(x):
    return x * (1 + math.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x ** 3))) / 2


def capped(x, cap):
    return cap * math.tanh(x / cap) if cap else x


# ---- rotary positions ----

def frequencies(dimensions, base, scaling, context):
    """Frequencies of the pairs, and the factor of cosines and sines."""
    plain = [base ** (-2 * i / dimensions) for i in range(dimensions // 2)]
    kind = (scaling or {}).get("rope_type", (scaling or {}).get("type", "default"))
    if kind == "default":
        return plain, 1
    factor = scaling["factor"]
    original = scaling.get("original_max_position_embeddings", context)
    if kind == "linear":
        return [f / factor for f in plain], 1
    if kind == "llama3":
        low_wave = original / scaling["low_freq_factor"]
        high_wave = original / scaling["high_freq_factor"]
        scaled = []
        for f in plain:
            wave = 2 * math.pi / f
            smooth = ((original / wave - scaling["low_freq_factor"])
                      / (scaling["high_freq_factor"] - scaling["low_freq_factor"]))
            scaled.append(f if wave < high_wave else f / factor if wave > low_wave
                          else (1 - smooth) * f / factor + smooth * f)
        return scaled, 1

    def dimension(turns):
        return dimensions * math.log(original / (turns * 2 * math.pi)) / (2 * math.log(base))

    low = max(math.floor(dimension(scaling.get("beta_fast", 32))), 0)
    high = min(math.ceil(dimension(scaling.get("beta_slow", 1))), dimensions - 1)
    if low == high:
        high += 0.001
    ramp = [min(max((i - low) / (high - low), 0), 1) for i in range(dimensions // 2)]
    amplitude = scaling.get("attention_factor") or 0.1 * math.log(factor) + 1
    return [f / factor * r + f * (1 - r) for f, r in zip(plain, ramp)], amplitude


def rotate(head, position, rope):
    """rotate_half over the first dimensions; the others stay."""
    turns, amplitude = rope
    half = len(turns)
    y = list(head)
    for i, frequency in enumerate(turns):
        c = amplitude * math.cos(position * frequency)
        s = amplitude * math.sin(position * frequency)
        y[i] = head[i] * c - head[i + half] * s
        y[i + half] = head[i + half] * c + head[i] * s
    return y


def attend(queries, keys, values, scale, window=None, cap=None):
    """One head: outputs of all positions."""
    outputs = []
    for i, q in enumerate(queries):
        first = max(0, i + 1 - window) if window else 0
        scores = [capped(scale * sum(a * b for a, b in zip(q, keys[j])), cap)
                  for j in range(first, i + 1)]
        top = max(scores)
        weights = [math.exp(s - top) for s in scores]
        total = sum(weights)
        outputs.append([sum(w * values[first + j][d] for j, w in enumerate(weights)) / total
                        for d in range(len(values[0]))])
    return outputs


def attention(rows, heads, kv_heads, size, rope, scale, window=None, cap=None, norm=None):
    """rows: (query, key, value) of each position, heads side by side."""
    def head(x, h):
        return x[h * size:(h + 1) * size]

    outputs = [[] for _ in rows]
    for h in range(heads):
        g = h // (heads // kv_heads)
        norm_q, norm_k = norm or (lambda x: x, lambda x: x)
        q = [rotate(norm_q(head(r[0], h)), i, rope) for i, r in enumerate(rows)]
        k = [rotate(norm_k(head(r[1], g)), i, rope) for i, r in enumerate(rows)]
        v = [head(r[2], g) for r in rows]
        for i, y in enumerate(attend(q, k, v, scale, window, cap)):
            outputs[i] += y
    return outputs


# ---- architectures: logits after each token ----

def windows_of(c):
    """The window of each layer, or None."""
    layers, name = c["num_hidden_layers"], c["architectures"][0]
    window = c.get("sliding_window")
    if "layer_types" in c:
        return [window if t == "sliding_attention" else None for t in c["layer_types"]]
    if name.startswith("Qwen"):
        late = c.get("max_window_layers", 28)
        return [window if c.get("use_sliding_window") and i >= late else None
                for i in range(layers)]
    if name.startswith("Gemma2"):
        return [window if i % 2 == 0 else None for i in range(layers)]
    if name.startswith("Gemma3"):
        return [window if (i + 1) % c["sliding_window_pattern"] else None for i in range(layers)]
    return [window] * layers


def llama(c, w, tokens):
    """Llama and its relatives with pre-norms: Mistral, Qwen2, Qwen3, Phi-3."""
    width, heads, kv_heads = c["hidden_size"], c["num_attention_heads"], c["num_key_value_heads"]
    size, hidden = c.get("head_dim", width // heads), c["intermediate_size"]
    name, epsilon = c["architectures"][0], c["rms_norm_eps"]
    fused, biased = name.startswith("Phi3"), name.startswith("Qwen2")
    group = c.get("rope_parameters") or c.get("rope_scaling") or {}
    base = group.get("rope_theta", c.get("rope_theta", 10000.0))
    share = group.get("partial_rotary_factor", c.get("partial_rotary_factor", 1))
    rope = frequencies(int(size * share), base, group, c["max_position_embeddings"])
    embedding = w.get("model.embed_tokens.weight", VOCABULARY, width)
    x = [embedding[t] for t in tokens]
    for i, window in enumerate(windows_of(c)):
        at = f"model.layers.{i}."
        before = w.get(at + "input_layernorm.weight", width)
        normed = [rms_norm(r, before, epsilon) for r in x]
        q_rows, kv_rows = heads * size, kv_heads * size
        if fused:
            all_rows = w.get(at + "self_attn.qkv_proj.weight", q_rows + 2 * kv_rows, width)
            q, k, v = (all_rows[:q_rows], all_rows[q_rows:q_rows + kv_rows],
                       all_rows[q_rows + kv_rows:])
            gate_up = w.get(at + "mlp.gate_up_proj.weight", 2 * hidden, width)
            gate, up = gate_up[:hidden], gate_up[hidden:]
        else:
            q = w.get(at + "self_attn.q_proj.weight", q_rows, width)
            k = w.get(at + "self_attn.k_proj.weight", kv_rows, width)
            v = w.get(at + "self_attn.v_proj.weight", kv_rows, width)
            gate = w.get(at + "mlp.gate_proj.weight", hidden, width)
            up = w.get(at + "mlp.up_proj.weight", hidden, width)
        biases = [w.get(at + f"self_attn.{n}_proj.bias", r) if biased else None
                  for n, r in (("q", q_rows), ("k", kv_rows), ("v", kv_rows))]
        norm = None
        if name.startswith("Qwen3"):
            q_norm = w.get(at + "self_attn.q_norm.weight", size)
            k_norm = w.get(at + "self_attn.k_norm.weight", size)
            norm = (lambda h, n=q_norm: rms_norm(h, n, epsilon),
                    lambda h, n=k_norm: rms_norm(h, n, epsilon))
        rows = [tuple(product(m, r, b) for m, b in zip((q, k, v), biases)) for r in normed]
        mixed = attention(rows, heads, kv_heads, size, rope, size ** -0.5, window, None, norm)
        output = w.get(at + "self_attn.o_proj.weight", width, q_rows)
        x = [add(r, product(output, m)) for r, m in zip(x, mixed)]
        after = w.get(at + "post_attention_layernorm.weight", width)
        down = w.get(at + "mlp.down_proj.weight", width, hidden)
        for j, r in enumerate(x):
            n = rms_norm(r, after, epsilon)
            inner = [silu(a) * b for a, b in zip(product(gate, n), product(up, n))]
            x[j] = add(r, product(down, inner))
    last = w.get("model.norm.weight", width)
    head = (w.get("score.weight", 1, width) if name.endswith(CLASSIFIER) else
            embedding if c["tie_word_embeddings"] else w.get("lm_head.weight", VOCABULARY, width))
    return [product(head, rms_norm(r, last, epsilon)) for r in x]


def gpt_neox(c, w, tokens):
    width, heads, hidden = c["hidden_size"], c["num_attention_heads"], c["intermediate_size"]
    size, epsilon = width // heads, c["layer_norm_eps"]
    rope = frequencies(int(size * c["rotary_pct"]), c["rotary_emb_base"], None, 0)
    embedding = w.get("gpt_neox.embed_in.weight", VOCABULARY, width)
    x = [embedding[t] for t in tokens]

    def normed(name, r):
        return layer_norm(r, w.get(name + ".weight", width), w.get(name + ".bias", width), epsilon)

    def linear(name, r, out, inner):
        return product(w.get(name + ".weight", out, inner), r, w.get(name + ".bias", out))

    for i in range(c["num_hidden_layers"]):
        at = f"gpt_neox.layers.{i}."
        rows = []
        for r in x:
            qkv = linear(at + "attention.query_key_value", normed(at + "input_layernorm", r),
                         3 * width, width)
            parts = ([], [], [])  # the tensor has query, key and value of the first head, then …
            for h in range(heads):
                for p in range(3):
                    parts[p].extend(qkv[(3 * h + p) * size:(3 * h + p + 1) * size])
            rows.append(parts)
        mixed = attention(rows, heads, heads, size, rope, size ** -0.5)
        for j, r in enumerate(x):
            attended = add(r, linear(at + "attention.dense", mixed[j], width, width))
            source = r if c["use_parallel_residual"] else attended
            inner = linear(at + "mlp.dense_h_to_4h", normed(at + "post_attention_layernorm", source),
                           hidden, width)
            x[j] = add(attended, linear(at + "mlp.dense_4h_to_h", [gelu(a) for a in inner],
                                        width, hidden))
    head = (w.get("score.weight", 1, width) if c["architectures"][0].endswith(CLASSIFIER) else
            w.get("embed_out.weight", VOCABULARY, width))
    return [product(head, normed("gpt_neox.final_layer_norm", r)) for r in x]


def gemma(c, w, tokens):
    """Gemma 2, and Gemma 3 for text."""
    width, heads, kv_heads = c["hidden_size"], c["num_attention_heads"], c["num_key_value_heads"]
    size, hidden, epsilon = c["head_dim"], c["intermediate_size"], c["rms_norm_eps"]
    third = c["architectures"][0].startswith("Gemma3")
    group = c.get("rope_parameters") or {}
    full = frequencies(size, c.get("rope_theta", group.get("full_attention", {}).get("rope_theta")),
                       c.get("rope_scaling") or group.get("full_attention"), 0)
    base = c.get("rope_local_base_freq", group.get("sliding_attention", {}).get("rope_theta"))
    local = frequencies(size, base, None, 0) if third else full

    def normed(name, r, n=width):
        return rms_norm(r, w.get(name + ".weight", n), epsilon, 1)

    embedding = w.get("model.embed_tokens.weight", VOCABULARY, width)
    x = [[a * math.sqrt(width) for a in embedding[t]] for t in tokens]
    for i, window in enumerate(windows_of(c)):
        at = f"model.layers.{i}."
        q = w.get(at + "self_attn.q_proj.weight", heads * size, width)
        k = w.get(at + "self_attn.k_proj.weight", kv_heads * size, width)
        v = w.get(at + "self_attn.v_proj.weight", kv_heads * size, width)
        output = w.get(at + "self_attn.o_proj.weight", width, heads * size)
        norm = None
        if third:
            norm = (lambda h, n=at + "self_attn.q_norm": normed(n, h, size),
                    lambda h, n=at + "self_attn.k_norm": normed(n, h, size))
        rows = []
        for r in x:
            n = normed(at + "input_layernorm", r)
            rows.append((product(q, n), product(k, n), product(v, n)))
        mixed = attention(rows, heads, kv_heads, size, local if window else full,
                          c["query_pre_attn_scalar"] ** -0.5, window,
                          c.get("attn_logit_softcapping"), norm)
        gate = w.get(at + "mlp.gate_proj.weight", hidden, width)
        up = w.get(at + "mlp.up_proj.weight", hidden, width)
        down = w.get(at + "mlp.down_proj.weight", width, hidden)
        for j, r in enumerate(x):
            r = add(r, normed(at + "post_attention_layernorm", product(output, mixed[j])))
            n = normed(at + "pre_feedforward_layernorm", r)
            inner = [gelu_tanh(a) * b for a, b in zip(product(gate, n), product(up, n))]
            x[j] = add(r, normed(at + "post_feedforward_layernorm", product(down, inner)))
    cap = c.get("final_logit_softcapping")
    return [[capped(a, cap) for a in product(embedding, normed("model.norm", r))] for r in x]


# ---- cases ----

SIZES = {"hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 2,
         "num_attention_heads": 4, "num_key_value_heads": 2, "vocab_size": VOCABULARY,
         "max_position_embeddings": 32}
LLAMA = {**SIZES, "rms_norm_eps": 1e-5, "rope_theta": 1000.0, "hidden_act": "silu",
         "tie_word_embeddings": False}
GEMMA = {**SIZES, "rms_norm_eps": 1e-6, "hidden_activation": "gelu_pytorch_tanh", "head_dim": 6,
         "query_pre_attn_scalar": 20, "sliding_window": 5, "tie_word_embeddings": True}
NEOX = {"hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 2,
        "num_attention_heads": 2, "vocab_size": VOCABULARY, "max_position_embeddings": 32,
        "layer_norm_eps": 1e-5, "rotary_emb_base": 1000, "hidden_act": "gelu",
        "attention_bias": True, "tie_word_embeddings": False}
LLAMA3 = {"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
          "original_max_position_embeddings": 16}
CASES = [
    ("qwen3", "Qwen3", {**LLAMA, "head_dim": 6, "use_sliding_window": False,
                        "max_window_layers": 28, "sliding_window": None}),
    ("qwen3-window", "Qwen3", {**LLAMA, "head_dim": 6, "use_sliding_window": True,
                               "max_window_layers": 1, "sliding_window": 5}),
    ("llama-3.2", "Llama", {**LLAMA, "rope_scaling": LLAMA3, "tie_word_embeddings": True}),
    ("llama-head-dim", "Llama", {**LLAMA, "head_dim": 8}),
    ("llama-linear", "Llama", {**LLAMA, "rope_scaling": {"type": "linear", "factor": 4.0}}),
    ("qwen2-yarn", "Qwen2", {**LLAMA, "rope_scaling": {
        "type": "yarn", "factor": 4.0, "original_max_position_embeddings": 32}}),
    ("llama-yarn-5", "Llama", {**{k: v for k, v in LLAMA.items() if k != "rope_theta"},
                               "head_dim": 16, "rope_parameters": {
        "rope_type": "yarn", "rope_theta": 500.0, "factor": 3.0, "beta_fast": 8.0, "beta_slow": 0.5,
        "attention_factor": 1.2, "original_max_position_embeddings": 24}}),
    ("mistral", "Mistral", {**LLAMA, "sliding_window": 4}),
    ("phi3-partial", "Phi3", {**LLAMA, "head_dim": 8, "partial_rotary_factor": 0.75}),
    ("gpt-neox", "GPTNeoX", {**NEOX, "rotary_pct": 0.25, "use_parallel_residual": True}),
    ("gpt-neox-sequential", "GPTNeoX", {**NEOX, "rotary_pct": 0.5,
                                        "use_parallel_residual": False}),
    ("gemma2", "Gemma2", {**GEMMA, "rope_theta": 10000.0, "attn_logit_softcapping": 2.0,
                          "final_logit_softcapping": 3.0}),
    ("gemma3", "Gemma3", {**GEMMA, "num_hidden_layers": 3, "rope_theta": 100000.0,
                          "rope_local_base_freq": 500.0, "sliding_window_pattern": 3,
                          "rope_scaling": {"rope_type": "linear", "factor": 8.0}}),
    ("gemma3-5", "Gemma3", {**GEMMA, "num_hidden_layers": 3, "layer_types": [
        "sliding_attention", "full_attention", "sliding_attention"], "rope_parameters": {
        "full_attention": {"rope_type": "default", "rope_theta": 100000.0},
        "sliding_attention": {"rope_type": "default", "rope_theta": 500.0}}}),
]
RESPONSES = [([3, 1, 4], [1, 5, 9, 2, 6]),
             ([7], [0, 22, 11]),
             ([2, 7, 1, 8, 2, 8, 1, 8, 2, 8, 4, 5, 9, 0, 4, 5, 2],
              [3, 5, 3, 6, 0, 2, 8, 7, 4, 7, 1, 13, 5])]


# With a scalar head: the value is that of the last token that is not padding.
PADDING = 22
CLASSIFIERS = [("qwen3", "Qwen3", {**LLAMA, "head_dim": 6, "use_sliding_window": False,
                                   "max_window_layers": 28, "sliding_window": None,
                                   "pad_token_id": PADDING}),
               ("gpt-neox", "GPTNeoX", {**NEOX, "rotary_pct": 0.25, "use_parallel_residual": True,
                                        "pad_token_id": PADDING})]
SEQUENCES = [[3, 1, 4, 1, 5, 9, 2, 6], [7], [7, 0, 22, 11], [8, 2, 8, 1, 22, 22],
             [2, 7, 1, 8, 2, 8, 1, 8, 2, 8, 4, 5, 9, 0, 4, 5, 2, 3, 5, 3, 6, 0, 2, 8, 7, 4]]


def logprob(logits, token):
    top = max(logits)
    return logits[token] - top - math.log(sum(math.exp(a - top) for a in logits))


def run(case):
    name, architecture, config = case
    config = {"architectures": [architecture + "ForCausalLM"], **config}
    is_gemma = architecture.startswith("Gemma")
    forward = gemma if is_gemma else gpt_neox if architecture == "GPTNeoX" else llama
    weights = Weights(0 if is_gemma else 1)
    responses = []
    for prompt, response in RESPONSES:
        rows = forward(config, weights, prompt + response)
        total = sum(logprob(rows[len(prompt) + i - 1], t) for i, t in enumerate(response))
        responses.append({"prompt": prompt, "response": response, "logprob": total})
    return {"name": name, "norm_centre": weights.norm_centre, "config": config,
            "tensors": weights.shapes, "responses": responses}


def classify(case):
    name, architecture, config = case
    config = {"architectures": [architecture + CLASSIFIER], **config}
    forward = gpt_neox if architecture == "GPTNeoX" else llama
    weights = Weights(1)
    values = []
    for tokens in SEQUENCES:
        last = max(i for i, t in enumerate(tokens) if t != PADDING)
        values.append({"tokens": tokens, "value": forward(config, weights, tokens)[last][0]})
    return {"name": name, "norm_centre": weights.norm_centre, "config": config,
            "tensors": weights.shapes, "values": values}


if __name__ == "__main__":
    cases = ",\n".join(json.dumps(run(case)) for case in CASES)
    classifiers = ",\n".join(json.dumps(classify(case)) for case in CLASSIFIERS)
    sys.stdout.write(f'{{"cases": [\n{cases}\n],\n"classifiers": [\n{classifiers}\n]}}\n')
