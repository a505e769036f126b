#!/bin/bash
# SPDX-License-Identifier: MIT
# Labels, names and reasons are text wherever they come out: no comment, quote or format of gnuplot's,
# no sequence of a terminal, no command of LaTeX, no markup, no formula.
set -u
# shellcheck source=tests/script.sh
. "${RG_SOURCE_DIR:-.}/tests/script.sh"
if ! python3 -c 'import sqlite3' 2>/dev/null; then
    echo "SKIP: no python3 with SQLite"
    exit 77
fi
figures() { python3 "$source/tests/drawn_figures.py" "$@"; }
# changed OLD.db NEW.db STATEMENT...
changed() { python3 "$source/tests/hostile_stores.py" change "$@" || fail "cannot make $2"; }
# refused PATTERN ARGUMENT...: exit status 1 or 2, and one line with PATTERN, without control characters.
refused() {
    local pattern=$1 got=0
    shift
    "$program" "$@" >out 2>err || got=$?
    [[ $got -eq 1 || $got -eq 2 ]] || complain "regatta $*: exit status $got: $(cat -v out err)"
    [[ $(wc -l <err) -eq 1 ]] && grep -qE -- "$pattern" err || complain "regatta $*: no line /$pattern/: $(cat -v err)"
    clean err "regatta $*"
}
# clean FILE WHAT: nothing in it that a terminal obeys.
clean() {
    ! LC_ALL=C grep -qP '[\x00-\x08\x0b-\x1f\x7f]|\xc2[\x80-\x9f]|\xe2\x80[\xa8-\xae]|\xe2\x81[\xa6-\xa9]' "$1" ||
        complain "$2: control characters: $(LC_ALL=C cat -v "$1" | head -n 5)"
}

figures config "$source" >names.cfg || fail "cannot write the config"
"$program" run -q names.cfg -r names.db || fail "the run"
figures stores names.db || fail "cannot make the other stores"

# ---- figures ----

# drawn KIND STORE ARGUMENT...
drawn() {
    local kind=$1 store=$2
    shift 2
    "$program" plot "$store" -o "$kind.svg" "$@" || complain "plot $kind"
    figures check "$kind" "$store" "$kind" || complain "the figure $kind"
}
if gnuplot --version >/dev/null 2>&1; then
    drawn step names.db -x step --title '`touch pwned` "50 %" '"it's #1"
    drawn kl names.db -x kl
    drawn frontier names.db -k frontier
    drawn budget names.db -k budget -x step
    drawn overoptimisation over.db -k overoptimisation
    drawn categories list.db -x option
    drawn heatmap grid.db -x column -y row
    changed names.db few.db "DELETE FROM trials WHERE label NOT IN ('#dpo', '''tis', '50% data', '|touch pwned')"
    drawn tournament few.db -k tournament
    for name in '|touch pwned' '<touch pwned' -e '#' "it's" '"' '50%d' '`touch pwned`' '~'; do
        "$program" plot few.db "-o$name.svg" && [[ -s ./$name.svg ]] || complain "a figure called $name.svg"
    done
    refused 'expected no control characters in the name' plot few.db -o $'a\nb.svg'
    [[ ! -e pwned ]] || complain "a name was run as a command"
    "$program" report names.db -o names.html || complain "report"
    python3 - <<'END' || complain "the report's markup"
import re, sys, xml.etree.ElementTree as ElementTree
page = open("names.html", encoding="utf-8").read()
root = ElementTree.fromstring(re.sub(r"<!DOCTYPE html>|<(script|style)>.*?</\1>", "", page, flags=re.S))
words = {" ".join("".join(e.itertext()).split()) for e in root.iter() if e.tag in ("th", "h4")}
missing = [label for label in ("#dpo", "<b>&amp;</b>", "</title>", '"quoted" text', "%s %d 100 %") if label not in words]
sys.exit(f"not in the page: {missing}" if missing else 0)
END
else
    echo "gnuplot is not installed: no figures"
fi

# ---- tables ----

# A table has all labels as they are, in each format.
"$program" table names.db -f json -m reward >table.json
"$program" table names.db -f csv -m reward >table.csv
"$program" table names.db -f safe-csv -m reward >safe.csv
"$program" export-results names.db -f csv -o plain && "$program" export-results names.db -f safe-csv -o safe ||
    complain "export-results"
python3 - "$source" <<'END' || complain "labels in tables"
import csv, json, sys
sys.dont_write_bytecode = True
sys.path.insert(0, sys.argv[1] + "/tests")
from drawn_figures import NAMES
read = lambda path: list(csv.DictReader(open(path, encoding="utf-8", newline="")))
labels = lambda rows: list(dict.fromkeys(row["label"] for row in rows))
assert labels(json.load(open("table.json"))["rows"]) == NAMES
assert labels(read("table.csv")) == NAMES
assert labels(read("plain/trials.csv")) == NAMES
safe = ["'" + name if name[0] in "=+-@" else name for name in NAMES]
assert sum(a != b for a, b in zip(safe, NAMES)) == 3, safe
assert labels(read("safe.csv")) == safe
assert labels(read("safe/trials.csv")) == safe
same = lambda a, b: [{k: v for k, v in row.items() if k != "label"} for row in a] == [
    {k: v for k, v in row.items() if k != "label"} for row in b]
assert same(read("safe.csv"), read("table.csv")) and same(read("safe/metrics.csv"), read("plain/metrics.csv"))
END
changed names.db swept.db "UPDATE trials SET swept = json_object('part.option', -0.5), label = 'dpo' WHERE label = '#dpo'"
swept=$("$program" table swept.db -f safe-csv -m reward | grep '^dpo,')
[[ $swept == dpo,-0.5,* ]] || complain "a number became text: $swept"

# Reasons have any characters: terminals, lines and comments hold.
changed names.db reasons.db "UPDATE trials SET status = 'diverged', reason = 'x' || char(10) || '\\input{/etc/passwd}' || char(13)
    || '\\write18{touch pwned}' || char(27) || ']0;t' || char(7) || char(155) || char(8238) || '<b>' WHERE seed = 1"
for command in table status "table -f latex" "table -f markdown" "compare" "tournament" check-store; do
    # shellcheck disable=SC2086
    set -- $command
    "$program" "$1" reasons.db "${@:2}" >out 2>err || complain "$command: $(cat -v err)"
    clean out "$command"
done
"$program" table reasons.db -f latex >out
grep -q '^% .*\\input{/etc/passwd} ' out || complain "no note has the reason: $(cat -v out)"
! grep -v '^%' out | grep -qE '\\(input|write)' || complain "LaTeX: $(grep -v '^%' out | grep -E '\\(input|write)')"
grep -qF '\% \textbackslash{}input\{x\} \textbackslash{}write18\{y\} \$z\$ \# \_ \textasciicircum{} & ' out ||
    complain "a label in LaTeX: $(grep 'write18' out)"
"$program" status reasons.db | grep -q ': x \\input{/etc/passwd} \\write18' || complain "status: $("$program" status reasons.db | cat -v)"
"$program" export-results reasons.db -f jsonl -o kept && python3 - <<'END' || complain "a file lost a reason's text"
import json, sys
reasons = {json.loads(line)["reason"] for line in open("kept/trials.jsonl")}
sys.exit(not any(r and "\x1b]0;t\x07\x9b\u202e<b>" in r for r in reasons))
END

# ---- what is no label or name ----

for label in "char(27) || '[2J'" "'a' || char(10) || 'b'" "char(155)" "char(8238) || 'opd'" "printf('%.257c', 'x')"; do
    changed names.db bad.db "UPDATE trials SET label = $label WHERE id = 1"
    pattern='^regatta: bad.db: trials.label of trial 1: is text ".*, expected text of at most 256 bytes without control'
    refused "$pattern" table bad.db
    refused 'is damaged' check-store bad.db
    grep -q 'trials.label of trial 1: is text' out || complain "check-store: $(cat -v out)"
    clean out "check-store"
done
for command in status compare tournament frontier budget "plot -o x.svg" "report -o x.html" "export-trial -o packed #dpo"; do
    # shellcheck disable=SC2086
    set -- $command
    refused "$pattern" "$1" bad.db "${@:2}"
done
refused "$pattern" merge merged.db bad.db
refused 'trials.label' export-results bad.db -o exported
for name in "'../x'" "'-x'" "char(27)"; do
    changed names.db bad.db "UPDATE experiments SET name = $name"
    refused 'bad.db: experiments.name: is text ".*", expected a name of at most 128 bytes' table bad.db
    refused 'experiments.name' export-results bad.db -f tensorboard -o exported
done
changed names.db bad.db "UPDATE metrics SET name = 'eval/' || char(27) WHERE name = 'eval/reward' AND trial = 1"
refused 'bad.db: metrics.name.*: is text' table bad.db
refused 'no such file|cannot open' table $'no\e[2Jthing\n.db'
refused 'unknown label' compare names.db $'a\e]0;x\a\u202e' '#dpo'
refused 'no command' $'ru\e[2Jn'

echo "$failures failures"
[[ $failures -eq 0 ]]
