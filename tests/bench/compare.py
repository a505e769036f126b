#!/usr/bin/env python3
"""Regatta and PyTorch side by side: training, DPO, sampling and memory, in one run.

    compare.py [--quick] [--only=TEXT] [--check] [--build=FOLDER] [--json=FILE]

For each work the two sides' processes take turns (ours, PyTorch, ours, ...); each warms up, then
tells its median. What is printed is the median over the turns and, as ratio, how many times as many
tokens per second Regatta does, with the least and the most of any turn. The last column is the CPU
that other processes used meanwhile, in processors. PyTorch's threads spin, and a busy neighbour can
slow them many times: without --quick, turns with such a neighbour are taken again, a few times;
rows that keep one are marked with "!".

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
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
PEER = os.path.join(HERE, "peer_pytorch.py")

# Work, shape, sequences (0: the shape's own), options of the peer alone.
ROWS = [
    ("train", "S1", 0), ("train", "S2", 0), ("train", "S3", 0),
    ("dpo", "S1", 0), ("dpo", "S2", 0),
    ("dpo", "S1", 0, "--response-logits"), ("dpo", "S2", 0, "--response-logits"),
    ("sample", "S1", 16), ("sample", "S2", 16), ("sample", "S2", 64), ("decode", "S2", 1),
]
MEMORY = ("dpo", "S3", 0)
CHECKS = [("train", "S1"), ("dpo", "S1"), ("sample", "S1"), ("train", "S3"),
          ("train", "S2"), ("dpo", "S2"), ("sample", "S2"), ("dpo", "S3")]
QUICK_CHECKS = 4  # the first so many
TOLERANCE = 1e-3  # of losses, relative
NOISE = 0.1  # processors that others may use in a turn


def busy_seconds():
    """CPU time that anything used since the machine started, and what its host took from it."""
    with open("/proc/stat") as stat:
        user, nice, system, _, _, irq, softirq, steal = map(int, stat.readline().split()[1:9])
    ticks = os.sysconf("SC_CLK_TCK")
    return (user + nice + system + irq + softirq) / ticks, steal / ticks


def own_seconds():
    """CPU time of this process and of its children that ended."""
    return sum(os.times()[:4])


def run(command):
    """The JSON objects that a command prints, and the processors that others kept busy."""
    (busy, stolen), own, start = busy_seconds(), own_seconds(), time.monotonic()
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True)
    if done.returncode != 0:
        sys.exit(f"compare.py: {' '.join(command)} ended with status {done.returncode}")
    seconds = time.monotonic() - start
    (busy_after, stolen_after), own_after = busy_seconds(), own_seconds()
    others = max(0, busy_after - busy - (own_after - own)) / seconds
    objects = [json.loads(line) for line in done.stdout.splitlines()]
    for each in objects:
        each["others_cpu"] = round(others, 3)
        each["stolen_cpu"] = round((stolen_after - stolen) / seconds, 3)
    return objects


def peer_python(wanted):
    """An interpreter that has PyTorch, or None: Debian's has it where another may come first."""
    for python in [wanted] if wanted else ["/usr/bin/python3", sys.executable]:
        probe = subprocess.run([python, "-c", "import torch, numpy"], stderr=subprocess.DEVNULL)
        if probe.returncode == 0:
            return python
    return None


class Sides:
    """How each side is called for a work."""

    def __init__(self, given):
        self.bench = os.path.join(given.build, "tests/bench/bench_transformer")
        self.machine = os.path.join(given.build, "tests/bench/bench_machine")
        self.python, self.threads = peer_python(given.python), given.threads
        # The same kernels for both: by itself, OpenBLAS may not know a young processor.
        core = run([self.bench, "decode", "S1"])[0]["blas_core"].split(",")[0]
        os.environ.setdefault("OPENBLAS_CORETYPE", core)

    def ours(self, work, shape, batch=0, *options):
        options = [option for option in options if option != "--response-logits"]
        return run([self.bench, work, shape, *self.common(batch), *options])[0]

    def peer(self, work, shape, batch=0, *options):
        if self.python is None:
            return None
        return run([self.python, PEER, work, shape, *self.common(batch), *options])[0]

    def common(self, batch):
        return [f"--threads={self.threads}"] + ([f"--batch={batch}"] if batch else [])

    def peaks(self):
        """FLOP/s and bytes/s by number of threads."""
        peaks = {"sgemm": {}, "read": {}}
        for each in run([self.machine]):
            peaks[each["work"]][each["threads"]] = each.get("flops_per_second",
                                                            each.get("bytes_per_second"))
        return peaks


# ---- the same model on both sides ----

def disagreement(ours, peer):
    """Largest relative difference of losses, or the share of tokens that differ."""
    if "losses" in ours:
        return max(abs(a - b) / abs(b) for a, b in zip(ours["losses"], peer["losses"]))
    pairs = [(a, b) for mine, theirs in zip(ours["tokens"], peer["tokens"])
             for a, b in zip(mine, theirs)]
    return sum(a != b for a, b in pairs) / len(pairs)


def check(sides, rows):
    """Hold losses and likeliest tokens of the two sides against each other."""
    results = []
    for work, shape in rows:
        difference = disagreement(sides.ours(work, shape, 0, "--check"),
                                  sides.peer(work, shape, 0, "--check"))
        # A near tie may go either way, and then takes the rest of its sequence along.
        good = difference <= (0.05 if work == "sample" else TOLERANCE)
        what = "likeliest tokens differ" if work == "sample" else "relative difference of losses"
        print(f"    {work} {shape}: {what}: {difference:.1e}{'' if good else '   TOO MUCH'}",
              flush=True)
        results.append({"work": work, "shape": shape, "difference": difference, "good": good})
    return results


# ---- speed ----

def take_turns(sides, row, turns, more, options):
    """So many pairs of turns in which others let us be; or the quietest, after so many more."""
    pairs = []
    while len(pairs) < turns or (len(pairs) < turns + more and
                                 sum(others(pair) <= NOISE for pair in pairs) < turns):
        pairs.append((sides.ours(*row, *options), sides.peer(*row, *options)))
    return zip(*sorted(pairs, key=others)[:turns])


def compare(sides, row, turns, more, options):
    """Turns of both sides on one work, and what they come to."""
    ours, peer = take_turns(sides, row, turns, more, options)
    result = {"work": row[0], "shape": row[1], "batch": ours[0]["batch"],
              "peer_options": list(row[3:]), "threads": sides.threads, "ours": ours,
              "tokens_per_second": middle(ours), "others_cpu": others(ours + peer)}
    if peer[0]:
        ratios = [a["tokens_per_second"] / b["tokens_per_second"] for a, b in zip(ours, peer)]
        result.update(peer=peer, peer_tokens_per_second=middle(peer),
                      ratio=middle(ours) / middle(peer), ratio_least=min(ratios),
                      ratio_most=max(ratios))
    return result


def add_beside(sides, result, row, turns, options):
    """Training once more, with SGEMM between the steps."""
    if row[0] == "train":
        result["beside"] = [sides.ours(*row, *options, "--beside") for _ in range(turns)]


def middle(turns):
    return statistics.median(turn["tokens_per_second"] for turn in turns)


def others(turns):
    return max(turn["others_cpu"] for turn in turns if turn)


def add_shares(result, peaks):
    """Shares of what the machine can do: FLOP/s of training, bytes/s of decoding."""
    threads, ours = result["threads"], result["ours"][0]
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
        result["per_second"] = result["tokens_per_second"] * unit
        result["share_of_peak"] = result["per_second"] / peak
        if "ratio" in result:
            result["peer_share_of_peak"] = result["share_of_peak"] / result["ratio"]


def percent(share):
    return "" if share is None else f"{100 * share:.0f} %"


def table_head(peer):
    columns = ["work", "shape", "batch", "Regatta, tokens/s"]
    columns += ["PyTorch, tokens/s", "ratio (least to most)"] if peer else []
    columns += ["of peak"] + (["PyTorch's"] if peer else []) + ["beside", "others' CPU"]
    return "\n".join(["| " + " | ".join(columns) + " |", "|" + " --- |" * len(columns)])


def table_row(result):
    name = result["work"] + ("¹" if result["peer_options"] else "")
    cells = [name, result["shape"], str(result["batch"]), f"{result['tokens_per_second']:,.0f}"]
    if "ratio" in result:
        cells += [f"{result['peer_tokens_per_second']:,.0f}",
                  f"{result['ratio']:.2f} ({result['ratio_least']:.2f} to "
                  f"{result['ratio_most']:.2f})"]
    cells.append(percent(result.get("share_of_peak")))
    if "ratio" in result:
        cells.append(percent(result.get("peer_share_of_peak")))
    cells.append(percent(result.get("share_beside")))
    cells.append(f"{result['others_cpu']:.2f}{' !' if result['others_cpu'] > NOISE else ''}")
    return "| " + " | ".join(cells) + " |"


def print_flops(results):
    """FLOPs per trained token, where our own count and the standard one are far apart."""
    for result in results:
        standard, counted = result.get("flops_per_token"), result.get("counted_flops_per_token")
        if standard and abs(counted / standard - 1) > 0.05:
            print(f"    train {result['shape']}: {standard / 1e6:.1f} MFLOP per token by the "
                  f"standard formula, {counted / 1e6:.1f} by our operators' own count")


# ---- memory ----

def memory(sides):
    """Peak resident memory of a step of full DPO fine-tuning, each side in its own process."""
    ours, peer = sides.ours(*MEMORY, "--rounds=2"), sides.peer(*MEMORY, "--rounds=2")
    need = 4 * ours["weight_bytes"]
    result = {"work": "memory", "shape": MEMORY[1], "four_weights_bytes": need,
              "peak_bytes": ours["peak_bytes"], "peer_peak_bytes": peer and peer["peak_bytes"]}
    print(f"Peak memory of DPO on {MEMORY[1]}: {ours['peak_bytes'] / 2**30:.2f} GiB, "
          f"{ours['peak_bytes'] / need:.2f} of weights, gradient and both moments "
          f"({need / 2**30:.2f} GiB)"
          + (f"; PyTorch {peer['peak_bytes'] / 2**30:.2f} GiB" if peer else ""), flush=True)
    return result


# ---- the whole ----

def machine(sides):
    """What has to be known to read the figures."""
    with open("/proc/cpuinfo") as cpuinfo:
        lines = [line.split(":", 1)[1].strip() for line in cpuinfo if line.startswith("model name")]
    about = {"cpu": lines[0] if lines else platform.machine(), "processors": os.cpu_count(),
             "threads": sides.threads, "system": platform.release(),
             "date": time.strftime("%Y-%m-%d %H:%M %Z")}
    if sides.python:
        versions = subprocess.run(
            [sides.python, "-c", "import torch, platform;"
             "print(torch.__version__, platform.python_version())"],
            stdout=subprocess.PIPE, text=True).stdout.split()
        about["pytorch"], about["python"] = versions
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


def print_machine(about, peaks, sides):
    print(f"{about['cpu']}, {about['processors']} processors; {about['threads']} threads; Linux "
          f"{about['system']}; {about['date']}")
    for threads, flops in peaks["sgemm"].items():
        print(f"{threads} thread{'s' if threads > 1 else ' '}: SGEMM {flops / 1e9:.0f} GFLOP/s, "
              f"reading {peaks['read'][threads] / 1e9:.1f} GB/s")
    if sides.python:
        print(f"PyTorch {about['pytorch']}, Python {about['python']} ({sides.python})")
    else:
        print("No Python with torch and numpy (Debian: python3-torch): only our own side follows.")
    print(flush=True)


def arguments():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="fewer and shorter turns")
    parser.add_argument("--only", default="", help="only works whose name, such as \"train S1\", "
                                                   "contains this")
    parser.add_argument("--check", action="store_true", help="only check that both sides agree")
    parser.add_argument("--turns", type=int, help="turns of each side (5; quick: 2)")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--build", default=".", help="the build folder (.)")
    parser.add_argument("--python", help="interpreter that has PyTorch")
    parser.add_argument("--json", default="bench.json", help="where to write all figures")
    return parser.parse_args()


def wanted_rows(given):
    rows = [row for row in ROWS if given.only in f"{row[0]} {row[1]}"]
    return [row for row in rows if len(row) == 3] if given.quick else rows


def main():
    given = arguments()
    sides = Sides(given)
    if given.check and not sides.python:
        sys.exit("compare.py: nothing to check against: no Python with torch and numpy")
    report = {"checks": [], "results": []}
    if sides.python and (given.check or not given.only):
        print("Same weights, same tokens, three steps of AdamW:", flush=True)
        report["checks"] = check(sides, CHECKS[:QUICK_CHECKS if given.quick else None])
        if not all(each["good"] for each in report["checks"]):
            sys.exit("compare.py: the two sides do not compute the same")
        if given.check:
            return
        print()

    report["machine"], peaks = machine(sides), sides.peaks()
    print_machine(report["machine"], peaks, sides)
    turns, more = given.turns or (2 if given.quick else 5), 0 if given.quick else 3
    options = ["--rounds=1", "--seconds=1.5"] if given.quick else ["--rounds=3", "--seconds=4"]
    print(table_head(sides.python), flush=True)
    for row in wanted_rows(given):
        result = compare(sides, row, turns, more, options)
        add_beside(sides, result, row, turns, options)
        add_shares(result, peaks)
        print(table_row(result), flush=True)
        report["results"].append(result)
    print()
    if any(result["peer_options"] for result in report["results"]):
        print("¹ PyTorch takes the head on the responses' rows only (TRL by default: on all)\n")
    print_flops(report["results"])
    if not given.only or given.only in "memory":
        report["memory"] = memory(sides)

    report["peaks"] = best_peaks(peaks, sides.peaks())
    print_risen(peaks, report["peaks"])
    for result in report["results"]:
        add_shares(result, report["peaks"])
    with open(given.json, "w") as file:
        json.dump(report, file, indent=1)
    print(f"All figures: {given.json}")


if __name__ == "__main__":
    main()
