#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Stores that a stranger made or a disk damaged, from a good one, for check-stores.sh.

    hostile_stores.py old GOOD.db OLD.db                  as a program before STRICT tables wrote it
    hostile_stores.py change OLD.db NEW.db STATEMENT...   with statements run on it
    hostile_stores.py damage PROGRAM GOOD.db FOLDER       all of the damages, each with every command

The last one fails where a command crashes, or ends well with other numbers than those of GOOD.db.
"""
import os
import random
import re
import shutil
import sqlite3
import subprocess
import sys


def as_old(good, old):
    source = sqlite3.connect(f"file:{good}?immutable=1", uri=True)
    store = sqlite3.connect(old)
    newer = ("weights", "last_run")
    store.execute(f"PRAGMA application_id = {source.execute('PRAGMA application_id').fetchone()[0]}")
    store.execute("PRAGMA user_version = 2")
    for kind, name, text in source.execute(
        "SELECT type, name, sql FROM sqlite_master WHERE sql NOT NULL ORDER BY type DESC"
    ).fetchall():
        if name in newer:
            continue
        store.execute(re.sub(r"(, *|\s+)STRICT\s*$", "", text))
        if kind == "table":
            for row in source.execute(f"SELECT * FROM {name}").fetchall():
                store.execute(f"INSERT INTO {name} VALUES ({','.join('?' * len(row))})", row)
    store.execute("ALTER TABLE trials DROP COLUMN selected")
    store.commit()
    store.close()


def change(old, new, statements):
    shutil.copy(old, new)
    store = sqlite3.connect(new)
    for statement in statements:
        store.execute(statement)
    store.commit()
    store.close()


def damages(content):
    """(name, damaged content), from the header to the last page."""
    fortune = random.Random(1)
    page = int.from_bytes(content[16:18], "big")
    pages = len(content) // page

    def put(name, at, patch):
        return name, content[:at] + patch + content[at + len(patch):]

    for at in (0, 16, 18, 20, 24, 28, 32, 36, 40, 44, 47, 52, 56, 60, 64, 68, 92):
        yield put(f"header-{at}", at, b"\xff\xff")
        yield put(f"header-{at}-zero", at, b"\0\0\0\0")
    for number in range(1, pages + 1):
        at = (number - 1) * page
        yield put(f"page-{number}-zero", at, bytes(page))
        yield put(f"page-{number}-random", at, fortune.randbytes(page))
        sector = at + 512 * fortune.randrange(page // 512)
        yield put(f"sector-of-{number}-zero", sector, bytes(512))
        yield put(f"sector-of-{number}-random", sector, fortune.randbytes(512))
        yield put(f"page-{number}-fewer-cells", at + (103 if number == 1 else 3), b"\0\1")
    yield "cut-in-half", content[: len(content) // 2]
    yield "cut-by-a-page", content[:-page]


def output(program, arguments, folder):
    ended = subprocess.run([program, *arguments], cwd=folder, capture_output=True, timeout=60)
    return ended.returncode, ended.stdout, ended.stderr


def damage(program, good, folder):
    commands = [
        ["table", "x.db", "-f", "csv", "-m", "reward,kl,loss,flops,judge_queries"],
        ["compare", "x.db", "-f", "csv"],
        ["budget", "x.db", "-f", "csv", "-x", "step", "-n", "3"],
    ]
    content = open(good, "rb").read()
    path = os.path.join(folder, "x.db")

    def run_all(name, data):
        for ending in ("", "-wal", "-shm", "-journal"):
            if os.path.exists(path + ending):
                os.unlink(path + ending)
        open(path, "wb").write(data)
        return [output(program, arguments, folder) for arguments in commands]

    right = run_all("good", content)
    assert all(code == 0 for code, _, _ in right), right
    places = list(damages(content))
    fortune = random.Random(2)
    if len(places) > 110:
        places = sorted(fortune.sample(places, 110), key=lambda place: place[0])
    refused = failures = 0
    for name, data in places:
        for arguments, (code, out, err), (_, expected, _) in zip(commands, run_all(name, data), right):
            problem = None
            if code not in (0, 1, 2):
                problem = f"exit status {code}"
            elif code == 0 and out != expected:
                problem = "other numbers, and exit status 0"
            elif code != 0 and (not err.startswith(b"regatta: ") or err.count(b"\n") != 1):
                problem = f"no clear line: {err!r}"
            if problem:
                print(f"FAIL: {name}: regatta {arguments[0]}: {problem}")
                failures += 1
            refused += code != 0
    print(f"{len(places)} damages, {refused} refusals of {len(places) * len(commands)}, {failures} failures")
    return 1 if failures or refused == 0 else 0


if sys.argv[1] == "old":
    as_old(*sys.argv[2:4])
elif sys.argv[1] == "change":
    change(sys.argv[2], sys.argv[3], sys.argv[4:])
else:
    sys.exit(damage(*sys.argv[2:5]))
