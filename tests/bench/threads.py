#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Which method leaves a thread idle when it trains on text?

    threads.py [--steps=N] [--threads=N] [--only=TEXT] [PROGRAM]

Of every registered method that trains, and of whole texts and a reward model beside them: seconds of
training, and over these the processor seconds and how many threads were busy, running or ready to
run. A method that stands out with half of what others have does not share its work.

Other processes hold processors, which lowers the processor seconds and makes threads wait for each
other. A thread that only waits for a processor is busy here, so that the last column tells an idle
one on a shared machine, too; close to the number of threads it comes where as many cores are free.

Training is told from loading, labelling and evaluating by the difference of two runs, of which one
has N more steps (default 10). Nothing passes or fails. The text is that of experiments/data/verses.
"""
import argparse
import glob
import os
import subprocess
import sys
import tempfile
import time

TREE = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
FEWEST = 2  # steps of the shorter run
EVERY = 0.02  # seconds between looks at the threads
NOT_TRAINED = ("base", "best-of-n", "rlhf")
# Options of a method: those of experiments/verses/head-to-head.cfg, where the defaults take minutes a step.
OPTIONS = {"parl": 'estimator="neumann"; inverse_step=1e-4; iterations=2; curvature_prompts=2;'}


def of_threads(pid):
    """Nanoseconds on a processor and ready for one, by thread (Linux, proc(5))."""
    found = {}
    for path in glob.glob(f"/proc/{pid}/task/*/schedstat"):
        try:
            with open(path, encoding="ascii") as file:
                found[path] = [int(word) for word in file.read().split()[:2]]
        except (OSError, ValueError):
            pass  # it has ended meanwhile
    return {path: times for path, times in found.items() if len(times) == 2}


def run(arguments, overrides):
    """Seconds of a run: by the clock, on processors, and on or ready for them."""
    with tempfile.TemporaryDirectory() as folder:
        command = [arguments.program, "run", os.path.join(TREE, "experiments/verses/quick.cfg"),
                   "-q", "-t", str(arguments.threads), "-r", os.path.join(folder, "run.db"),
                   "--checkpoint-seconds=1e6", "-s", "environment.pair_count=200",
                   "-s", "environment.test_prompts=8"]
        for override in overrides:
            command += ["-s", override]
        # A thread that spins is not busy.
        environment = dict(os.environ, OMP_WAIT_POLICY="passive")
        start, seen = time.monotonic(), {}
        with subprocess.Popen(command, env=environment, stdin=subprocess.DEVNULL) as process:
            while process.poll() is None:
                seen.update(of_threads(process.pid))
                time.sleep(EVERY)
            wall = time.monotonic() - start
        if process.returncode != 0:
            sys.exit(f"threads.py: {' '.join(command)}: status {process.returncode}")
    running = sum(times[0] for times in seen.values()) / 1e9
    return wall, running, running + sum(times[1] for times in seen.values()) / 1e9


def works(arguments):
    """Name, overrides, and the two that training is the difference of."""
    listed = subprocess.run([arguments.program, "list"], check=True, capture_output=True, text=True)
    methods = listed.stdout.split("\n\n")[0].splitlines()[1:]
    steps = [f"budget.steps={count}" for count in (FEWEST, FEWEST + arguments.steps)]
    for method in (line.split()[0] for line in methods):
        if method not in NOT_TRAINED:
            options = OPTIONS.get(method, "")
            yield method, [f'algorithms=({{type="{method}"; {options}}})'], steps
    yield "sft on whole texts", ['algorithms=({type="sft";})',
                                 'environment.demonstrations="corpus"'], steps
    yield "reward model, epochs", ['algorithms=({type="base";})',
                                   'environment.judge.type="reward-model"'], [
        f"environment.judge.epochs={count}" for count in (1, 3)]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("program", nargs="?", default=os.path.join(TREE, "build/regatta"))
    parser.add_argument("--steps", type=int, default=10, help="that are measured (default: 10)")
    parser.add_argument("--threads", type=int, default=2, help="of the program (default: 2)")
    parser.add_argument("--only", default="", help="works whose name has this text")
    arguments = parser.parse_args()
    if not os.path.isdir(os.path.join(TREE, "data/verses")):
        sys.exit("threads.py: no data/verses, which experiments/data/verses makes")
    print(f"{'training, ' + str(arguments.threads) + ' threads':24} {'seconds':>8} {'processor':>10}"
          f" {'busy':>6}")
    for name, overrides, pair in works(arguments):
        if arguments.only not in name:
            continue
        fewer, more = (run(arguments, overrides + [one]) for one in pair)
        wall, running, busy = (b - a for a, b in zip(fewer, more))
        print(f"{name:24} {wall:8.2f} {running / wall:10.2f} {busy / wall:6.2f}", flush=True)


if __name__ == "__main__":
    main()
