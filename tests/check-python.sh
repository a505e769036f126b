#!/bin/bash
# SPDX-License-Identifier: MIT
# The Python of doc/guide/python.md runs as it stands, and its page has every table and every column that a store and an
# export have. PYTHON names another interpreter than python3.
. "${RG_SOURCE_DIR:-.}/tests/script.sh"
python=${PYTHON:-python3}
page=$source/doc/guide/python.md

"$program" run -q "$source/experiments/bandit/head-to-head.cfg" -s budget.steps=10 -s evaluation.every=5 >log 2>&1 ||
    fail "$(cat log)"
"$program" export-results results/bandit-head-to-head.db -f csv -o out >log 2>&1 || fail "$(cat log)"

# The page's tables: a line **NAME** begins one, and the first cell of a row names columns.
awk '/^\*\*[a-z_]+\*\*/ { split($0, part, "*"); name = part[3] }
    /^#/ { name = "" }
    name != "" && /^\| `/ {
        split($0, cell, "|")
        while (match(cell[2], /`[^`]+`/)) {
            print name "." substr(cell[2], RSTART + 1, RLENGTH - 2)
            cell[2] = substr(cell[2], RSTART + RLENGTH)
        }
    }' "$page" | sort >documented
command -v "$python" >/dev/null || { echo "skipped: $python is missing" && exit 77; }
"$python" - >found <<'END'
import sqlite3
store = sqlite3.connect("file:results/bandit-head-to-head.db?mode=ro", uri=True)
for (table,) in store.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall():
    for column in store.execute(f"PRAGMA table_info({table})"):
        print(f"{table}.{column[1]}")
END
sort -o found found
grep -q '^trials.key$' found || fail "no columns were found: $(cat found)"
diff documented found || complain "the page's tables (<) are not those of a store (>)"

for file in out/*.csv; do
    name=$(basename "$file" .csv)
    row=$(sed -n "/^## Exported tables/,\$s/^| \`$name\` | //p" "$page" | grep -oE '`[a-z_]+`' | tr -d '`')
    head -n 1 "$file" | tr -d '\r' | tr ',' '\n' | while read -r column; do
        grep -qxF "$column" <<<"$row" || echo "$name.$column"
    done | sed 's/$/ is a column of the export that the page does not have/' | grep . && failures=$((failures + 1))
done

if ! "$python" -c 'import matplotlib, pandas' 2>/dev/null; then
    [[ $failures -eq 0 ]] || exit 1
    echo "skipped: pandas or matplotlib is missing (Debian: python3-pandas, python3-matplotlib)"
    exit 77
fi
# The blocks are one script.
awk '/^```/ { python = $0 == "```python"; next } python' "$page" >page.py
grep -q read_sql page.py || fail "the page has no Python"
"$python" -W error::FutureWarning page.py >printed 2>log || complain "the page's Python: $(tail -n 5 log)"
grep -qE '^online-dpo +[0-9.-]+ +[0-9.]+' printed || complain "the table lacks a row: $(cat printed)"
[[ -s reward-python.svg ]] || complain "there is no figure"

echo "$failures faults"
[[ $failures -eq 0 ]]
