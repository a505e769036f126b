#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Figures whose names are comments, quotes, formats and commands to gnuplot, for check-text.sh.

    drawn_figures.py config SOURCE                 a config whose labels are these names
    drawn_figures.py stores NAMES.db               stores made of its results: grid.db, list.db, over.db
    drawn_figures.py check KIND STORE.db FIGURE    FIGURE.svg, drawn of the store, shows its numbers and names

What gnuplot draws is what it prints of the script's curves after `set table`; it is held against the
results, computed here from the store, and each name has to be a text of the SVG file.
"""
import collections
import json
import re
import shutil
import sqlite3
import subprocess
import sys
import xml.etree.ElementTree as ElementTree

NAMES = [
    "#dpo", "'tis", "it''s", "''", '"quoted" text', '"', "50% data", "%s %d 100 %", "a\\nb\\\\c\\101",
    "$HOME $1 ${x} $(id)", "`touch pwned`", "@m _{s}^{t} &x ~y", "{/Bold x", "}", "|touch pwned", "<touch pwned",
    "=1+1", "-e", "<b>&amp;</b>", "</title>", "rgb(0,0,0) id='x'", "nan", "日本語 β", "a, b; c", "1e5", "!touch pwned",
    "~", "% \\input{x} \\write18{y} $z$ # _ ^", "[1:2]", "x" * 200,
]


def config(source):
    def quoted(text):
        return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'

    methods = ",\n".join(
        f'{{ type = "dpo"; label = {quoted(name)}; beta = {0.05 * (i + 1):.3f}; }}' for i, name in enumerate(NAMES)
    )
    print(f'''name = "names";
extends = "{source}/experiments/bandit/bandit.cfg";
seeds = [1, 2];
environment: {{ pairs = 100; }};
budget: {{ steps = 4; }};
evaluation: {{ every = 2; log_every = 2; }};
algorithms = (
{methods});''')


def stores(names):
    """The same trials as a sweep over one option and over two, and with a second judge's rewards."""
    store = sqlite3.connect(names)
    store.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    store.close()
    for name in ("grid", "list", "over"):
        shutil.copy(names, f"{name}.db")
        store = sqlite3.connect(f"{name}.db")
        for trial, label in store.execute("SELECT id, label FROM trials").fetchall():
            i = NAMES.index(label)
            swept = {
                "grid": {"part.row": NAMES[i // 6], "part.column": NAMES[6 + i % 6]},
                "list": {"part.option": label},
            }
            if name in swept:
                store.execute(
                    "UPDATE trials SET label = 'dpo', swept = ? WHERE id = ?", (json.dumps(swept[name]), trial)
                )
        if name == "over":
            store.execute(
                "INSERT INTO metrics SELECT trial, step, 'eval/independent_reward', 2 * value + 1"
                " FROM metrics WHERE name = 'eval/reward'"
            )
        store.commit()
        store.close()


# ---- what the store holds ----


class Results:
    def __init__(self, path):
        self.store = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
        self.groups = collections.OrderedDict()  # of trials, by label and swept values
        for trial, seed, label, swept in self.store.execute("SELECT id, seed, label, swept FROM trials ORDER BY id"):
            self.groups.setdefault((label, tuple(json.loads(swept).values())), {})[seed] = trial

    def curve(self, group, metric):
        """{step: mean over seeds}"""
        values = collections.defaultdict(list)
        for trial in self.groups[group].values():
            for step, value in self.store.execute(
                "SELECT step, value FROM metrics WHERE trial = ? AND name = ?", (trial, f"eval/{metric}")
            ):
                values[step].append(value)
        return {step: sum(v) / len(v) for step, v in sorted(values.items())}

    def final(self, group, metric="reward"):
        return list(self.curve(group, metric).values())[-1]

    def path(self, group, x, y):
        xs, ys = self.curve(group, x), self.curve(group, y)
        return [(xs[step], ys[step]) for step in ys]

    def items(self, trial):
        return self.store.execute(
            "SELECT item, value FROM evaluations WHERE trial = ? AND name = 'reward' AND step ="
            " (SELECT max(step) FROM evaluations WHERE trial = ?) ORDER BY item", (trial, trial)
        ).fetchall()

    def win_rate(self, a, b):
        scores = [
            1.0 if x[1] > y[1] else 0.5 if x[1] == y[1] else 0.0
            for seed, trial in self.groups[a].items()
            for x, y in zip(self.items(trial), self.items(self.groups[b][seed]))
        ]
        return sum(scores) / len(scores)


def between(curve, at):
    steps = list(curve)
    for low, high in zip(steps, steps[1:]):
        if low <= at <= high:
            return curve[low] + (curve[high] - curve[low]) * (at - low) / (high - low)
    raise ValueError(at)


# ---- what gnuplot drew ----

NO_BAND = re.compile(r" \(\d seeds?: no band\)$")  # what the legend says after the name


def drawn(figure):
    """[(title or None, [[number, ...]])]"""
    with open(f"{figure}.gnuplot", encoding="utf-8") as script, open("table.gnuplot", "w", encoding="utf-8") as out:
        out.write("set table './table.txt'\n")
        out.writelines(line for line in script if not line.startswith(("set terminal", "set output")))
    subprocess.run(["gnuplot", "--default-settings", "table.gnuplot"], check=True)
    curves = []
    for line in open("table.txt", encoding="utf-8"):
        title = re.fullmatch(r'# Curve title: "(.*)"\n', line)
        if line.startswith("# Curve ") and not title:
            curves.append((None, []))
        elif title:
            curves[-1] = (NO_BAND.sub("", title[1]), [])
        elif line.strip() and not line.startswith("#"):
            numbers = [float(word) for word in re.findall(r'"[^"]*"|\S+', line) if re.fullmatch(r"[-+.\deE]+", word)]
            if line.split()[-1] != "u":
                curves[-1][1].append(numbers)
    return curves


def texts(figure):
    root = ElementTree.parse(f"{figure}.svg").getroot()
    return [
        NO_BAND.sub("", " ".join("".join(element.itertext()).split()))
        for element in root.iter("{http://www.w3.org/2000/svg}text")
    ]


failures = 0


def expect(truth, message):
    global failures
    if not truth:
        failures += 1
        print(f"FAIL: {sys.argv[4]}: {message}")


def close(a, b):
    return abs(a - b) <= 1e-5 * (1 + abs(b))


def are_same(got, expected):
    return len(got) == len(expected) and all(close(g[0], e[0]) and close(g[1], e[1]) for g, e in zip(got, expected))


def same_points(name, got, expected):
    expect(are_same(got, expected), f"{name}: drawn {got[:4]}, expected {expected[:4]}")


def check_curves(results, figure, expected, titles):
    """expected(group): the points of the curve that has the group's name in the legend."""
    curves = [curve for curve in drawn(figure) if curve[0] in titles]
    expect([title for title, _ in curves] == titles, f"curves of {[title for title, _ in curves]}")
    for (title, points), group in zip(curves, results.groups):
        same_points(title, points, expected(group))


def check_boxes(figure, rows, columns, expected):
    boxes = {(box[0], box[1]): box[6] for box in drawn(figure)[0][1]}
    expect(len(boxes) == len(rows) * len(columns), f"{len(boxes)} cells")
    for i, row in enumerate(rows):
        for j, column in enumerate(columns):
            got = boxes.get((j, len(rows) - 1 - i), float("nan"))
            expect(close(got, expected(row, column)), f"{row}, {column}: {got}, expected {expected(row, column)}")


def check(kind, store, figure):
    results = Results(store)
    labels = [label for label, _ in results.groups]
    swept = [values for _, values in results.groups]
    of_swept = {values: group for group, values in zip(results.groups, swept)}
    names = labels
    if kind in ("step", "kl", "frontier", "overoptimisation"):
        x = "kl" if kind != "step" else None
        check_curves(
            results, figure,
            lambda group: results.path(group, x, "reward") if x else list(results.curve(group, "reward").items()),
            labels,
        )
        others = [points for title, points in drawn(figure) if not title]
        for group in results.groups if kind == "overoptimisation" else []:  # their second curves
            second = results.path(group, "kl", "independent_reward")
            expect(any(are_same(points, second) for points in others), f"{group[0]}: no second curve")
    elif kind == "budget":
        spent = sorted({point[0] for _, points in drawn(figure) for point in points})
        expect(len(spent) > 3 and spent[0] == 0, f"spent {spent}")
        check_curves(
            results, figure, lambda group: [(x, between(results.curve(group, "reward"), x)) for x in spent], labels
        )
    elif kind == "categories":
        names = [values[0] for values in swept]
        curve = [points for title, points in drawn(figure) if title == "dpo"]
        expect(len(curve) == 1, f"{len(curve)} curves")
        order = sorted(names, key=lambda name: name.encode())
        same_points("dpo", curve[0], [(i, results.final(of_swept[(name,)])) for i, name in enumerate(order)])
    elif kind == "heatmap":
        rows, columns = (sorted({values[i] for values in swept}, key=str.encode) for i in (0, 1))
        names = rows + columns
        check_boxes(figure, rows[::-1], columns, lambda row, column: results.final(of_swept[(row, column)]))
    elif kind == "tournament":
        with open(f"{figure}.tsv", encoding="utf-8") as file:
            cells = [line.rstrip("\n").split("\t") for line in file][1:]
        order = [cell[-1] for cell in cells[: len(labels)]]
        expect(sorted(order) == sorted(labels), f"columns {order}")
        group = {label: (label, ()) for label in labels}
        boxes = {(box[0], box[1]): box[6] for box in drawn(figure)[0][1]}
        for i, row in enumerate(order):
            for j, column in enumerate(order):
                if i != j:
                    got, right = boxes[(j, len(order) - 1 - i)], 100 * results.win_rate(group[row], group[column])
                    expect(close(got, right), f"{row} against {column}: {got}, expected {right}")
        names = labels * 2
    shown = collections.Counter(texts(figure))
    for name, count in collections.Counter(names).items():
        expect(shown[name] >= count, f"{name!r} is not there {count} times")
    return 1 if failures else 0


if __name__ == "__main__":
    if sys.argv[1] == "config":
        config(sys.argv[2])
    elif sys.argv[1] == "stores":
        stores(sys.argv[2])
    else:
        sys.exit(check(*sys.argv[2:5]))
