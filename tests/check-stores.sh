#!/bin/bash
# SPDX-License-Identifier: MIT
# Results stores that a stranger made or a disk damaged: every command says in one line what is wrong,
# or gives the numbers of the good store; none crashes, and none does what the store says.
set -u
# shellcheck source=tests/script.sh
. "${RG_SOURCE_DIR:-.}/tests/script.sh"
if ! python3 -c 'import sqlite3, sys; sys.exit(sqlite3.sqlite_version_info < (3, 37))' 2>/dev/null; then
    echo "SKIP: no python3 with SQLite 3.37"
    exit 77
fi
hostile() { python3 "$source/tests/hostile_stores.py" "$@"; }

# expect STATUS PATTERN ARGUMENT...: what the program returns, and a line with PATTERN that it prints;
# where it fails, the line is all that standard error has.
expect() {
    local status=$1 pattern=$2 got=0 stream=out
    shift 2
    timeout 60 "$program" "$@" >out 2>err || got=$?
    [[ $got -eq $status ]] || complain "regatta $*: exit status $got, not $status: $(head -n 3 err)"
    [[ $status -eq 0 ]] || stream=err
    [[ -z $pattern ]] || grep -qE -- "$pattern" $stream || complain "regatta $*: no /$pattern/ in: $(head -n 3 $stream)"
    [[ $status -eq 0 || $(wc -l <err) -eq 1 ]] || complain "regatta $*: more than one line: $(cat err)"
}

# none PATTERN WHAT: no file of that name, which WHAT would have left.
none() { ! compgen -G "$1" >/dev/null || complain "$2 leaves $(compgen -G "$1" | tr '\n' ' ')"; }

# flip FILE: a bit of it, in the middle.
flip() {
    python3 - "$1" <<'END'
import os, sys
with open(sys.argv[1], "r+b") as file:
    file.seek(os.path.getsize(sys.argv[1]) // 2)
    byte = file.read(1)[0] ^ 1
    file.seek(-1, 1)
    file.write(bytes([byte]))
END
}

cat >small.cfg <<END
name = "small";
extends = "$source/experiments/bandit/bandit.cfg";
seeds = [1, 2];
budget: { steps = 20; };
evaluation: { every = 10; log_every = 5; };
algorithms = ( { type = "dpo"; }, { type = "sail-pr"; exploration = 0.1; } );
END
"$program" run -q small.cfg -r good.db || fail "the run"
python3 - <<'END' || fail "cannot close the log"
import sqlite3
store = sqlite3.connect("good.db")
store.execute("PRAGMA wal_checkpoint(TRUNCATE)")
END
hostile old good.db old.db || fail "cannot make an older store"
expect 0 '^good.db: 4 trials, 4 of them intact, no other damage$' check-store good.db
"$program" table good.db -f csv >good.csv

# An older store gives the same numbers, and goes into a new one and back.
expect 0 '^old.db: 4 trials, 4 of them intact' check-store old.db
"$program" table old.db -f csv | cmp - good.csv || complain "an older store gives other numbers"
expect 0 '4 trials added' merge new.db old.db
expect 0 '4 kept' merge new.db good.db
cp old.db older.db
expect 0 '0 trials added, 0 replaced, 4 kept' merge older.db good.db
expect 0 'dpo' run small.cfg -r older.db --dry-run
"$program" run -q small.cfg -r older.db -s 'seeds=[1,2,3]' || complain "an older store cannot be written"
expect 0 '^older.db: 6 trials, 6 of them intact' check-store older.db
python3 - <<'END' || complain "a new store takes text for a number"
import sqlite3, sys
store = sqlite3.connect("good.db")
try:
    store.execute("INSERT INTO metrics VALUES (1, 20, 'x', 'abc')")
    sys.exit(1)
except sqlite3.IntegrityError:
    pass
END

# bad NAME PATTERN STATEMENT...: every command that reads what the statements have spoilt refuses it.
bad() {
    local name=$1.db pattern=$2
    shift 2
    hostile change old.db "$name" "$@" || fail "cannot make $name"
    expect 1 "^regatta: $name: is damaged$" check-store "$name"
    grep -qE -- "$pattern" out || complain "check-store $name: no /$pattern/ in: $(cat out)"
    expect 1 "^regatta: $name: .*$pattern" merge merged.db "$name"
    none 'merged*' "the refused merge of $name"
    bad=$name bad_pattern="^regatta: $name: .*$pattern"
}
and() { expect 1 "$bad_pattern" "$1" "$bad" "${@:2}"; }

bad item-text 'evaluations.item of trial [0-9]+: is text "x", expected an integer from 0 to 16777215' \
    "UPDATE evaluations SET item = 'x' WHERE item = 1"
and table
and report -o x.html
and compare
and tournament
expect 1 'evaluations.item: is text "x", expected an integer' export-results "$bad" -o exported
bad item-huge 'evaluations.item of trial 1: is 9223372036854775807, expected an integer from 0' \
    "UPDATE evaluations SET item = 9223372036854775807 WHERE item = 1 AND trial = 1"
and table
bad value-text 'metrics.value of trial 1: is text "abc", expected a number' \
    "UPDATE metrics SET value = 'abc' WHERE trial = 1"
and table
and plot -y reward -o x.svg
and frontier
and budget
bad cost-infinite 'readings.flops of trial 2: is inf, expected a finite number' \
    "UPDATE readings SET flops = 9e999 WHERE trial = 2"
and table
and status
bad cost-text 'readings.judge_queries of trial 2: is text "many", expected an integer from 0' \
    "UPDATE readings SET judge_queries = 'many' WHERE trial = 2"
and table
bad label-null 'trials.label of trial 1: is NULL, expected text' "UPDATE trials SET label = NULL WHERE id = 1"
and table
and status
expect 1 'trials.label of trial 1: is NULL' export-trial label-null.db -o x nobody
bad label-bytes 'trials.label of trial 2: is text that is not UTF-8' \
    "UPDATE trials SET label = CAST(x'fffe80' AS TEXT) WHERE id = 2"
and table
and status
bad label-blob 'trials.label of trial 2: is a blob of 3 bytes' "UPDATE trials SET label = x'616263' WHERE id = 2"
bad label-nul 'trials.label of trial 2: is text with a NUL byte' \
    "UPDATE trials SET label = 'a' || char(0) || 'b' WHERE id = 2"
bad seed-text 'trials.seed of trial 2: is text "one"' "UPDATE trials SET seed = 'one' WHERE id = 2"
bad status-other 'trials.status of trial 2: is text "done", expected running, finished' \
    "UPDATE trials SET status = 'done' WHERE id = 2"
bad swept-no-json 'trials.swept of trial 2: is text "\{", expected a JSON object' \
    "UPDATE trials SET swept = '{' WHERE id = 2"
bad name-null 'experiments.name: is NULL' "UPDATE experiments SET name = NULL"
and table

# A key is a part of paths.
bad key-null 'trials.key of trial 1: is NULL, expected 16 hexadecimal digits' "UPDATE trials SET key = NULL WHERE id = 1"
and table
and status
bad key-path 'trials.key of trial 1: is text "\.\./other/victim", expected 16 hexadecimal digits' \
    "UPDATE trials SET key = '../other/victim' WHERE id = 1"
mkdir -p dl/other results/other
cp key-path.db dl/a.db
echo theirs >dl/other/victim.safetensors
echo mine | tee results/other/victim.safetensors >results/other/victim-checkpoint.safetensors
expect 1 'expected 16 hexadecimal digits' merge results/all.db dl/a.db
[[ $(cat results/other/victim.safetensors results/other/victim-checkpoint.safetensors) == $'mine\nmine' ]] ||
    complain "a merge wrote where a key pointed"
"$program" export-trial good.db dpo --seed 1 -o packed >/dev/null || complain "export-trial"
sed -i -E 's/"key": "[0-9a-f]{16}"/"key": "..\/..\/etc\/passwd"/' packed/trial.json
expect 1 'expected 16 hexadecimal digits' verify packed

# What trial.json says of a trial is not believed either.
lie() { # MEMBER VALUE PATTERN
    rm -rf packed
    "$program" export-trial good.db dpo --seed 1 -o packed >/dev/null || complain "export-trial"
    sed -i -E "s/\"$1\": [^,]*/\"$1\": $2/" packed/trial.json
    expect 1 "$3" verify -q packed
}
lie label '"parl"' 'trial.json: label is "parl", but config.json has "dpo"'
lie algorithm '"parl"' 'trial.json: algorithm is "parl", but config.json has "dpo"'
lie seed 77 'trial.json: seed is "77", but config.json has "1"'
lie experiment '"lies"' 'trial.json: experiment is "lies", but results.db has'

# Numbers at the ends of their range are numbers.
hostile change old.db large.db "UPDATE metrics SET value = 1e308 * (trial - 2) WHERE name = 'eval/reward'"
expect 0 'dpo' table large.db
hostile change old.db huge.db "UPDATE metrics SET value = 1e308 WHERE name IN ('eval/reward', 'eval/regret')"
expect 1 'huge.svg: "reward" has no finite value to plot' plot huge.db -y reward -o huge.svg
hostile change old.db index.db \
    "UPDATE experiments SET config = json_set(config, '\$.\"algorithms.9223372036854775807.type\"', 'dpo')"
"$program" status index.db >out 2>err || complain "status of a config with a large index: $(cat err)"

# SQL in a store is not run.
foreign() {
    hostile change old.db "$1" "$3"
    for command in table status check-store; do
        expect 1 "^regatta: $1: contains a $2, which no results store does" "$command" "$1"
    done
    expect 1 "contains a $2" run small.cfg -q -r "$1" -s 'seeds=[5]'
    expect 1 "contains a $2" merge merged.db "$1"
}
foreign trigger.db trigger "CREATE TRIGGER t AFTER INSERT ON trials BEGIN DELETE FROM readings; END"
foreign view.db view "CREATE VIEW v AS WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT * FROM n"
[[ $(python3 -c 'import sqlite3; print(*sqlite3.connect("trigger.db").execute("SELECT count(*) FROM readings").fetchone())') == \
    $(python3 -c 'import sqlite3; print(*sqlite3.connect("old.db").execute("SELECT count(*) FROM readings").fetchone())') ]] ||
    complain "a trigger was run"
hostile change old.db endless.db "DROP TABLE trials" \
    "CREATE VIEW trials AS WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT i AS id, 1 AS experiment FROM n"
expect 1 'contains a view' table endless.db

# What is missing is told: of a finished trial under the table, of a curve by check-store.
hostile change good.db gap.db "DELETE FROM metrics WHERE name = 'eval/kl' AND trial = 1 AND step = 20"
expect 0 '^Finished without a value, and left out of the mean: kl of dpo, seed 1\.$' table gap.db
expect 1 'is damaged' check-store gap.db
grep -q '    metrics: step 20 has no eval/kl' out || complain "check-store tells no gap: $(cat out)"
hostile change good.db items.db "DELETE FROM evaluations WHERE name = 'reward' AND trial = 2 AND item = 0 AND step = 20"
expect 1 'is damaged' check-store items.db
grep -q '    evaluations: step 20 lacks items of reward' out || complain "check-store tells no item: $(cat out)"
grep -q '^items.db: 4 trials, 3 of them intact$' out || complain "check-store counts: $(cat out)"
expect 1 'is damaged' check-store items.db --save saved.db
expect 0 '^saved.db: 3 trials, 3 of them intact' check-store saved.db
"$program" run -q small.cfg -r saved.db || complain "the run after saving"
expect 0 '^saved.db: 4 trials, 4 of them intact' check-store saved.db

# Reading a store that nobody writes leaves no log beside it.
for command in "table good.db" "status good.db" "check-store good.db" "plot good.db -y reward -o good.svg" \
    "merge copy.db good.db" "export-results good.db -o good.csvs"; do
    # shellcheck disable=SC2086
    expect 0 '' $command
    none 'good.db-*' "regatta $command"
done

# Steps that curves lack are told wherever the curves are.
lost() { # NAME CONDITION
    hostile change good.db "$1" "DELETE FROM readings WHERE $2" "DELETE FROM metrics WHERE $2" \
        "DELETE FROM evaluations WHERE $2" "DELETE FROM responses WHERE $2" "DELETE FROM evaluation_times WHERE $2"
}
lost lost.db 'trial = 1 AND step < 10'
expect 1 'is damaged' check-store lost.db
grep -qx '    its curves have no rows for steps 0 to 5' out || complain "check-store tells no lost steps: $(cat out)"
expect 0 'so the curves lack them: dpo, seed 1 \(steps 0 to 5\)\.$' table lost.db
expect 0 'so the curves lack them: dpo, seed 1 \(steps 0 to 5\)\.$' budget lost.db
expect 0 '' plot lost.db -y reward -o lost.svg
grep -q 'title "dpo (1 lacks rows)' lost.gnuplot || complain "plot tells no lost steps: $(grep title lost.gnuplot)"
expect 1 'lost.db: dpo, seed 1 \(key .*\) cannot be packed: its curves have no rows for steps 0 to 5;' \
    export-trial lost.db dpo --seed 1 -o lost.trial
expect 0 '' export-trial lost.db dpo --seed 2 -o lost.trial
lost lost.db 'trial IN (2, 3) AND step IN (5, 20)'
expect 1 'is damaged' check-store lost.db
[[ $(grep -cx '    its curves have no rows for step 5, 15' out) -eq 0 ]] || complain "check-store tells of a step that is there: $(cat out)"
[[ $(grep -cx '    its curves have no rows for steps 5, 15' out) -eq 2 ]] || complain "check-store tells no lost step: $(cat out)"
lost lost.db 'trial = 4 AND step = 10'
expect 1 'is damaged' check-store lost.db --save rest.db
expect 0 '^rest.db: 3 trials, 3 of them intact' check-store rest.db

# Files of weights: what is damaged is no whole trial, what is not here is noted.
key() { python3 -c 'import sqlite3, sys; print(*sqlite3.connect(sys.argv[1]).execute("SELECT key FROM trials WHERE id = ?", sys.argv[2:]).fetchone())' "$1" "$2"; }
mkdir sent
cp good.db sent/w.db
expect 0 '^sent/w.db: 4 trials, 4 of them intact' check-store sent/w.db
grep -qx "  note: weights not found: sent/w/$(key good.db 2).safetensors, of sail-pr seed 1 of small" out ||
    complain "check-store notes no missing weights: $(cat out)"
cp -r good sent/w
rm "sent/w/$(key good.db 1).safetensors"
damaged=sent/w/$(key good.db 2).safetensors
flip "$damaged"
expect 1 'is damaged' check-store sent/w.db
grep -q "^    $damaged: is damaged: its SHA-256 is" out || complain "check-store tells no damaged weights: $(cat out)"
[[ $(grep -c '  note: weights not found' out) -eq 1 ]] || complain "check-store notes: $(cat out)"
for jobs in 1 2; do
    "$program" run -q -j $jobs small.cfg -r sent/w.db 2>err || complain "run -j $jobs beside damaged weights: $(cat err)"
    grep -q "^regatta: $damaged: is damaged: .*; sail-pr seed 1 is not run again" err ||
        complain "run -j $jobs tells no damaged weights: $(cat err)"
    grep -q "^regatta: sent/w: the weights of dpo seed 1 are missing, though this trial is done" err ||
        complain "run -j $jobs tells no missing weights: $(cat err)"
done

# The same of a checkpoint.
"$program" run small.cfg -q --checkpoint-seconds 0 -t 1 -r i.db -s 'seeds=[1]' -s budget.steps=1000000 2>err &
for ((i = 0; i < 500; i++)); do
    ! compgen -G 'i/*-checkpoint.safetensors' >/dev/null || break
    sleep 0.02
done
kill -INT $!
wait $!
checkpoint=$(compgen -G 'i/*-checkpoint.safetensors') || fail "no checkpoint of a run that was stopped: $(cat err)"
expect 0 '^i.db: 1 trials, 1 of them intact' check-store i.db
expect 0 '1 trials added' merge j.db i.db
cmp -s "$checkpoint" "j${checkpoint#i}" || complain "a merge brings no checkpoint"
flip "$checkpoint"
expect 1 'is damaged' check-store i.db
grep -q "^    $checkpoint: is damaged: its SHA-256 is" out || complain "check-store tells no damaged checkpoint: $(cat out)"
grep -qx 'nothing can be saved: every trial is damaged' out || complain "check-store would save: $(cat out)"
expect 1 'is damaged' check-store i.db --save nil.db
none 'nil*' "check-store --save of nothing"
expect 0 '1 trials added' merge afresh.db i.db
grep -q "^regatta: $checkpoint: is damaged: .*; dpo, seed 1 of experiment small is merged without it, and will start from the beginning$" err ||
    complain "merge tells no damaged checkpoint: $(cat err)"
none 'afresh/*' "merge of a damaged checkpoint"
expect 0 '0 trials added, 0 replaced, 1 kept' merge j.db i.db # which has a good one
expect 0 '^j.db: 1 trials, 1 of them intact, no other damage' check-store j.db
grep -q note out && complain "a merge took a good checkpoint away: $(cat out)"
rm "$checkpoint"
expect 0 '^i.db: 1 trials, 1 of them intact' check-store i.db
grep -q "^  note: checkpoint not found: $checkpoint, of dpo seed 1 of small$" out || complain "check-store notes no missing checkpoint: $(cat out)"

# A merge that is refused leaves nothing, not even weights of trials that came before the bad one.
cp good.db r.db
cp -r good r
flip "r/$(key good.db 4).safetensors"
expect 1 "^regatta: r/$(key good.db 4).safetensors: is damaged" merge fresh/folder/x.db r.db
none 'fresh' "a refused merge"
expect 0 '' merge one.db good.db
rm "one/$(key good.db 1).safetensors"
expect 1 "is damaged" merge one.db r.db
[[ ! -e one/$(key good.db 1).safetensors ]] || complain "a refused merge leaves weights"

# Rows of a table come in the order of the config, in whatever order trials came together.
for trial in 'sail-pr 2' 'dpo 2' 'sail-pr 1' 'dpo 1'; do
    # shellcheck disable=SC2086
    set -- $trial
    expect 0 '' export-trial good.db "$1" --seed "$2" -o "part-$1-$2"
    expect 0 '1 trials added' merge turned.db "part-$1-$2/results.db"
done
for form in text csv; do
    "$program" table good.db -f $form >right
    "$program" table turned.db -f $form | cmp -s - right || complain "a merged store has another table ($form)"
done

# A file that is shorter than it says: what is there is saved.
python3 - <<'END'
content = open("good.db", "rb").read()
page = int.from_bytes(content[16:18], "big")
open("short.db", "wb").write(content[:-page])
open("first.db", "wb").write(content[:page])
open("less.db", "wb").write(content[: page // 2])
END
expect 1 'the file is damaged; regatta check-store reports what can be recovered' table short.db
expect 1 '^regatta: short.db: is damaged$' check-store short.db --save long.db
saved=$(sed -n 's/^long.db: now has \([0-9]*\) of its trials$/\1/p' out)
[[ ${saved:-0} -gt 0 ]] || complain "check-store saves nothing of a store without its last page: $(cat out)"
expect 0 "^long.db: $saved trials, $saved of them intact" check-store long.db
"$program" run -q small.cfg -r long.db 2>err || complain "the run after saving: $(cat err)"
"$program" table long.db -f csv -m reward,kl >short.csv
"$program" table good.db -f csv -m reward,kl | cmp -s - short.csv || complain "what is saved of a short file has other numbers"
for store in first.db less.db; do
    expect 1 "^regatta: $store: " check-store $store --save nothing.db
    grep -q 'nothing can be saved' out err || complain "check-store $store: $(cat out err)"
    grep -q 'check-store' out err && complain "check-store $store refers to itself: $(cat out err)"
    none 'nothing*' "check-store --save of $store"
done

# A page of the index by which curves are read, which once cost seeds.
python3 - <<'END' || fail "cannot damage the index"
import shutil, sqlite3
store = sqlite3.connect("good.db")
page = store.execute("SELECT rootpage FROM sqlite_master WHERE name = 'metrics_by_name'").fetchone()[0]
size = store.execute("PRAGMA page_size").fetchone()[0]
store.close()
shutil.copy("good.db", "page.db")
with open("page.db", "r+b") as file:
    file.seek((page - 1) * size)
    file.write(bytes(size))
END
expect 1 'the file is damaged' table page.db
expect 1 'the file is damaged' merge merged.db page.db
expect 1 'the file is damaged' run small.cfg -q -r page.db -s 'seeds=[7]'
expect 1 'is damaged' check-store page.db

mkdir damaged
hostile damage "$program" good.db damaged || complain "damaged pages"

# Responses that are no UTF-8 come out as such, with U+FFFD.
hostile change old.db bytes.db "INSERT OR REPLACE INTO responses VALUES (1, 20, 0, 'p', CAST(x'61ff62' AS TEXT))"
expect 0 '' export-results bytes.db -f jsonl -o bytes
grep -q $'"a\xef\xbf\xbdb"' bytes/responses.jsonl || complain "bytes of a response: $(cat bytes/responses.jsonl)"

echo "$failures failures"
[[ $failures -eq 0 ]]
