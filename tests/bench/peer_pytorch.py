#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""The works of bench_transformer in PyTorch 1.13, as a good practitioner would write them.

    peer_pytorch.py WORK SHAPE [--threads=N] [--rounds=N] [--seconds=S] [--batch=N] [--check]

WORK is train, dpo, sample, decode or score; SHAPE is S1, S2 or S3. One process measures one work and
prints one JSON object. Weights and tokens come from the same formulas as in bench_transformer.c, so
that --check, which prints losses or likeliest tokens (each with how far the next likely is behind it)
instead of times, can be held against its own.

Some settings must be in the environment before torch is imported; without them this script starts
itself again with them (settings() below).
"""
import argparse
import json
import math
import os
import resource
import statistics
import sys
import time

SHAPES = {
    "S1": dict(layers=4, width=128, heads=4, hidden=352, context=128, vocabulary=512, batch=16),
    "S2": dict(layers=6, width=288, heads=6, hidden=768, context=256, vocabulary=32000, batch=4),
    "S3": dict(layers=12, width=768, heads=12, hidden=3072, context=64, vocabulary=50257, batch=4,
               gpt2=True),
}
PROMPT, NEW_TOKENS = 8, 120  # of sampling and decoding
LEARNING_RATE, BETA = 1e-5, 0.1


def settings(threads):
    """What makes PyTorch fastest here: memory that malloc keeps (otherwise each step faults its
    pages in anew), and kernels in AVX-512 where the processor has it."""
    found = dict(OMP_NUM_THREADS=str(threads), OPENBLAS_NUM_THREADS=str(threads),
                 MALLOC_TOP_PAD_=str(1 << 28), MALLOC_MMAP_THRESHOLD_=str(1 << 40),
                 MALLOC_TRIM_THRESHOLD_=str(1 << 40))
    with open("/proc/cpuinfo") as cpuinfo:
        if "avx512vl" in cpuinfo.read():
            found["ATEN_CPU_CAPABILITY"] = os.environ.get("ATEN_CPU_CAPABILITY", "avx512")
    return found


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("work", choices=["train", "dpo", "sample", "decode", "score"])
    parser.add_argument("shape", choices=SHAPES)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=5, help="least number of rounds (5)")
    parser.add_argument("--seconds", type=float, default=0, help="go on for so long (0)")
    parser.add_argument("--batch", type=int, help="sequences (the shape's own)")
    parser.add_argument("--response-logits", action="store_true",
                        help="dpo: the head on rows of the responses only")
    parser.add_argument("--check", action="store_true", help="print losses or tokens, not times")
    given = parser.parse_args()
    given.shape_name, given.shape = given.shape, SHAPES[given.shape]
    given.batch = given.batch or {"decode": 1, "sample": 16, "score": 16}.get(given.work, given.shape["batch"])
    return given


if __name__ == "__main__":
    given = arguments()
    wanted = settings(given.threads)
    if any(os.environ.get(name) != value for name, value in wanted.items()):
        os.execve(sys.executable, [sys.executable] + sys.argv, {**os.environ, **wanted})

try:
    import numpy
    import torch
    from torch import nn
    from torch.nn import functional as F
except ImportError as missing:
    sys.exit(f"peer_pytorch.py: {missing} (Debian: python3-torch, python3-numpy)")


# ---- weights and tokens by formula ----

def mixed(first, count, stream):
    """Numbers 0 ... 2^32-1 that look random: the hash lowbias32 of a counter and a stream."""
    z = numpy.arange(first, first + count, dtype=numpy.uint32)
    z *= numpy.uint32(0x9E3779B9)
    z += numpy.uint32(stream * 0x85EBCA6B & 0xFFFFFFFF)
    z ^= z >> 16
    z *= numpy.uint32(0x7FEB352D)
    z ^= z >> 15
    z *= numpy.uint32(0x846CA68B)
    z ^= z >> 16
    return z


def formula_tokens(shape, sequences, length, stream):
    z = mixed(0, sequences * length, stream) % numpy.uint32(shape["vocabulary"])
    return torch.from_numpy(z.astype(numpy.int64)).view(sequences, length)


class FormulaWeights:
    """Deals weights in the order of core/models/transformer.h, each a stream of its own."""

    def __init__(self):
        self.views = 0

    def numbers(self, count, mean, scale):
        out, block = numpy.empty(count, dtype=numpy.float32), 1 << 16
        for first in range(0, count, block):
            part = out[first:first + block]
            part[:] = mean + scale * (mixed(first, len(part), self.views) * 2.0**-31 - 1)
        self.views += 1
        return torch.from_numpy(out)

    def matrix(self, rows, columns):
        return self.numbers(rows * columns, 0, math.sqrt(3 / columns)).view(rows, columns)

    def vector(self, size, mean):
        return self.numbers(size, mean, 0.25)


# ---- the model ----

class RMSNorm(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))

    def forward(self, x):
        return x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + 1e-5) * self.weight


class Attention(nn.Module):
    """Causal attention; query, key and value in one product."""

    def __init__(self, shape, bias):
        super().__init__()
        self.heads, self.size = shape["heads"], shape["width"] // shape["heads"]
        self.qkv = nn.Linear(shape["width"], 3 * shape["width"], bias=bias)
        self.out = nn.Linear(shape["width"], shape["width"], bias=bias)

    def forward(self, x, rope, mask, cache=None):
        b, t, width = x.shape
        q, k, v = self.qkv(x).view(b, t, 3, self.heads, self.size).permute(2, 0, 3, 1, 4)
        if rope is not None:
            q, k = turn(q, *rope), turn(k, *rope)
        if cache is not None:
            k, v = cache.store(k, v)
        n, total = b * self.heads, k.shape[2]
        scores = torch.baddbmm(mask, q.reshape(n, t, self.size),
                               k.reshape(n, total, self.size).transpose(1, 2),
                               alpha=1 / math.sqrt(self.size))
        y = torch.bmm(scores.softmax(-1), v.reshape(n, total, self.size))
        return self.out(y.view(b, self.heads, t, self.size).transpose(1, 2).reshape(b, t, width))


def turn(x, cosine, sine):
    """Rotary positions in halves, as in Hugging Face's Llama."""
    first, second = x.chunk(2, -1)
    return x * cosine + torch.cat((-second, first), -1) * sine


class SwiGLU(nn.Module):
    """Gate and up in one product."""

    def __init__(self, shape):
        super().__init__()
        self.gate_up = nn.Linear(shape["width"], 2 * shape["hidden"], bias=False)
        self.down = nn.Linear(shape["hidden"], shape["width"], bias=False)

    def forward(self, x):
        gate, up = self.gate_up(x).chunk(2, -1)
        return self.down(F.silu(gate) * up)


class GELU(nn.Module):
    def __init__(self, shape):
        super().__init__()
        self.up = nn.Linear(shape["width"], shape["hidden"])
        self.down = nn.Linear(shape["hidden"], shape["width"])

    def forward(self, x):
        return self.down(F.gelu(self.up(x), approximate="tanh"))


class Layer(nn.Module):
    def __init__(self, shape, gpt2):
        super().__init__()
        norm = nn.LayerNorm if gpt2 else RMSNorm
        self.input_norm, self.post_norm = norm(shape["width"]), norm(shape["width"])
        self.attention = Attention(shape, bias=gpt2)
        self.mlp = GELU(shape) if gpt2 else SwiGLU(shape)

    def forward(self, x, rope, mask, cache=None):
        x = x + self.attention(self.input_norm(x), rope, mask, cache)
        return x + self.mlp(self.post_norm(x))


class Transformer(nn.Module):
    def __init__(self, shape):
        super().__init__()
        self.gpt2 = shape.get("gpt2", False)
        context, width, size = shape["context"], shape["width"], shape["width"] // shape["heads"]
        self.embedding = nn.Embedding(shape["vocabulary"], width)
        self.positions = nn.Embedding(context, width) if self.gpt2 else None
        self.layers = nn.ModuleList(Layer(shape, self.gpt2) for _ in range(shape["layers"]))
        self.norm = nn.LayerNorm(width) if self.gpt2 else RMSNorm(width)
        angles = torch.outer(torch.arange(context),
                             10000 ** (-torch.arange(0, size, 2).float() / size)).repeat(1, 2)
        self.register_buffer("cosine", angles.cos())
        self.register_buffer("sine", angles.sin())
        self.register_buffer("mask", torch.full((context, context), -math.inf).triu(1))

    def hidden(self, token, start=0, caches=None):
        """[sequences, tokens, width] behind the last norm; tokens stand at start, start + 1, ..."""
        end = start + token.shape[1]
        x = self.embedding(token)
        if self.gpt2:
            x = x + self.positions.weight[start:end]
        rope = None if self.gpt2 else (self.cosine[start:end], self.sine[start:end])
        mask = self.mask[start:end, :end]
        for i, layer in enumerate(self.layers):
            x = layer(x, rope, mask, caches and caches[i])
        return self.norm(x)

    def logits(self, hidden):
        if hidden.shape[0] == 1 and hidden.dim() == 2:  # a vector has a faster path than one row
            return self.embedding.weight.mv(hidden[0])[None]
        return F.linear(hidden, self.embedding.weight)

    @torch.no_grad()
    def fill_by_formula(self, shape):
        """In the order of core/models/transformer.h; fused matrices get theirs part by part."""
        deal, width, hidden = FormulaWeights(), shape["width"], shape["hidden"]

        def norm(module):
            module.weight.copy_(deal.vector(width, 1))
            if self.gpt2:
                module.bias.copy_(deal.vector(width, 0))

        def weight(module, rows, columns, parts=1):
            module.weight.copy_(torch.cat([deal.matrix(rows, columns) for _ in range(parts)]))

        def bias(module, rows, parts=1):
            if self.gpt2:
                module.bias.copy_(torch.cat([deal.vector(rows, 0) for _ in range(parts)]))

        self.embedding.weight.copy_(deal.matrix(shape["vocabulary"], width))
        if self.gpt2:
            self.positions.weight.copy_(deal.matrix(shape["context"], width))
        for layer in self.layers:
            norm(layer.input_norm)
            weight(layer.attention.qkv, width, width, 3)
            bias(layer.attention.qkv, width, 3)
            weight(layer.attention.out, width, width)
            bias(layer.attention.out, width)
            norm(layer.post_norm)
            first = layer.mlp.up if self.gpt2 else layer.mlp.gate_up
            weight(first, hidden, width, 1 if self.gpt2 else 2)
            weight(layer.mlp.down, width, hidden)
            bias(first, hidden)
            bias(layer.mlp.down, width)
        norm(self.norm)


class LayerCache:
    """Keys and values of one layer, in memory taken once."""

    def __init__(self, shape, batch, length):
        size = batch, shape["heads"], length, shape["width"] // shape["heads"]
        self.key, self.value, self.used = torch.empty(size), torch.empty(size), 0

    def store(self, k, v):
        start, self.used = self.used, self.used + k.shape[2]
        self.key[:, :, start:self.used] = k
        self.value[:, :, start:self.used] = v
        return self.key[:, :, :self.used], self.value[:, :, :self.used]


# ---- the works ----

def optimizer_of(model):
    return torch.optim.AdamW(model.parameters(), lr=LEARNING_RATE, weight_decay=0, foreach=True)


class Train:
    """Forward and backward of the next-token log-likelihood of a batch, and AdamW."""

    def __init__(self, model, given):
        self.model, self.optimizer = model, optimizer_of(model)
        token = formula_tokens(given.shape, given.batch, given.shape["context"], 1001)
        self.input, self.target = token[:, :-1].contiguous(), token[:, 1:].reshape(-1)
        self.tokens = token.numel()

    def step(self):
        logits = self.model.logits(self.model.hidden(self.input))
        loss = F.cross_entropy(logits.view(-1, logits.shape[-1]), self.target)
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        self.optimizer.step()
        return loss.item()


class Dpo:
    """DPO on pairs that share a prompt of half the context, both sequences in full and in one
    forward, as TRL does; the reference's log-probabilities are kept from before."""

    def __init__(self, model, given):
        shape, half = given.shape, given.shape["context"] // 2
        self.model, self.optimizer = model, optimizer_of(model)
        self.response_logits = given.response_logits
        prompt = formula_tokens(shape, given.batch // 2, half, 1002)
        response = formula_tokens(shape, given.batch, half, 1003)
        # Chosen first, then rejected, as in TRL's concatenated forward.
        response = torch.cat((response[0::2], response[1::2]))
        token = torch.cat((torch.cat((prompt, prompt)), response), 1)
        self.input, self.target, self.prompt = token[:, :-1].contiguous(), token[:, 1:], half
        self.tokens = token.numel()
        with torch.no_grad():
            self.reference = self.logprob()

    def logprob(self):
        hidden, target = self.model.hidden(self.input), self.target
        if self.response_logits:
            hidden, target = hidden[:, self.prompt - 1:], target[:, self.prompt - 1:]
        logits = self.model.logits(hidden)
        each = -F.cross_entropy(logits.reshape(-1, logits.shape[-1]), target.reshape(-1),
                                reduction="none").view(target.shape)
        return each.sum(1) if self.response_logits else each[:, self.prompt - 1:].sum(1)

    def step(self):
        chosen, rejected = (self.logprob() - self.reference).chunk(2)
        loss = -F.logsigmoid(BETA * (chosen - rejected)).mean()
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        self.optimizer.step()
        return loss.item()


class Sample:
    """Responses drawn at temperature 1 behind prompts that all differ, with a key/value cache."""

    def __init__(self, model, given):
        self.model, self.shape, self.greedy, self.margins = model, given.shape, given.check, []
        self.prompt = formula_tokens(given.shape, given.batch, PROMPT, 1004)
        self.tokens = given.batch * NEW_TOKENS
        torch.manual_seed(1)

    def draw(self, logits):
        if self.greedy:
            likeliest, token = logits.topk(2)
            self.margins.append(likeliest[:, :1] - likeliest[:, 1:])
            return token[:, 0]
        # Nine times as fast as torch.multinomial, which draws a number for each word.
        below = logits.softmax(-1).cumsum(-1)
        at = torch.rand(below.shape[0], 1) * below[:, -1:]
        return torch.searchsorted(below, at)[:, 0]

    @torch.inference_mode()
    def step(self):
        batch = self.prompt.shape[0]
        caches = [LayerCache(self.shape, batch, PROMPT + NEW_TOKENS) for _ in self.model.layers]
        token, start, drawn = self.prompt, 0, []
        while len(drawn) < NEW_TOKENS:
            hidden = self.model.hidden(token, start, caches)
            start += token.shape[1]
            token = self.draw(self.model.logits(hidden[:, -1]))[:, None]
            drawn.append(token)
        return torch.cat(drawn, 1)


class Score:
    """Log-probabilities of given tokens, a sequence at a time: logits of more fit no cache."""

    def __init__(self, model, given):
        self.model, context = model, given.shape["context"]
        self.token = formula_tokens(given.shape, given.batch, context, 1005)
        self.tokens = self.token.numel()

    @torch.inference_mode()
    def step(self):
        losses = []
        for token in self.token.split(1):
            hidden = self.model.hidden(token[:, :-1])
            losses.append(F.cross_entropy(self.model.logits(hidden).flatten(0, 1),
                                          token[:, 1:].flatten()))
        return torch.stack(losses).mean().item()


WORKS = {"train": Train, "dpo": Dpo, "sample": Sample, "decode": Sample, "score": Score}


def check(work):
    """What bench_transformer --check prints: the losses of three steps, or the likeliest tokens."""
    if isinstance(work, Sample):
        token = work.step().tolist()
        return {"tokens": token, "margins": torch.cat(work.margins, 1).tolist()}
    return {"losses": [work.step() for _ in range(3)]}


def measure(work, given):
    work.step()
    seconds = []
    end = time.perf_counter() + given.seconds
    while len(seconds) < given.rounds or time.perf_counter() < end:
        start = time.perf_counter()
        work.step()
        seconds.append(time.perf_counter() - start)
    median = statistics.median(seconds)
    return {"seconds": median, "rounds": len(seconds), "tokens": work.tokens,
            "tokens_per_second": work.tokens / median,
            "peak_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024}


def kernels():
    """Of PyTorch's own loops, and of the BLAS behind it."""
    blas = os.environ.get("OPENBLAS_CORETYPE", "its own choice")
    own = torch.__config__.show().split("CPU capability usage: ")[1].split()[0]
    return f"{own}, OpenBLAS {blas}"


def main():
    torch.set_num_threads(given.threads)
    model = Transformer(given.shape)
    model.fill_by_formula(given.shape)
    work = WORKS[given.work](model, given)
    result = {"program": "pytorch", "version": torch.__version__, "work": given.work,
              "shape": given.shape_name, "threads": given.threads, "batch": given.batch}
    result["kernels"] = kernels()
    result.update(check(work) if given.check else measure(work, given))
    print(json.dumps(result))


if __name__ == "__main__":
    main()
