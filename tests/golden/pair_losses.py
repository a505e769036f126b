# SPDX-License-Identifier: MIT
"""The golden figures of tests/double_pair_terms.c: losses of pairs and the terms that losses share, with
their gradients, from PyTorch in float64 (Debian's python3-torch).

Run:  /usr/bin/python3 tests/golden/pair_losses.py

Each method is written here from its equation alone, of whole vectors. The numbers are exact in binary.
"""
import math

import torch
from torch.nn.functional import logsigmoid

torch.set_default_dtype(torch.float64)
index = torch.arange(5)


def column(step, offset, unit):
    return -unit * (1 + (step * index + offset) % 11).double()


chosen, rejected = column(7, 3, 0.25), column(4, 1, 0.375)
ref_chosen, ref_rejected = column(3, 5, 0.25), column(5, 2, 0.25)
n_chosen, n_rejected = (1 + index).double(), (7 - index).double()


def implicit(w, l, beta, shared):
    """Implicit rewards over beta of both responses: length, DPOP, R-DPO."""
    hw, hl = w - ref_chosen, l - ref_rejected
    if shared.get("length_normalisation"):
        hw, hl = hw / n_chosen, hl / n_rejected
    hw = hw - shared.get("dpop_coefficient", 0) * torch.relu(-hw)
    alpha = shared.get("length_coefficient", 0)
    return hw + alpha / beta * n_chosen, hl + alpha / beta * n_rejected


def sft(w, shared):
    weight = shared.get("sft_coefficient", 0)
    return -weight * (w if shared.get("sft_logprob") == "sum" else w / n_chosen).mean()


def dpo(hw, hl, o):
    return -logsigmoid(o["beta"] * (hw - hl)).mean()


def ipo(hw, hl, o):
    return ((hw - hl - 1 / (2 * o["beta"])) ** 2).mean()


def hinge(hw, hl, o):
    return torch.relu(1 - o["beta"] * (hw - hl)).mean()


def apo(hw, hl, o):
    rw, rl = o["beta"] * hw, o["beta"] * hl
    if o.get("form") == "down":
        return (torch.sigmoid(rw) - torch.sigmoid(rw - rl)).mean()
    return (torch.sigmoid(rl) - torch.sigmoid(rw)).mean()


def bco(hw, hl, o):
    rw, rl = o["beta"] * hw, o["beta"] * hl
    shift = (0.5 * (rw + rl).mean()).item() if o.get("again") else 0
    return -(logsigmoid(rw - shift) + logsigmoid(-(rl - shift))).mean()


def nca(hw, hl, o):
    rw, rl = o["beta"] * hw, o["beta"] * hl
    return -(logsigmoid(rw) + 0.5 * logsigmoid(-rw) + 0.5 * logsigmoid(-rl)).mean()


def exo(hw, hl, o):
    p = torch.stack([o["beta"] * hw, o["beta"] * hl]).softmax(0)
    q = torch.tensor([1 - o["label_smoothing"], o["label_smoothing"]])[:, None]
    return (p * (p.log() - q.log())).sum(0).mean()


def wpo(hw, hl, o):
    weight = torch.exp(o["w"] / n_chosen).detach() * torch.exp(o["l"] / n_rejected).detach()
    return -(weight * logsigmoid(o["beta"] * (hw - hl))).mean()


def orpo(hw, hl, o):
    pw, pl = torch.exp(o["w"] / n_chosen), torch.exp(o["l"] / n_rejected)
    ratio = (pw / (1 - pw)) / (pl / (1 - pl))
    return (-pw.log() - o["odds_ratio_weight"] * logsigmoid(ratio.log())).mean()


def cpo(hw, hl, o):
    w, l = (hw + ref_chosen, hl + ref_rejected)
    if o.get("length_normalisation"):
        w, l = o["w"] / n_chosen, o["l"] / n_rejected
    return -logsigmoid(o["beta"] * (w - l) - o.get("target_margin", 0)).mean()


def simpo(hw, hl, o):
    return -logsigmoid(o["beta"] * (o["w"] / n_chosen - o["l"] / n_rejected) - o["target_margin"]).mean()


ALL = dict(sft_coefficient=0.25, dpop_coefficient=3, length_normalisation=True, length_coefficient=0.0625)
CASES = [
    (dpo, dict(beta=0.5)),
    (apo, dict(beta=0.5)),
    (apo, dict(beta=0.5, form="down")),
    (bco, dict(beta=0.5)),
    (bco, dict(beta=0.5, again=True)),
    (nca, dict(beta=0.5)),
    (exo, dict(beta=0.5, label_smoothing=0.01)),
    (orpo, dict(odds_ratio_weight=0.3)),
    (cpo, dict(beta=0.5, sft_coefficient=1)),
    (cpo, dict(beta=0.5, sft_coefficient=0.5, sft_logprob="sum")),
    (cpo, dict(beta=2, sft_coefficient=0, length_normalisation=True, target_margin=0.7)),
    (wpo, dict(beta=0.5)),
    (dpo, dict(beta=0.5, sft_coefficient=0.4)),
    (dpo, dict(beta=0.5, sft_coefficient=0.4, sft_logprob="sum")),
    (dpo, dict(beta=0.5, dpop_coefficient=3)),
    (dpo, dict(beta=0.5, length_coefficient=0.0625)),
    (dpo, dict(beta=0.5, length_normalisation=True)),
    (dpo, dict(beta=0.5, **ALL)),
    (apo, dict(beta=0.5, **ALL)),
    (exo, dict(beta=0.5, label_smoothing=0.01, **ALL)),
    (hinge, dict(beta=0.5, **ALL)),
    (ipo, dict(beta=0.5, sft_coefficient=0.25, dpop_coefficient=3, length_coefficient=0.0625)),
    (simpo, dict(beta=2, target_margin=0.7, sft_coefficient=0.4)),
]


def text(value):
    return str(value).lower() if isinstance(value, bool) else str(value)


for method, options in CASES:
    w, l = chosen.clone().requires_grad_(), rejected.clone().requires_grad_()
    hw, hl = implicit(w, l, options.get("beta", 1), options)
    loss = method(hw, hl, dict(options, w=w, l=l)) + sft(w, options)
    loss.backward()
    given = " ".join(f"{k}={text(v)}" for k, v in options.items() if k != "again")
    again = text("again" in options)
    print(f'    {{"{method.__name__}", "{given}", {again}, {loss.item():.17g},')
    for numbers, end in ((w.grad, ","), (l.grad, "},")):
        print("     {" + ", ".join(f"{x:.17g}" for x in numbers.tolist()) + "}" + end)
