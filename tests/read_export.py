#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Reads what regatta export-results wrote and holds it against the results store itself.

  read_export.py STORE CSV_FOLDER JSONL_FOLDER EVENTS_FOLDER
  read_export.py STORE live EVENTS_FOLDER       written by regatta run --tensorboard

CSV is read by Python's csv module, JSON by its json module. Event files are read here: records
with both checksums, then protocol buffers by their wire format, knowing nothing of the writer.
"""
import csv
import json
import math
import os
import sqlite3
import struct
import sys

store = sqlite3.connect(sys.argv[1])
live = sys.argv[2] == "live"
csv_folder, jsonl_folder, events_folder = sys.argv[2:] if not live else ("", "", sys.argv[3])
METER = ["flops", "seconds", "trained_tokens", "generated_tokens", "judge_queries",
         "dataset_responses", "hessian_products", "peak_memory", "evaluated"]
OWNER = "JOIN trials t ON t.id = r.trial JOIN experiments e ON e.id = t.experiment"
EXPECTED = {
    "trials": ("experiment key algorithm label seed status reason swept config provenance updated"
               " selected experiment_config",
               "SELECT e.name, key, algorithm, label, seed, status, reason, swept, t.config,"
               " provenance, updated, selected, e.config FROM trials t JOIN experiments e"
               " ON e.id = t.experiment"),
    "metrics": ("experiment key step name value " + " ".join(METER),
                "SELECT e.name, key, r.step, m.name, m.value, " + ", ".join(METER) +
                " FROM readings r LEFT JOIN metrics m USING (trial, step) " + OWNER),
    "items": ("experiment key step item name value",
              f"SELECT e.name, key, step, item, r.name, value FROM evaluations r {OWNER}"),
    "responses": ("experiment key step item prompt response",
                  f"SELECT e.name, key, step, item, prompt, response FROM responses r {OWNER}"),
}


def fail(what):
    sys.exit(f"FAIL: {what}")


def same(found, expected, what):
    """Both as multisets of rows."""
    found, expected = sorted(map(repr, found)), sorted(map(repr, expected))
    if found != expected:
        one = next((pair for pair in zip(found, expected) if pair[0] != pair[1]), None)
        fail(f"{what}: {len(found)} rows, expected {len(expected)}; {one}")
    if not found:
        fail(f"{what}: no rows")


def read_csv(name):
    """Values by the type that the store has for the column; an empty field is None."""
    path = os.path.join(csv_folder, name + ".csv")
    raw = open(path, newline="", encoding="utf-8").read()
    if raw.count("\r\n") < 2 or not raw.endswith("\r\n"):
        fail(f"{path}: lines do not end in CRLF")
    return list(csv.reader(raw.splitlines(keepends=True), strict=True))


def check_csv(name, columns, rows):
    lines = read_csv(name)
    if lines[0] != columns.split():
        fail(f"{name}.csv: header {lines[0]}")
    # The csv module tells no empty field from an empty text; reals are compared by their bits.
    as_read = [tuple("" if value is None else float(value) if isinstance(value, float) else
                     str(value) for value in row) for row in rows]
    types = [[type(value) for value in row] for row in as_read]
    kinds = {i: float for row in types for i, kind in enumerate(row) if kind is float}
    found = [tuple(kinds[i](value) if i in kinds and value != "" else value
                   for i, value in enumerate(line)) for line in lines[1:]]
    expected = [tuple(kinds[i](value) if i in kinds and value != "" else value
                      for i, value in enumerate(row)) for row in as_read]
    same(found, expected, name + ".csv")


def json_value(column, value):
    if isinstance(value, float) and math.isinf(value):
        return "Infinity" if value > 0 else "-Infinity"
    return json.loads(value) if column in ("swept", "config", "provenance",
                                           "experiment_config") else value


def check_jsonl(name, columns, rows):
    columns = columns.split()
    with open(os.path.join(jsonl_folder, name + ".jsonl"), encoding="utf-8") as lines:
        found = [json.loads(line, parse_constant=fail) for line in lines]
    expected = [{c: json_value(c, v) for c, v in zip(columns, row)} for row in rows]
    order = [sorted(one.items(), key=lambda pair: pair[0]) for one in found]
    same(order, [sorted(one.items(), key=lambda pair: pair[0]) for one in expected],
         name + ".jsonl")


# ---- event files ----

TABLE = []
for byte in range(256):
    for _ in range(8):
        byte = byte >> 1 ^ (0x82F63B78 if byte & 1 else 0)
    TABLE.append(byte)


def crc32c(data):
    crc = 0xFFFFFFFF
    for byte in data:
        crc = TABLE[(crc ^ byte) & 0xFF] ^ crc >> 8
    return crc ^ 0xFFFFFFFF


if crc32c(b"123456789") != 0xE3069283:  # the check value of CRC-32C in RFC 3720's catalogue
    fail("the checksum of this reader is wrong")


def unmasked(value):
    value = (value - 0xA282EAD8) & 0xFFFFFFFF
    return (value >> 17 | value << 15) & 0xFFFFFFFF


def records(path):
    data, at = open(path, "rb").read(), 0
    while at < len(data):
        length, length_crc = struct.unpack_from("<QI", data, at)
        if unmasked(length_crc) != crc32c(data[at:at + 8]):
            fail(f"{path}: checksum of the length at byte {at}")
        content = data[at + 12:at + 12 + length]
        (content_crc,) = struct.unpack_from("<I", data, at + 12 + length)
        if unmasked(content_crc) != crc32c(content):
            fail(f"{path}: checksum of the content at byte {at}")
        yield content
        at += length + 16


def varint(data, at):
    value = shift = 0
    while True:
        value |= (data[at] & 0x7F) << shift
        shift += 7
        at += 1
        if not data[at - 1] & 0x80:
            return value, at


def fields(data):
    """(number, value) of each field of a message."""
    at = 0
    while at < len(data):
        key, at = varint(data, at)
        if key & 7 == 0:
            value, at = varint(data, at)
        elif key & 7 == 2:
            length, at = varint(data, at)
            value, at = data[at:at + length], at + length
        else:
            size, form = {1: (8, "<d"), 5: (4, "<f")}[key & 7]
            (value,) = struct.unpack_from(form, data, at)
            at += size
        yield key >> 3, value
    if at != len(data):
        fail("a message is cut short")


def read_events(path):
    """Scalars as {(tag, step): value}, texts as {tag: text}, wall times as {step: seconds}."""
    scalars, texts, times, version = {}, {}, {}, None
    for number, record in enumerate(records(path)):
        event = dict(fields(record))
        if number == 0:
            version = event[3]
            # As the files of TensorFlow's and PyTorch's own writers begin: 24 bytes, and the
            # masked checksum of that length.
            if open(path, "rb").read(12) != bytes.fromhex("1800000000000000a37f4b22"):
                fail(f"{path}: does not begin as event files do")
            continue
        step = event.get(2, 0)
        times.setdefault(step, event[1])
        for field, value in fields(event[5]):
            parts = dict(fields(value))
            tag = parts[1].decode()
            if field != 1 or (tag, step) in scalars:
                fail(f"{path}: field {field}, tag {tag}")
            if 2 in parts:
                scalars[tag, step] = parts[2]
            else:
                tensor = dict(fields(parts[8]))
                plugin = dict(fields(dict(fields(parts[9]))[1]))
                if tensor[1] != 7 or plugin[1] != b"text":
                    fail(f"{path}: tag {tag} is no text")
                texts[tag] = tensor[8].decode()
    if version != b"brain.Event:2":
        fail(f"{path}: file version {version}")
    return scalars, texts, times


def as_float(value):
    return math.nan if value is None else struct.unpack("<f", struct.pack("<f", value))[0]


def check_trial_events(trial, experiment, label, seed, key, updated):
    path = os.path.join(events_folder, experiment, label.replace("/", "_"), f"seed-{seed}-{key}",
                        "events.out.tfevents.regatta")
    scalars, texts, times = read_events(path)
    expected = {(name, step): as_float(value) for name, step, value in store.execute(
        "SELECT name, step, value FROM metrics WHERE trial = ?", (trial,))}
    for column in METER[:5] + METER[6:8]:
        expected.update({("meter/" + column, step): as_float(value) for step, value in
                         store.execute(f"SELECT step, {column} FROM readings WHERE trial = ?",
                                       (trial,))})
    same(scalars.items(), expected.items(), path)
    if "algorithm.type" not in texts["settings/text_summary"].replace("\\", ""):
        fail(f"{path}: no settings")
    seconds = dict(store.execute("SELECT step, seconds FROM readings WHERE trial = ?", (trial,)))
    last = max(seconds, key=lambda step: seconds[step] or 0)
    if abs(times[last] - updated) > (3600 if live else 1e-3):
        fail(f"{path}: the last step is at {times[last]}, the trial ended at {updated}")
    return len(scalars)


def main():
    for name, (columns, query) in ({} if live else EXPECTED).items():
        rows = list(store.execute(query))
        check_csv(name, columns, rows)
        check_jsonl(name, columns, rows)
        print(f"{name}: {len(rows)} rows, in CSV and in JSON lines")
    runs = list(store.execute(
        "SELECT t.id, e.name, label, seed, key, CAST(strftime('%s', updated) AS REAL)"
        " FROM trials t JOIN experiments e ON e.id = t.experiment"))
    count = sum(check_trial_events(*run) for run in runs)
    print(f"{len(runs)} event files with {count} scalars")


main()
