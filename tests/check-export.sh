#!/bin/bash
# SPDX-License-Identifier: MIT
# What export-results and run --tensorboard write is read back by readers that are not this program's (Python's csv and
# json modules, and a small one of TensorBoard's event files) and is what the store holds.
set -u
# shellcheck source=tests/script.sh
. "${RG_SOURCE_DIR:-.}/tests/script.sh"
if ! command -v python3 >/dev/null; then
    echo "SKIP: no python3"
    exit 77
fi

cat >small.cfg <<END
name = "small";
extends = "$source/experiments/bandit/bandit.cfg";
seeds = [1, 2];
budget: { steps = 20; };
evaluation: { every = 10; log_every = 5; };
algorithms = ( { type = "dpo"; }, { type = "sail-pr"; label = "SAIL/PR, \"a\""; } );
sweep = ( { option = "algorithm.exploration"; values = [0.1, 0.3]; } );
END
"$program" run -q small.cfg -r small.db || fail "the run"
# Texts and numbers that trip a careless writer.
python3 - <<'END' || fail "cannot add rows"
import sqlite3
store = sqlite3.connect("small.db")
texts = ["", 'say "Ahoy"', "a,b", "one\ntwo\r\n", " π ⛵ ", "tab\tand \\ and \x01"]
for item, text in enumerate(texts):
    store.execute("INSERT INTO responses VALUES (1, 20, ?, ?, ?)", (900 + item, text, text[::-1]))
for name, value in [("odd/nan", None), ("odd/inf", float("inf")), ("odd/minus", float("-inf")),
                    ("odd/sum", 0.1 + 0.2), ("odd/small", 5e-324), ("odd,\"name\"", -0.0)]:
    store.execute("INSERT INTO metrics VALUES (1, 20, ?, ?)", (name, value))
store.execute("INSERT INTO readings (trial, step, flops) VALUES (1, 17, 3)")
store.execute("UPDATE trials SET status = 'diverged', reason = 'step 3: the loss, \"∞\"' WHERE id = 2")
store.commit()
store.close()
END
for format in csv jsonl tensorboard; do
    "$program" export-results small.db -f "$format" -o "out/$format" || fail "$format"
done
python3 "$source/tests/read_export.py" small.db out/csv out/jsonl out/tensorboard || fail "other rows"

# Again it is the same, and nothing else is left behind.
find out -type f -exec sha256sum {} + | sort >first.sum
for format in csv jsonl tensorboard; do
    "$program" export-results small.db -f "$format" -o "out/$format" || fail "$format again"
done
find out -type f -exec sha256sum {} + | sort | cmp - first.sum || fail "another export differs"
[[ $(find out -type f | wc -l) -eq 14 ]] || fail "files: $(find out -type f)"

"$program" export-results small.db -f csv -o one -e small || fail "an experiment by its name"
cmp one/metrics.csv out/csv/metrics.csv || fail "the one experiment is not all of it"

# A store of the first version, which did not count the dataset's responses.
python3 - <<'END' || fail "cannot make an old store"
import sqlite3
store = sqlite3.connect("small.db")
store.execute("ALTER TABLE readings DROP COLUMN dataset_responses")
store.execute("ALTER TABLE trials DROP COLUMN selected")
store.execute("PRAGMA user_version = 1")
store.commit()
store.close()
END
"$program" export-results small.db -f jsonl -o old || fail "an old store"
sed 's/"dataset_responses":[0-9]*,/"dataset_responses":null,/' out/jsonl/metrics.jsonl |
    cmp - old/metrics.jsonl || fail "an old store's metrics"
cmp out/jsonl/trials.jsonl old/trials.jsonl || fail "an old store's trials"

# ---- while trials run ----

# live STORE FOLDER: its event files are what the store holds, each step once.
live() { python3 "$source/tests/read_export.py" "$1" live "$2" || fail "$2 is not what $1 holds"; }

"$program" run -q small.cfg -r live.db --tensorboard deep/live || fail "a run with event files"
live live.db deep/live
"$program" run -q small.cfg -r jobs.db -j 2 --tensorboard jobs-live || fail "-j 2 with event files"
live jobs.db jobs-live
(cd deep/live && find . -type f | sort) | cmp - <(cd jobs-live && find . -type f | sort) || fail "-j 2 has other files"
(cd deep/live && find . -type f | sort) | cmp - <(cd out/tensorboard && find . -type f | sort) ||
    fail "the files do not lie where export-results has them"

# Steps come as they are made, and a trial that is killed goes on from its checkpoint in its file.
long=("$program" run -q small.cfg -r long.db --tensorboard long-live --checkpoint-seconds 0 -s 'seeds=[1]' -s sweep=[]
    -s 'algorithms=({type="dpo";})' -s budget.steps=3000 -s evaluation.every=100)
"${long[@]}" 2>log &
pid=$!
until [[ $(find long-live -type f -size +20k 2>/dev/null | wc -l) -gt 0 ]]; do
    kill -0 "$pid" 2>/dev/null || fail "it ended before it could be killed: $(cat log)"
    sleep 0.02
done
kill -9 "$pid"
wait "$pid" 2>/dev/null
file=$(find long-live -type f)
echo "a record that was not written whole" >>"$file"
"${long[@]}" || fail "going on"
live long.db long-live
size=$(stat -c %s "$file")
"${long[@]}" || fail "a run of nothing"
[[ $(stat -c %s "$file") -eq $size ]] || fail "a trial that is done has another file"

status=0
"$program" run -q small.cfg -r refused.db --tensorboard small.cfg/live >log 2>&1 || status=$?
[[ $status -eq 1 ]] && grep -q 'small.cfg/live: cannot create the folder: Not a directory' log || fail "into a file: $status, $(cat log)"
status=0
"$program" run -n small.cfg --tensorboard live >log 2>&1 || status=$?
[[ $status -eq 2 ]] && grep -q 'cannot be combined with --tensorboard' log || fail "a dry run: $status, $(cat log)"

# expect STATUS PATTERN ARGUMENT...
expect() {
    local status=$1 pattern=$2 got=0
    shift 2
    "$program" export-results "$@" >/dev/null 2>err || got=$?
    [[ $got -eq $status ]] && grep -qE "$pattern" err || fail "export-results $*: $got, $(cat err)"
}
expect 2 'unknown format "cvs"; did you mean "csv"' small.db -o out -f cvs
expect 2 'holds no experiment "large"' small.db -o out -e large
expect 2 'expected a results store and -o FOLDER' small.db
expect 1 'none.db: .*No such file' none.db -o out
expect 1 'small.cfg/trials.csv: cannot create|small.cfg: cannot make' small.db -o small.cfg
