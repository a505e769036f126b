#!/bin/bash
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

cat >small.cfg <<END
name = "small";
extends = "$source/experiments/bandit.cfg";
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
expect 0 '^good.db: 4 trials, 4 of them whole, and nothing else amiss$' check-store good.db
"$program" table good.db -f csv >good.csv

# An older store gives the same numbers, and goes into a new one and back.
expect 0 '^old.db: 4 trials, 4 of them whole' check-store old.db
"$program" table old.db -f csv | cmp - good.csv || complain "an older store gives other numbers"
expect 0 '4 trials added' merge new.db old.db
expect 0 '4 kept' merge new.db good.db
cp old.db older.db
expect 0 '0 trials added, 0 replaced, 4 kept' merge older.db good.db
expect 0 'dpo' run small.cfg -r older.db --dry-run
"$program" run -q small.cfg -r older.db -s 'seeds=[1,2,3]' || complain "an older store cannot be written"
expect 0 '^older.db: 6 trials, 6 of them whole' check-store older.db
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
    rm -f merged.db
    expect 1 "^regatta: $name: .*$pattern" merge merged.db "$name"
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
lie label '"parl"' 'trial.json: label is "parl", and config.json is of "dpo"'
lie algorithm '"parl"' 'trial.json: algorithm is "parl", and config.json is of "dpo"'
lie seed 77 'trial.json: seed is "77", and config.json is of "1"'
lie experiment '"lies"' 'trial.json: experiment is "lies", and results.db has'

# Numbers at the ends of their range are numbers.
hostile change old.db large.db "UPDATE metrics SET value = 1e308 * (trial - 2) WHERE name = 'eval/reward'"
expect 0 'dpo' table large.db
hostile change old.db huge.db "UPDATE metrics SET value = 1e308 WHERE name IN ('eval/reward', 'eval/regret')"
expect 1 'huge.svg: "reward" has no finite value to draw' plot huge.db -y reward -o huge.svg
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
grep -q '^items.db: 4 trials, 3 of them whole$' out || complain "check-store counts: $(cat out)"
expect 1 'is damaged' check-store items.db --save saved.db
expect 0 '^saved.db: 3 trials, 3 of them whole' check-store saved.db
"$program" run -q small.cfg -r saved.db || complain "the run after saving"
expect 0 '^saved.db: 4 trials, 4 of them whole' check-store saved.db

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
