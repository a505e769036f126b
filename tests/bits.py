#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Digests of trained weights, and the file of those that are expected. See check-bits.sh.

    bits.py digests RESULTS.db...                print "kernels, config and label, digest" of each trial
    bits.py compare GOLDEN BUILT MEASURED        hold what digests printed against GOLDEN
    bits.py update GOLDEN BUILT VERSION MEASURED...
                                                 write GOLDEN anew; refused where weights move and
                                                 VERSION, of the results, is the one of before

GOLDEN has a row for each trial and a column for each family of kernels. BUILT is what the program was
built with; of another compiler, C library or OpenBLAS nothing is known.
"""
import hashlib
import json
import pathlib
import re
import sqlite3
import sys

VERSIONS = re.compile(r"(GCC|clang) (\d+)[^,]*?( with FMA)?, (glibc [\d.]+), (OpenBLAS [\d.]+)")
VERSION_LINE = "# Version of the results: "


def decides(built):
    """What of BUILT decides bits: patch releases of a compiler do not."""
    found = VERSIONS.match(built)
    return ", ".join([f"{found[1]} {found[2]}{found[3] or ''}", found[4], found[5]]) if found else built


def read_weights(path):
    """The policy's numbers: not the header, which names the trial, nor the factors of an adapter, which are
    in the weights."""
    data = path.read_bytes()
    begin = 8 + int.from_bytes(data[:8], "little")
    tensors = [value["data_offsets"] for name, value in json.loads(data[8:begin]).items()
               if name != "__metadata__" and not name.endswith((".lora_A", ".lora_B"))]
    return b"".join(data[begin + first:begin + end] for first, end in sorted(tensors))


def digests(stores):
    for store in map(pathlib.Path, stores):
        rows = sqlite3.connect(store).execute(
            "SELECT label, key, status, provenance FROM trials ORDER BY label, seed")
        for label, key, status, provenance in rows:
            if status != "finished":
                sys.exit(f"FAIL: {store}: {label} is {status}")
            kernels = ", ".join(json.loads(provenance)["blas_core"].split(", ")[:2])
            weights = read_weights(store.with_suffix("").joinpath(f"{key}.safetensors"))
            print(kernels, f"{store.stem} {label}", hashlib.sha256(weights).hexdigest()[:12], sep="\t")


def read_measured(path):
    """{kernels: {trial: digest}}"""
    table = {}
    for line in pathlib.Path(path).read_text().splitlines():
        kernels, trial, digest = line.split("\t")
        table.setdefault(kernels, {})[trial] = digest
    return table


def read_golden(path):
    lines = [line for line in pathlib.Path(path).read_text().splitlines() if line[:1] != "#"]
    header = lines[1].split("\t")[1:]
    rows = [line.split("\t") for line in lines[2:]]
    return lines[0], {kernels: {row[0]: row[i + 1] for row in rows} for i, kernels in enumerate(header)}


def compare(golden, built, measured):
    expected_of, expected = read_golden(golden)
    if decides(built) != expected_of:
        print(f"SKIP: bits are known of {expected_of}; this build is of {decides(built)}")
        return
    (kernels, found), = read_measured(measured).items()
    if kernels not in expected:
        print(f"SKIP: bits are not known of the kernels {kernels}")
        return
    failures = 0
    for trial in sorted(found.keys() | expected[kernels].keys()):
        left, right = expected[kernels].get(trial, "none"), found.get(trial, "none")
        if left != right:
            failures += 1
            print(f"FAIL: {trial}: other weights on {kernels}: {right}, expected {left}")
    if failures:
        print("Where this is meant, raise RG_RESULTS_VERSION (experiments/program/config/results_version.h), run"
              " tests/check-bits.sh --update and say why in the commit.")
        sys.exit(1)
    print(f"{len(found)} trials: the weights of before, bit for bit, on {kernels}")


def results_version(golden):
    for line in pathlib.Path(golden).read_text().splitlines():
        if line.startswith(VERSION_LINE):
            return line[len(VERSION_LINE):]
    return None


def moved(golden, built, table):
    """Trials that leave other weights than GOLDEN has of them, on any kernels of the same build."""
    expected_of, expected = read_golden(golden)
    if decides(built) != expected_of:
        return []
    return sorted({trial for kernels, column in table.items() for trial, digest in column.items()
                   if expected.get(kernels, {}).get(trial, digest) not in (digest, "none")})


def update(golden, built, version, measured):
    table = {}
    for path in measured:
        table.update(read_measured(path))
    others = moved(golden, built, table)
    if others and version == results_version(golden):
        print(f"FAIL: {len(others)} trials leave other weights, {others[0]} for one, and the version of the results is"
              f" \"{version}\" as before: raise RG_RESULTS_VERSION in experiments/program/config/results_version.h, build, and"
              " update again. Nothing was written.")
        sys.exit(1)
    trials = sorted({trial for column in table.values() for trial in column})
    with open(golden, "w", encoding="ascii") as out:
        print("# SHA-256 (12 digits) of the weights that each trial of tests/check-bits.sh leaves, by"
              " family of kernels.", file=out)
        print("# Written by tests/check-bits.sh --update.", file=out)
        print(VERSION_LINE + version, file=out)
        print(decides(built), file=out)
        print("trial", *table, sep="\t", file=out)
        for trial in trials:
            print(trial, *(column.get(trial, "none") for column in table.values()), sep="\t", file=out)
    print(f"{len(trials)} trials, {len(others)} of them with other weights; version of the results: {version}")


if __name__ == "__main__":
    command, *arguments = sys.argv[1:]
    if command == "digests":
        digests(arguments)
    elif command == "compare":
        compare(*arguments)
    else:
        update(arguments[0], arguments[1], arguments[2], arguments[3:])
