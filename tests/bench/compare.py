#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Regatta and its peers side by side: training, DPO, sampling, scoring and memory, in one run.

    compare.py [--quick] [--only=TEXT] [--check] [--kernels=NAMES] [--build=FOLDER]
               [--peers=FOLDER] [--json=FILE]

The peers are PyTorch, where a Python has it, and ONNX Runtime and llama.cpp for sampling and scoring,
where tests/bench/peers has installed them. All have the same weights. Each is checked first: losses
and log-probabilities have to be Regatta's, and the likeliest tokens too, but for near ties. A peer
that fails is not timed.

For each work the sides' processes take turns (ours, PyTorch, ..., ours, ...); each warms up, then
tells its median. What is printed is the median over the turns and, as ratio, how many times as many
tokens per second Regatta does, both with the least and the most of any turn. The last column is the
CPU that other processes used meanwhile, in processors. Threads of the peers spin, and a busy neighbour
can slow them many times: without --quick, turns with such a neighbour are taken again, a few times;
rows that keep one are marked with "!".

--kernels has rows for each family of instructions (avx512, avx2) in place of those that each side
chooses by itself. Of ONNX Runtime there is no such choice.

Shares of peak hold standard FLOPs (6 per weight in matrices, and attention) against the best SGEMM
of the run, and weights read per decoded token against reading memory. On a shared machine the best
moment is not that of the step: "beside" is the median share of training steps in what SGEMM reached
just before and just after each, in a turn of its own.
"""
import argparse
import json
import os
import platform
import statistics
import sys
import tempfile
import time
from dataclasses import dataclass

sys.dont_write_bytecode = True  # nothing goes into the source tree

import sides as of_sides


@dataclass(frozen=True)
class Row:
    work: str
    shape: str
    batch: int = 0  # sequences; 0: the shape's own
    threads: int = 0  # 0: as given
    peer_options: tuple = ()  # of PyTorch alone
    bf16: bool = False  # Regatta's sampler; peers stay in fp32

    @property
    def name(self):
        return f"{self.work} {self.shape}"


RESPONSES = ("--response-logits",)
ROWS = [
    Row("train", "S1"), Row("train", "S2"), Row("train", "S3"), Row("dpo", "S1"), Row("dpo", "S2"),
    Row("dpo", "S1", peer_options=RESPONSES), Row("dpo", "S2", peer_options=RESPONSES),
    Row("sample", "S1", 16), Row("sample", "S2", 16), Row("sample", "S2", 64),
    Row("sample", "S2", 16, bf16=True), Row("sample", "S2", 64, bf16=True),
    Row("decode", "S2", 1, threads=1), Row("decode", "S2", 1), Row("score", "S2", 16),
]
MEMORY = Row("dpo", "S3")
TOLERANCE = 1e-3  # of losses, relative; of mean log-probabilities and logits, in nats
SAME_TOKENS = 32  # that have to be the same
NOISE = 0.1  # processors that others may use in a turn


# ---- the same model on all sides ----

def wrong_tokens(ours, peer):
    """Why two sides' likeliest tokens are not the same, or None. What follows on a near tie follows
    from it."""
    for i, (mine, theirs) in enumerate(zip(ours["tokens"], peer["tokens"])):
        for j, (a, b) in enumerate(zip(mine[:SAME_TOKENS], theirs)):
            if a != b:
                margin = peer["margins"][i][j]
                if margin > TOLERANCE:
                    return (f"token {j + 1} of sequence {i + 1} is {b} and not {a}, and leads by "
                            f"{margin:.1e} nats")
                break
    return None


def wrong_losses(work, ours, peer):
    """Why two sides' losses are not the same, or None."""
    for step, (a, b) in enumerate(zip(ours["losses"], peer["losses"])):
        if not abs(a - b) <= TOLERANCE * (1 if work == "score" else abs(a)):
            return f"loss {step + 1} is {b:.6g} and not {a:.6g}"
    return None


def wrong_peer(peer, ours, environment, work, shape, options):
    """Why a peer does not compute what Regatta does, or None."""
    try:
        theirs = peer.run(environment, work, shape, *options)
    except of_sides.Failed as failed:
        return str(failed)
    return wrong_tokens(ours, theirs) if "tokens" in ours else wrong_losses(work, ours, theirs)


def check_peers(sides, family, works, threads):
    """Hold each peer against Regatta; those that differ are told, and leave."""
    environment, results = sides.environment(family), []
    options = [f"--threads={threads}", "--check"]
    for work, shape in works:
        peers = sides.knowing(work, shape)
        ours = peers and sides.regatta.run(environment, work, shape, *options)
        for peer in peers:
            wrong = wrong_peer(peer, ours, environment, work, shape, options)
            results.append({"work": work, "shape": shape, "peer": peer.name, "kernels": family,
                            "wrong": wrong})
            if wrong:
                sides.peers.remove(peer)
                print(f"    {peer.name} is not timed: {work} {shape}: {wrong}", flush=True)
    return results


def works_to_check(rows, given):
    """Of all works that are timed; --quick leaves out what takes long."""
    works = dict.fromkeys((row.work, row.shape) for row in rows)
    if not given.only:
        works[(MEMORY.work, MEMORY.shape)] = None
    return [(work, shape) for work, shape in works
            if not given.quick or shape == "S1" or work in ("decode", "score")]


# ---- speed ----

def others(turns):
    return max(turn["others_cpu"] for turn in turns)


def take_turns(sides, row, environment, turns, more, options):
    """So many turns of all sides in which others let us be; or the quietest, after so many more.
    Each a list of the sides' results, ours first."""
    def one_turn():
        return [sides.regatta.run(environment, row.work, row.shape, *options,
                                  *(["--precision=bf16"] if row.bf16 else []))] + \
               [peer.run(environment, row.work, row.shape, *options,
                         *(row.peer_options if peer.name == "PyTorch" else ()))
                for peer in sides.knowing(row.work, row.shape)]
    taken = []
    while len(taken) < turns or (len(taken) < turns + more and
                                 sum(others(turn) <= NOISE for turn in taken) < turns):
        taken.append(one_turn())
    return list(zip(*sorted(taken, key=others)[:turns]))


def spread(turns):
    """Median, least and most of tokens per second."""
    speeds = [turn["tokens_per_second"] for turn in turns]
    return {"tokens_per_second": statistics.median(speeds), "least": min(speeds),
            "most": max(speeds), "kernels": turns[0]["kernels"], "turns": turns}


def against(ours, peer):
    """A peer's speed, and how many times ours is as much."""
    result = spread(peer)
    ratios = [a["tokens_per_second"] / b["tokens_per_second"] for a, b in zip(ours, peer)]
    result.update(ratio=spread(ours)["tokens_per_second"] / result["tokens_per_second"],
                  ratio_least=min(ratios), ratio_most=max(ratios))
    return result


def compare(sides, row, family, given, turns, more, times):
    """Turns of all sides on one work, and what they come to."""
    environment, threads = sides.environment(family), row.threads or given.threads
    options = [f"--threads={threads}", *times] + ([f"--batch={row.batch}"] if row.batch else [])
    ours, *peers = take_turns(sides, row, environment, turns, more, options)
    names = [peer.name for peer in sides.knowing(row.work, row.shape)]
    result = {"work": row.work, "shape": row.shape, "batch": ours[0]["batch"],
              "peer_options": list(row.peer_options), "bf16": row.bf16, "threads": threads,
              "kernels": family,
              "ours": spread(ours), "others_cpu": others([turn for side in [ours, *peers]
                                                          for turn in side]),
              "peers": {name: against(ours, peer) for name, peer in zip(names, peers)}}
    if row.work == "train":  # once more, with SGEMM between the steps
        result["beside"] = [sides.regatta.run(environment, row.work, row.shape, *options,
                                              "--beside") for _ in range(turns)]
    return result


def add_shares(result, peaks):
    """Shares of what the machine can do: FLOP/s of training, bytes/s of decoding."""
    threads, ours = result["threads"], result["ours"]["turns"][0]
    if result["work"] == "train":
        result["flops_per_token"] = ours["standard_flops"] / ours["tokens"]
        result["counted_flops_per_token"] = ours["counted_flops"] / ours["tokens"]
        unit, peak = result["flops_per_token"], peaks["sgemm"].get(threads)
    elif result["work"] == "decode":
        unit, peak = ours["weight_bytes_per_token"], peaks["read"].get(threads)
    else:
        return
    if "beside" in result:
        result["share_beside"] = statistics.median(
            turn["share_of_sgemm_beside"] for turn in result["beside"])
    if peak:
        for side in [result["ours"], *result["peers"].values()]:
            side["share_of_peak"] = side["tokens_per_second"] * unit / peak


# ---- the table ----

def percent(share):
    return "" if share is None else f"{100 * share:.0f} %"


def print_row(cells):
    print("| " + " | ".join(cells) + " |", flush=True)


def print_head(peers):
    columns = ["work", "shape", "batch", "threads", "kernels", "Regatta, tokens/s"]
    for peer in peers:
        columns += [f"{peer}, tokens/s", "ratio"]
    columns += ["of peak", "beside", "others' CPU"]
    print_row(columns)
    print("|" + " --- |" * len(columns), flush=True)


def speed(side):
    return f"{side['tokens_per_second']:,.0f} ({side['least']:,.0f} to {side['most']:,.0f})"


def print_result(result, peers):
    cells = [result["work"] + ("¹" if result["peer_options"] else "") +
             (" in bf16" if result["bf16"] else ""), result["shape"],
             str(result["batch"]), str(result["threads"]), result["kernels"] or "own",
             speed(result["ours"])]
    for name in peers:
        peer = result["peers"].get(name)
        cells += [speed(peer), f"{peer['ratio']:.2f} ({peer['ratio_least']:.2f} to "
                               f"{peer['ratio_most']:.2f})"] if peer else ["", ""]
    cells += [percent(result["ours"].get("share_of_peak")), percent(result.get("share_beside")),
              f"{result['others_cpu']:.2f}{' !' if result['others_cpu'] > NOISE else ''}"]
    print_row(cells)


def print_kernels(results):
    """Which kernels each side ran, in the rows of each family."""
    for family in dict.fromkeys(result["kernels"] for result in results):
        ran = {}
        for result in results:
            if result["kernels"] == family:
                ran.setdefault("Regatta", result["ours"]["kernels"])
                for name, peer in result["peers"].items():
                    ran.setdefault(name, peer["kernels"])
        print(f"kernels {family or 'own'}: " +
              "; ".join(f"{name}: {kernels}" for name, kernels in ran.items()))


def print_flops(results):
    """FLOPs per trained token, where our own count and the standard one are far apart."""
    for result in results:
        standard, counted = result.get("flops_per_token"), result.get("counted_flops_per_token")
        if standard and abs(counted / standard - 1) > 0.05:
            print(f"    train {result['shape']}: {standard / 1e6:.1f} MFLOP per token by the "
                  f"standard formula, {counted / 1e6:.1f} by our operators' own count")


# ---- memory ----

def memory(sides, given):
    """Peak resident memory of a step of full DPO fine-tuning, each side in its own process."""
    environment = sides.environment(None)
    options = [f"--threads={given.threads}", "--rounds=2"]
    ours = sides.regatta.run(environment, MEMORY.work, MEMORY.shape, *options)
    peers = {peer.name: peer.run(environment, MEMORY.work, MEMORY.shape, *options)["peak_bytes"]
             for peer in sides.knowing(MEMORY.work, MEMORY.shape)}
    need = 4 * ours["weight_bytes"]
    print(f"Peak memory of DPO on {MEMORY.shape}: {ours['peak_bytes'] / 2**30:.2f} GiB, "
          f"{ours['peak_bytes'] / need:.2f} of weights, gradient and both moments "
          f"({need / 2**30:.2f} GiB)"
          + "".join(f"; {name} {peak / 2**30:.2f} GiB" for name, peak in peers.items()), flush=True)
    return {"work": "memory", "shape": MEMORY.shape, "four_weights_bytes": need,
            "peak_bytes": ours["peak_bytes"], "peer_peak_bytes": peers}


# ---- the whole ----

def machine(sides, threads):
    """What has to be known to read the figures."""
    with open("/proc/cpuinfo") as cpuinfo:
        lines = [line.split(":", 1)[1].strip() for line in cpuinfo if line.startswith("model name")]
    about = {"cpu": lines[0] if lines else platform.machine(), "processors": os.cpu_count(),
             "threads": threads, "system": platform.release(),
             "date": time.strftime("%Y-%m-%d %H:%M %Z")}
    for peer in sides.peers:
        about.update(peer.about)
    return about


def best_peaks(*several):
    """What a peak once was, it can be: the best of each."""
    return {work: {threads: max(peaks[work][threads] for peaks in several)
                   for threads in several[0][work]} for work in several[0]}


def print_risen(before, best):
    """Shares are told as the run goes, by the peaks at its start."""
    for work, by_threads in best.items():
        for threads, peak in by_threads.items():
            if peak > 1.05 * before[work][threads]:
                print(f"{work} on {threads} threads reached {peak / 1e9:.1f} G/s after the run: "
                      f"the shares above are {peak / before[work][threads]:.2f} times too large; "
                      "those in the file are right")


def print_machine(about, sides):
    print(f"{about['cpu']}, {about['processors']} processors; threads: {about['threads']} unless the "
          f"row says otherwise; Linux {about['system']}; {about['date']}")
    versions = [f"{name} {version}" for peer in sides.peers for name, version in peer.about.items()]
    if versions:
        print("; ".join(versions))
    for what in sides.missing:
        print(f"without {what}")


def print_peaks(family, peaks):
    for threads, flops in peaks["sgemm"].items():
        print(f"kernels {family or 'own'}, {threads} thread{'s' if threads > 1 else ''}: SGEMM "
              f"{flops / 1e9:.0f} GFLOP/s, reading {peaks['read'][threads] / 1e9:.1f} GB/s")


def families_of(text):
    families = [name.strip() for name in text.split(",")]
    for name in families:
        if name not in of_sides.FAMILIES:
            raise argparse.ArgumentTypeError(f'"{name}": expected avx512 or avx2')
        if not of_sides.processor_has(name):
            raise argparse.ArgumentTypeError(f"this processor has no {name}")
    return families


def arguments():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="fewer and shorter turns")
    parser.add_argument("--only", default="", help="only works whose name, such as \"train S1\", "
                                                   "contains this")
    parser.add_argument("--check", action="store_true", help="only check that all sides agree")
    parser.add_argument("--turns", type=int, help="turns of each side (5; quick: 2)")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--kernels", type=families_of, action="extend", metavar="NAMES",
                        help="rows for each of these families: avx512, avx2 (each side's own)")
    parser.add_argument("--build", default=".", help="the build folder (.)")
    parser.add_argument("--peers", help="where tests/bench/peers put the peers (BUILD/peers)")
    parser.add_argument("--python", help="interpreter that has PyTorch")
    parser.add_argument("--json", default="bench.json", help="where to write all figures")
    return parser.parse_args()


def wanted_rows(given):
    return [row for row in ROWS if given.only in row.name and
            row.threads != given.threads and
            not (given.quick and (row.peer_options or row.threads))]


def check_all(sides, given, families, rows):
    """The checks' results. Peers that fail are no sides any more."""
    print("Same weights, same tokens: losses of three steps of AdamW, log-probabilities, likeliest "
          "tokens:", flush=True)
    results = []
    for family in families:
        results += check_peers(sides, family, works_to_check(rows, given), given.threads)
    for peer in sides.peers:
        count = sum(result["peer"] == peer.name for result in results)
        print(f"    {peer.name} agrees with Regatta in {count} checks", flush=True)
    print()
    return results


def measure_all(sides, given, families, rows, peaks):
    turns, more = given.turns or (2 if given.quick else 5), 0 if given.quick else 3
    times = ["--rounds=1", "--seconds=1.5"] if given.quick else ["--rounds=3", "--seconds=4"]
    names, results = [peer.name for peer in sides.peers], []
    print_head(names)
    for row in rows:
        for family in families:
            result = compare(sides, row, family, given, turns, more, times)
            add_shares(result, peaks[family])
            print_result(result, names)
            results.append(result)
    print()
    if any(row.peer_options for row in rows):
        print("¹ PyTorch takes the head on the responses' rows only (TRL by default: on all)\n")
    print_kernels(results)
    print_flops(results)
    return results


def report_all(sides, given):
    families, rows = given.kernels or [None], wanted_rows(given)
    report = {"checks": check_all(sides, given, families, rows) if sides.peers else []}
    if given.check:
        sys.exit(1 if any(check["wrong"] for check in report["checks"]) else 0)
    report["machine"] = machine(sides, given.threads)
    print_machine(report["machine"], sides)
    peaks = {family: sides.regatta.peaks(sides.environment(family)) for family in families}
    for family in families:
        print_peaks(family, peaks[family])
    print(flush=True)
    report["results"] = measure_all(sides, given, families, rows, peaks)
    if given.only in "memory":
        report["memory"] = memory(sides, given)
    report["peaks"] = {}
    for family in families:
        best = best_peaks(peaks[family], sides.regatta.peaks(sides.environment(family)))
        print_risen(peaks[family], best)
        report["peaks"][family or "own"] = best
        for result in report["results"]:
            if result["kernels"] == family:
                add_shares(result, best)
    return report


def main():
    given = arguments()
    with tempfile.TemporaryDirectory() as models:
        sides = of_sides.Sides(given, models)
        if given.check and not sides.peers:
            sys.exit("compare.py: nothing to check against: " + "; ".join(sides.missing))
        try:
            report = report_all(sides, given)
        except of_sides.Failed as failed:
            sys.exit(f"compare.py: {failed}")
    with open(given.json, "w") as file:
        json.dump(report, file, indent=1)
    print(f"All figures: {given.json}")


if __name__ == "__main__":
    main()
