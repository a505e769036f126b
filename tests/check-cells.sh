#!/bin/bash
# SPDX-License-Identifier: MIT
# Cell by cell: compare, tournament, budget and frontier within each cell of a sweep agree with the same
# commands on the trials of that cell alone; Holm's correction is over all cells; maps are drawn.
set -u
# shellcheck source=tests/script.sh
. "${RG_SOURCE_DIR:-.}/tests/script.sh"

# expect PATTERN FILE
expect() {
    grep -qE -- "$1" "$2" || complain "no /$1/ in: $(head -n 30 "$2")"
}

cat >tiny.cfg <<END
name = "tiny"; seeds = [1, 2, 3];
environment: { type = "bandit"; contexts = 4; responses = 6; };
policy: { type = "tabular"; };
optimizer: { learning_rate = 0.1; };
training: { batch = 8; };
budget: { steps = 20; }; evaluation: { every = 10; };
sweep = ( { option = "environment.pairs"; values = [20, 200]; },
          { option = "algorithm.beta"; values = [0.1, 0.5]; } );
algorithms = ( { type = "dpo"; }, { type = "online-dpo"; }, { type = "base"; } );
END
"$program" run -q tiny.cfg -r tiny.db >out 2>&1 || fail "tiny.cfg: $(tail -n 3 out)"

# ---- without --by ----
"$program" compare tiny.db --against dpo >out 2>err && complain "a swept label, and not refused"
expect 'label "dpo" was swept: name one of its 4 settings in full, .*; --by beta,pairs compares within each cell' err
"$program" compare tiny.db >out 2>err || complain "all pairs: $(cat err)"
expect '^The experiment swept beta,pairs: --by beta,pairs compares within each cell\.$' out
"$program" tournament tiny.db >out 2>err || complain "tournament: $(cat err)"
expect '^The experiment swept beta,pairs: --by' out

# ---- compare ----
"$program" compare tiny.db --against dpo -m reward --by pairs,beta >out 2>err || complain "by: $(cat err)"
for cell in 'pairs 20, beta 0.1' 'pairs 20, beta 0.5' 'pairs 200, beta 0.1' 'pairs 200, beta 0.5'; do
    [[ $(grep -cx "$cell" out) -eq 1 ]] || complain "no heading \"$cell\": $(cat out)"
done
expect '^p, Holm: adjusted for 8 comparisons of all 4 cells together by the step-down correction' out
[[ $(grep -c '^3 seeds: ' out) -eq 1 ]] || complain "a note of all cells, not once: $(cat out)"
grep -q 'The experiment swept' out && complain "--by suggested beside --by"
"$program" compare tiny.db --against dpo -m reward --by pairs --by beta -f csv >by.csv 2>err || complain "csv: $(cat err)"
[[ $(wc -l <by.csv) -eq 9 ]] || complain "not 8 comparisons: $(cat by.csv)"
expect '^pairs,beta,a,b,metric,kind,estimate,' by.csv
# Within a cell the estimate and its p-value are those of the cell's trials alone.
for beta in 0.1 0.5; do
    "$program" compare tiny.db online-dpo dpo -m reward --where environment.pairs=200 \
        --where algorithm.beta=$beta -f csv >alone.csv 2>err || complain "alone: $(cat err)"
    sed "s/, beta $beta, pairs 200//g; s/\"//g" alone.csv | tail -n 1 | cut -d, -f1-9 >expected
    grep "^200,$beta,online-dpo" by.csv | cut -d, -f3-11 >found
    cmp -s expected found ||
        complain "cell of beta $beta: $(grep "^200,$beta,online-dpo" by.csv), alone $(tail -n 1 alone.csv)"
done
"$program" compare tiny.db online-dpo dpo -m reward --by pairs,beta -f json >out 2>err || complain "json: $(cat err)"
python3 - out by.csv <<'END' || complain "Holm over all cells: $(cat out)"
import csv, json, sys

def holm(p):
    order = sorted(range(len(p)), key=lambda i: p[i])
    adjusted, largest = [0] * len(p), 0
    for k, i in enumerate(order):
        largest = max(largest, min(1, (len(p) - k) * p[i]))
        adjusted[i] = largest
    return adjusted

def check(rows):
    p = [float(r["p_value"]) for r in rows]
    for found, expected in zip([float(r["p_holm"]) for r in rows], holm(p)):
        assert abs(found - expected) < 1e-8, (found, expected)

rows = json.load(open(sys.argv[1]))["rows"]
assert [(r["pairs"], r["beta"]) for r in rows] == [("20", "0.1"), ("20", "0.5"), ("200", "0.1"), ("200", "0.5")]
check(rows)
check(list(csv.DictReader(open(sys.argv[2]))))
END
"$program" compare tiny.db --against dpo --by pairs >out 2>err && complain "swept over beta too, and not refused"
expect 'label "dpo" was swept: name one of its 2 settings' err
"$program" compare tiny.db --against nobody --by pairs,beta >out 2>err && complain "nobody, and not refused"
expect 'unknown label "nobody"' err
"$program" compare tiny.db --by pear >out 2>err && complain "pear, and not refused"
expect 'unknown swept option "pear"' err
"$program" compare tiny.db --against dpo --by pairs,beta -f markdown >out 2>err || complain "markdown: $(cat err)"
expect '^\*\*pairs 20, beta 0\.1\*\*$' out
"$program" compare tiny.db --against dpo --by pairs,beta -f latex >out 2>err || complain "latex: $(cat err)"
expect '^% pairs 20, beta 0\.1$' out

# ---- a cell that lacks a method ----
"$program" run -q tiny.cfg -r part.db -s 'sweep.0.values=[20]' -s 'name=part' >out 2>&1 || complain "part: $(cat out)"
sed 's/{ type = "base"; }/{ type = "base"; }, { type = "ipo"; }/; s/"tiny"/"part"/; s/\[20, 200\]/[200]/; s/{ type = "dpo"; },//' tiny.cfg >part.cfg
"$program" run -q part.cfg -r part.db >out 2>&1 || complain "part: $(cat out)"
"$program" compare part.db --all --against dpo --by pairs,beta >out 2>err || complain "part by: $(cat err)"
expect '^pairs 20, beta 0\.1$' out
expect '^pairs 200, beta 0\.1: left out: .*dpo' out
grep -qx 'pairs 200, beta 0.1' out && complain "a heading of nothing: $(cat out)"

# ---- tournament, budget, frontier ----
# The base, which has no beta, is in no trial with one: of a tournament its meetings are left out, and
# the ratings, which it moves.
for command in tournament frontier 'budget -n 3'; do
    columns=1-
    [[ $command == tournament ]] && columns=1,2,6-
    # shellcheck disable=SC2086
    set -- $command
    name=$1
    shift
    "$program" "$name" tiny.db "$@" --by beta,pairs -f csv >by.csv 2>err || complain "$command: $(cat err)"
    expect '^beta,pairs,' by.csv
    "$program" "$name" tiny.db "$@" --where environment.pairs=20 --where algorithm.beta=0.5 -f csv \
        >alone.csv 2>err || complain "$command alone: $(cat err)"
    sed 's/, beta 0\.5, pairs 20//g; s/"//g' alone.csv | tail -n +2 | cut -d, -f$columns | sort >expected
    grep '^0\.5,20,' by.csv | cut -d, -f3- | grep -vE '(^|,)base,' | cut -d, -f$columns | sort >found
    [[ -s found ]] || complain "$command: no cell: $(cat by.csv)"
    diff expected found >log || complain "$command: a cell differs from its trials alone: $(cat log)"
    "$program" "$name" tiny.db "$@" --by beta,pairs >out 2>err || complain "$command text: $(cat err)"
    [[ $(grep -cE '^beta 0\.[15], pairs 200?$' out) -eq 4 ]] || complain "$command: not 4 headings: $(cat out)"
    "$program" "$name" tiny.db "$@" --by beta,pairs -f json >out 2>err || complain "$command json: $(cat err)"
    expect '"pairs": "20"' out
done

# ---- maps ----
"$program" plot tiny.db --map beta,pairs --against dpo --mark pairs=200,beta=0.1 -o map.svg >out 2>err ||
    complain "map: $(cat err)"
expect '<svg' map.svg
expect 'difference to dpo' map.svg
expect 'correction over 8 differences' map.svg
expect 'frame: beta 0\.1, pairs 200' map.svg
expect '^3 seeds: ' err
[[ $(wc -l <map.tsv) -eq 9 ]] || complain "not 8 cells: $(cat map.tsv)"
# The cells are what compare --by has.
"$program" compare tiny.db --against dpo -m reward --by beta,pairs -f csv >by.csv 2>err || complain "by: $(cat err)"
awk -F'\t' 'NR > 1 { printf "%s,%s,%s,%.6f,%.6f\n", $13, $12, $11, $1, $4 }' map.tsv | sort >found
awk -F, 'NR > 1 { printf "%s,%s,%s,%.6f,%.6f\n", $1, $2, $3, $7, $12 }' by.csv | sort >expected
diff expected found >log || complain "a map differs from compare: $(cat log)"
"$program" plot tiny.db --map beta,pairs -y kl --title "a 'title' of \"two\"" -o map.pdf >out 2>err || complain "pdf: $(cat err)"
"$program" plot tiny.db --map beta,pairs --width 400 --height 300 -o map.png >out 2>err || complain "png: $(cat err)"
# refused PATTERN ARGUMENTS...
refused() {
    local pattern=$1
    shift
    "$program" plot tiny.db -o no.svg "$@" >out 2>err && complain "not refused: $*"
    expect "$pattern" err
    [[ ! -e no.svg ]] || complain "drawn: $*"
}
refused 'expected two swept options' --map beta
refused 'unknown swept option "pear"' --map beta,pear
refused '--map cannot be combined with -x' --map beta,pairs -x beta
refused '--map cannot be combined with --log-y' --map beta,pairs --log-y
refused '--map cannot be combined with --kind' --map beta,pairs -k heatmap
refused '--against is of a map' --against dpo
refused '--mark is of a map' --mark beta=0.1,pairs=20
refused 'expected one of 0.1, 0.5' --map beta,pairs --mark beta=0.3,pairs=20

# A cell that lacks the method of --against is white, and the others are as they were.
"$program" plot tiny.db --map beta,pairs --against dpo -o whole.svg >out 2>err || complain "a map: $(cat err)"
grep -vP "\t20\t0\.1(\t|$)" whole.tsv >expected
"$program" export-results tiny.db -f csv -o csv >out 2>err || complain "csv: $(cat err)"
grep -E '^tiny,[0-9a-f]{16},dpo,.*""beta"":0\.1.*""pairs"":20\}' csv/trials.csv | cut -d, -f2 >keys
[[ $(wc -l <keys) -eq 3 ]] || complain "not 3 trials of a cell: $(cat keys)"
while read -r key; do "$program" forget --yes tiny.db "$key" >out 2>&1 || complain "forget: $(cat out)"; done <keys
"$program" plot tiny.db --map beta,pairs --against dpo -o white.svg >out 2>err || complain "a white cell: $(cat err)"
[[ $(grep -c '^nan' white.tsv) -eq 2 ]] || complain "not 2 white cells: $(cat white.tsv)"
diff <(cut -f1 expected) <(grep -v '^nan' white.tsv | cut -f1) >log || complain "white cells change others: $(cat log)"
refused 'unknown label "nobody"' --map beta,pairs --against nobody

[[ $failures -eq 0 ]] || echo "$failures checks failed"
exit $((failures > 0))
