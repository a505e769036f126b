#!/bin/bash
# SPDX-License-Identifier: MIT
# Tables, figures and comparisons are of the config that was run last; --where and --all choose others;
# a store of before has no record of that, and is read as ever, by every command.
set -u
# shellcheck source=tests/script.sh
. "${RG_SOURCE_DIR:-.}/tests/script.sh"
cat >x.cfg <<'END'
name = "x"; seeds = [1, 2, 3];
environment: { type = "bandit"; contexts = 3; responses = 4; };
policy: { type = "tabular"; }; optimizer: { learning_rate = 0.1; }; budget: { steps = 8; };
evaluation: { every = 4; log_every = 1; };
algorithms = ( { type = "dpo"; }, { type = "ipo"; } );
END

regatta() {
    "$program" "$@" >log 2>&1
}
reward() { # WHAT IT IS OF, then options of table
    "$program" table x.db -m reward -f csv "${@:2}" >"$1.csv" 2>log || complain "$1: $(cat log)"
}

regatta run x.cfg -q -r x.db || fail "$(cat log)"
reward first
regatta run x.cfg -q -r x.db -s optimizer.learning_rate=0.5
reward second
cmp -s first.csv second.csv && complain "another learning rate gives the same table"
# Nothing is run, and the table is of this config again.
regatta run x.cfg -q -r x.db
reward again
diff first.csv again.csv >diff || complain "the table is not of the config that was run last: $(cat diff)"
"$program" table x.db >log
grep -q "6 trials not in the config that was run last are left out" log || complain "no note: $(cat log)"

reward chosen --where optimizer.learning_rate=5e-1
diff second.csv chosen.csv >diff || complain "--where chooses other trials: $(cat diff)"
reward both --where optimizer.learning_rate=0.5 --where seed=2
grep -q ",1," both.csv || complain "two conditions choose one trial a method: $(cat both.csv)"
reward all --all
diff second.csv all.csv >/dev/null || diff first.csv all.csv >/dev/null || complain "--all is of the newest of each"

# Every command that reads results takes them, and counts what it leaves out.
for command in "plot -o x.svg" "report -o x.html" "compare" "compare --against dpo" "tournament" "frontier" "budget" \
    "table -f json"; do
    # shellcheck disable=SC2086
    regatta ${command%% *} x.db ${command#"${command%% *}"} --where optimizer.learning_rate=0.5 ||
        complain "$command --where: $(cat log)"
    # shellcheck disable=SC2086
    regatta ${command%% *} x.db ${command#"${command%% *}"} --all || complain "$command --all: $(cat log)"
    # shellcheck disable=SC2086
    regatta ${command%% *} x.db ${command#"${command%% *}"} --where optimizer.learning_rate=7 &&
        complain "$command of no trial"
    grep -q "there is 0.1, 0.5" log || complain "$command does not name the values: $(cat log)"
done
for command in compare tournament frontier budget "plot -o x.svg"; do
    # shellcheck disable=SC2086
    regatta ${command%% *} x.db ${command#"${command%% *}"}
    grep -q "6 trials .* left out" log || complain "$command does not count: $(cat log)"
done
grep -q "6 trials not in the config" <("$program" report x.db -o x.html && cat x.html) || complain "the report does not count"
regatta report x.db -o x.html --where optimizer.learning_rate=0.5
grep -q "It is the config that was run last" x.html || complain "the report shows another config as that of its trials"
regatta report x.db -o x.html
grep -q "It is the config that was run last" x.html && complain "the report does not know its config"
regatta table x.db --where optimizer.learning_rat=0.5 && complain "an unknown option"
grep -q 'did you mean "optimizer.learning_rate"' log || complain "$(cat log)"
regatta export-results x.db -o every || complain "$(cat log)"
regatta export-results x.db -o some --where seed=1 || complain "$(cat log)"
for name in trials metrics items responses; do
    [[ $(wc -l <every/$name.csv) -ge $(wc -l <some/$name.csv) ]] || complain "$name.csv has more rows of fewer trials"
done
[[ $(wc -l <every/trials.csv) -eq 13 && $(wc -l <some/trials.csv) -eq 5 ]] || complain "trials: $(wc -l every/trials.csv some/trials.csv)"
[[ $(wc -l <some/metrics.csv) -lt $(wc -l <every/metrics.csv) ]] || complain "metrics of all trials"
regatta export-results x.db -o events -f tensorboard --where label=ipo --where optimizer.learning_rate=0.5 || complain "$(cat log)"
[[ $(find events -type f | wc -l) -eq 3 ]] || complain "events: $(find events)"

# A trial that failed, newer than one that finished, stands for it nowhere; where all of the config failed
# that was run last, results are of the others, which is said.
cat >fail.py <<'END'
import sqlite3, sys
store = sqlite3.connect(sys.argv[1])
for (number,) in store.execute("SELECT id FROM trials WHERE config LIKE '%learning_rate\":0.5%'" + sys.argv[2]).fetchall():
    store.execute("UPDATE trials SET status = 'failed', reason = 'the judge is away', updated = '2099-01-01T00:00:00Z'"
                  " WHERE id = ?", (number,))
    for table in "metrics", "readings", "evaluations":
        store.execute("DELETE FROM " + table + " WHERE trial = ?", (number,))
store.commit()
END
cp x.db some.db
python3 fail.py some.db " AND label = 'dpo'"
"$program" table some.db -m reward -f csv --all >some.csv
grep '^dpo' first.csv | diff - <(grep '^dpo' some.csv) >diff || complain "--all prefers trials that failed: $(cat diff)"
cp x.db failed.db
regatta run x.cfg -q -r failed.db -s optimizer.learning_rate=0.5
python3 fail.py failed.db ""
for command in "table -m reward" "compare -m reward" "tournament -m reward" "frontier" "plot -o x.svg"; do
    # shellcheck disable=SC2086
    regatta ${command%% *} failed.db ${command#"${command%% *}"} || complain "$command after a failed run: $(cat log)"
    tr '\n' ' ' <log | grep -q "All trials of the config that was run last failed .* of other configs" ||
        complain "$command does not say that trials failed: $(cat log)"
done
"$program" table failed.db -m reward -f csv >failed.csv 2>log
diff first.csv failed.csv >diff || complain "the table is not of what finished: $(cat diff)"

# So is the one trial that is exported by its label; a key names any.
regatta table x.db --where learning_rate=0.5 && complain "an option by its last part"
grep -q 'did you mean "optimizer.learning_rate"' log || complain "$(cat log)"
packed() { # LEARNING RATE, then arguments of export-trial
    rm -rf trial
    regatta export-trial x.db "${@:2}" -o trial || complain "export-trial ${*:2}: $(cat log)"
    grep -q "\"optimizer.learning_rate\":$1," trial/config.json || complain "export-trial ${*:2}: another trial"
}
not_packed() { # WHAT IT SAYS, then arguments of export-trial
    regatta export-trial x.db "${@:2}" -o untaken && complain "export-trial ${*:2} finds one trial"
    grep -q -- "$1" log || complain "export-trial ${*:2}: $(cat log)"
}
packed 0.1 dpo --seed 2
packed 0.5 dpo --seed 2 --where optimizer.learning_rate=0.5
packed 0.5 dpo --where optimizer.learning_rate=0.5 --where seed=2
packed 0.5 "$(awk -F, '/,dpo,/ { key = $2 } END { print key }' every/trials.csv)"
not_packed "choose one by --seed" dpo
not_packed "choose one by --where or by its key" dpo --seed 2 --all
not_packed "there is 0.1, 0.5" dpo --seed 2 --where optimizer.learning_rate=7
regatta export x.db dpo --seed 2 -o model # the trial is found, and is of a bandit
grep -q "cannot be saved in Hugging Face's layout" log || complain "export: $(cat log)"
regatta export x.db dpo --seed 2 --all -o model
grep -q "choose one by --where" log || complain "export --all: $(cat log)"
regatta export --policy any --all model
grep -q -- "--policy cannot be combined with .*--where or --all" log || complain "export --policy: $(cat log)"
regatta run x.cfg -q -r x.db -s 'algorithms=({type="dpo";})'
not_packed '"ipo" is not in the config that was run last: --all' ipo --seed 2
regatta run x.cfg -q -r x.db

# A store of before, without the record and of its version: all trials, by every command.
cp x.db old.db
cp -r x old
python3 - old.db <<'END'
import sqlite3, sys
store = sqlite3.connect(sys.argv[1])
store.executescript("DROP TABLE last_run; ALTER TABLE trials DROP COLUMN selected; PRAGMA user_version = 4")
END
"$program" table old.db -m reward -f csv >old.csv 2>log || complain "old store: $(cat log)"
diff all.csv old.csv >diff || complain "an old store has another table: $(cat diff)"
for command in "table old.db" "plot old.db -o x.svg" "report old.db -o x.html" "compare old.db" "tournament old.db" \
    "frontier old.db" "budget old.db" "export-results old.db -o old-results" "status old.db" "check-store old.db" \
    "table old.db --where optimizer.learning_rate=0.1" "run -n x.cfg -r old.db" \
    "export-trial old.db $(sed -n 2p every/trials.csv | cut -d, -f2) -o packed" "verify packed"; do
    # shellcheck disable=SC2086
    regatta $command || complain "$command: $(cat log)"
    grep -q "left out: --all" log && complain "$command leaves out trials of an old store: $(cat log)"
done
regatta merge merged.db old.db x.db || complain "$(cat log)"
"$program" table merged.db --all -m reward -f csv 2>log >merged.csv
diff all.csv merged.csv >diff || complain "merged: $(cat diff)"
regatta merge same.db x.db || complain "$(cat log)"
"$program" table same.db -m reward -f csv 2>log >same.csv
diff first.csv same.csv >diff || complain "a merged store forgets what was run last: $(cat diff)"
regatta check-store x.db --save saved.db
"$program" table saved.db -m reward -f csv 2>log >saved.csv
diff first.csv saved.csv >diff || complain "a store that was saved forgets what was run last: $(cat diff)"
# Run, it is a store of now.
regatta run x.cfg -q -r old.db || complain "$(cat log)"
"$program" table old.db -m reward -f csv >old.csv 2>log
diff first.csv old.csv >diff || complain "an old store that was run again: $(cat diff)"

[[ $failures -eq 0 ]] && echo "tables are of the config that was run last"
exit $((failures > 0))
