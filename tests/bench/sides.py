# SPDX-License-Identifier: MIT
"""The sides of a comparison: Regatta, and the peers that are there. How each is called, with which
kernels, and what can be told of it. What is compared, and how, is compare.py's."""
import json
import os
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
SAMPLING = ("decode", "sample", "score")
MODELS = ("S1", "S2")  # shapes of which peers get a model

# What makes a side take the kernels of a family of instructions. OpenBLAS's of that family are those
# that Regatta tells; PyTorch gets the same.
FAMILIES = {
    "avx2": {"REGATTA_KERNELS": "avx2", "ATEN_CPU_CAPABILITY": "avx2",
             "ONEDNN_MAX_CPU_ISA": "AVX2"},
    "avx512": {"REGATTA_KERNELS": "avx512", "ATEN_CPU_CAPABILITY": "avx512"},
}


def processor_has(family):
    with open("/proc/cpuinfo") as cpuinfo:
        return {"avx2": "avx2", "avx512": "avx512vl"}[family] in cpuinfo.read().split()


class Failed(Exception):
    """A side's process ended with an error."""


# ---- a command, and who else was at work ----

def busy_seconds():
    """CPU time that anything used since the machine started, and what its host took from it."""
    with open("/proc/stat") as stat:
        user, nice, system, _, _, irq, softirq, steal = map(int, stat.readline().split()[1:9])
    ticks = os.sysconf("SC_CLK_TCK")
    return (user + nice + system + irq + softirq) / ticks, steal / ticks


def own_seconds():
    """CPU time of this process and of its children that ended."""
    return sum(os.times()[:4])


def run(command, environment=None):
    """The JSON objects that a command prints, and the processors that others kept busy."""
    (busy, stolen), own, start = busy_seconds(), own_seconds(), time.monotonic()
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, env=environment)
    if done.returncode != 0:
        raise Failed(f"{' '.join(command)} ended with status {done.returncode}")
    seconds = time.monotonic() - start
    (busy_after, stolen_after), own_after = busy_seconds(), own_seconds()
    others = max(0, busy_after - busy - (own_after - own)) / seconds
    objects = [json.loads(line) for line in done.stdout.splitlines()]
    for each in objects:
        each["others_cpu"] = round(others, 3)
        each["stolen_cpu"] = round((stolen_after - stolen) / seconds, 3)
    return objects


# ---- the sides ----

class Regatta:
    name = "Regatta"

    def __init__(self, build):
        self.bench = os.path.join(build, "tests/bench/bench_transformer")
        self.machine = os.path.join(build, "tests/bench/bench_machine")
        self.about = {}

    def knows(self, work, shape):
        return True

    def run(self, environment, work, shape, *options):
        result = run([self.bench, work, shape, *options], environment)[0]
        result["kernels"] = result["blas_core"]
        return result

    def peaks(self, environment):
        """FLOP/s and bytes/s by number of threads."""
        peaks = {"sgemm": {}, "read": {}}
        for each in run([self.machine], environment):
            peaks[each["work"]][each["threads"]] = each.get("flops_per_second",
                                                            each.get("bytes_per_second"))
        return peaks


class PyTorch:
    name = "PyTorch"

    def __init__(self, python):
        self.python = python
        found = subprocess.run(
            [python, "-c", "import torch, platform;"
             "print(torch.__version__, platform.python_version())"],
            stdout=subprocess.PIPE, text=True).stdout.split()
        self.about = {"pytorch": found[0], "python": found[1]}

    def knows(self, work, shape):
        return True

    def run(self, environment, work, shape, *options):
        peer = os.path.join(HERE, "peer_pytorch.py")
        return run([self.python, peer, work, shape, *options], environment)[0]


class Compiled:
    """A peer in C, on models that a script writes from what Regatta exports."""

    def __init__(self, program, models):
        self.program, self.models = program, models
        self.about = {}

    def knows(self, work, shape):
        return work in SAMPLING and shape in MODELS

    def run(self, environment, work, shape, *options):
        # Its own threads must not spin beside those of the library.
        environment = {**environment, "OMP_WAIT_POLICY": "passive"}
        result = run([self.program, work, shape, self.model(work, shape),
                      *self.chosen(environment), *options], environment)[0]
        self.about = {self.name: result["version"]}
        return result

    def chosen(self, environment):
        return []


class OnnxRuntime(Compiled):
    """Its kernels are the processor's: there is no switch for another family."""
    name = "ONNX Runtime"

    def model(self, work, shape):
        return os.path.join(self.models, shape, "score.onnx" if work == "score" else "decode.onnx")


class LlamaCpp(Compiled):
    """Its package has a library of kernels for each family, of which --kernels chooses."""
    name = "llama.cpp"

    def model(self, work, shape):
        return os.path.join(self.models, shape, "model.gguf")

    def chosen(self, environment):
        return [f"--kernels={environment['REGATTA_KERNELS']}"] \
            if "REGATTA_KERNELS" in environment else []


# ---- which sides are there ----

def python_with(modules, wanted=None):
    """An interpreter that has them, or None: Debian's has them where another may come first."""
    for python in [wanted] if wanted else ["/usr/bin/python3", sys.executable]:
        probe = subprocess.run([python, "-c", f"import {modules}"], stderr=subprocess.DEVNULL)
        if probe.returncode == 0:
            return python
    return None


def write_models(regatta, folder, environment):
    """The weights of Regatta's policies for the other peers. False where numpy is missing."""
    python = python_with("numpy")
    if python is None:
        return False
    for shape in MODELS:
        path = os.path.join(folder, shape)
        at = {name: os.path.join(path, name) for name in ("model.gguf", "decode.onnx", "score.onnx")}
        for command in ([regatta.bench, "score", shape, f"--export={path}"],
                        [python, "-B", os.path.join(HERE, "write_gguf.py"), path,
                         at["model.gguf"]],
                        [python, "-B", os.path.join(HERE, "write_onnx.py"), path,
                         at["decode.onnx"], at["score.onnx"]]):
            subprocess.run(command, check=True, env=environment)
    return True


class Sides:
    """Regatta, the peers that are there, and the environment that chooses their kernels."""

    def __init__(self, given, models):
        self.regatta, self.peers, self.missing = Regatta(given.build), [], []
        self.core = {}  # OpenBLAS's kernels by family
        python = python_with("torch, numpy", given.python)
        if python:
            self.peers.append(PyTorch(python))
        else:
            self.missing.append("PyTorch: no Python with torch and numpy (Debian: python3-torch)")
        self.add_compiled(given.peers or os.path.join(given.build, "peers"), models)

    def add_compiled(self, folder, models):
        programs = {OnnxRuntime: os.path.join(folder, "peer_onnx"),
                    LlamaCpp: os.path.join(folder, "peer_llama")}
        there = {side: path for side, path in programs.items() if os.access(path, os.X_OK)}
        if there and not write_models(self.regatta, models, self.environment(None)):
            self.missing.append("models for ONNX Runtime and llama.cpp: no Python with numpy")
            return
        self.peers += [side(path, models) for side, path in there.items()]
        self.missing += [f"{side.name}: not in {folder} (tests/bench/peers puts it there)"
                         for side in programs if side not in there]

    def environment(self, family):
        """OpenBLAS gets the same kernels on all sides: by itself, it may not know a young
        processor."""
        environment = {**os.environ, **FAMILIES.get(family, {})}
        if family:
            environment.pop("OPENBLAS_CORETYPE", None)
        if "OPENBLAS_CORETYPE" not in environment:
            if family not in self.core:
                probe = self.regatta.run(environment, "decode", "S1", "--rounds=1")
                self.core[family] = probe["blas_core"].split(",")[0]
            environment["OPENBLAS_CORETYPE"] = self.core[family]
        return environment

    def knowing(self, work, shape):
        return [peer for peer in self.peers if peer.knows(work, shape)]
